/** Certificates for a test, made by openssl: an authority, a broker on 127.0.0.1, a client. */

import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { onPath } from './java.ts'

/** Why none can be made here, and what to install; null when they can. */
export function opensslMissing(): string | null {
  if (onPath('openssl', process.env) !== null) return null
  return 'expected openssl, got none: install it (Debian: apt-get install openssl)'
}

export interface Certificates {
  /** PEM texts. */
  ca: string
  clientCert: string
  clientKey: string
  /** Files for a broker: its key and certificate in one, and the authority's certificate. */
  brokerFile: string
  caFile: string
}

/** @param folder where the files go */
export function makeCertificates(folder: string): Certificates {
  const at = (name: string) => join(folder, name)
  const openssl = (...args: string[]) => execFileSync('openssl', args, { cwd: folder, stdio: 'pipe' })
  const newKey = ['-newkey', 'rsa:2048', '-nodes', '-sha256', '-days', '2']
  openssl('req', '-x509', ...newKey, '-subj', '/CN=authority', '-keyout', 'ca.key', '-out', 'ca.pem')
  for (const [name, names] of [
    ['broker', 'subjectAltName=IP:127.0.0.1'],
    ['client', 'subjectAltName=DNS:client'],
  ] as const) {
    const request = [
      '-subj',
      `/CN=${name}`,
      '-addext',
      names,
      '-keyout',
      `${name}.key`,
      '-out',
      `${name}.pem`,
    ]
    openssl('req', '-x509', ...newKey, '-CA', 'ca.pem', '-CAkey', 'ca.key', ...request)
  }
  const text = (name: string) => readFileSync(at(name), 'utf8')
  writeFileSync(at('broker-both.pem'), text('broker.key') + text('broker.pem'))
  return {
    ca: text('ca.pem'),
    clientCert: text('client.pem'),
    clientKey: text('client.key'),
    brokerFile: at('broker-both.pem'),
    caFile: at('ca.pem'),
  }
}
