/** Who may call what: open answers, and admin calls that change something or show what users did. */

import { createHash, timingSafeEqual } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'
import { ConfigError, RequestError } from '../errors.ts'

/** `probe`: open, and not counted against the caller's rate. */
export type Access = 'open' | 'admin' | 'probe'

/** Whether only this machine can reach the address. */
function isLoopback(host: string): boolean {
  return /^(localhost|127(\.\d{1,3}){3}|::1|\[::1\])$/i.test(host)
}

export interface GuardOptions {
  host: string
  adminSecret: string | null
}

/**
 * @returns a check of an admin call's headers
 * @throws {ConfigError} `admin-secret-missing`, when others can reach the address and no secret is set
 */
export function adminGuard({ host, adminSecret }: GuardOptions): (headers: IncomingHttpHeaders) => void {
  if (adminSecret === null) {
    if (!isLoopback(host))
      throw new ConfigError(
        'admin-secret-missing',
        `expected server.adminSecret where ${host} can be reached from other machines, got none: set FRESHET_SERVER__ADMIN_SECRET, or bind to 127.0.0.1`,
      )
    return checkLocal
  }
  const expected = digest(adminSecret)
  return ({ authorization }) => {
    const given = /^Bearer +(\S+)$/i.exec(authorization ?? '')?.[1]
    // Digests have one length, and comparing them takes one time, whatever was sent.
    if (given !== undefined && timingSafeEqual(digest(given), expected)) return
    throw new RequestError(
      'admin-secret',
      `expected "Authorization: Bearer <server.adminSecret>" with an admin call, got ${given === undefined ? 'none' : 'another secret'}: send it`,
      { status: 401 },
    )
  }
}

function digest(secret: string): Buffer {
  return createHash('sha256').update(secret).digest()
}

/**
 * Without a secret this machine is trusted, but not every web page that its browser shows: a page of another origin says
 * so, and one that had its own name resolved to 127.0.0.1 comes with that name.
 */
function checkLocal({ host, origin }: IncomingHttpHeaders): void {
  const name = (host ?? 'localhost').replace(/:\d+$/, '')
  const isOwnPage = origin === undefined || origin === `http://${host}`
  if (isLoopback(name) && isOwnPage) return
  throw new RequestError(
    'request-origin',
    `expected an admin call from this machine's own programs, got one for host ${name}${isOwnPage ? '' : ' from another page'}: set server.adminSecret to call from elsewhere`,
    { status: 403 },
  )
}
