/** Opens the store of vectors on a Qdrant server: nothing is written before its version, key and address are known to do. */

import { ConfigError, UnavailableError } from '../../errors.ts'
import type { Clock } from '../../pipeline/clock.ts'
import { errorOf } from './answers.ts'
import { codeOf, NOT_HTTP } from './attempts.ts'
import { GrpcClient } from './grpc-client.ts'
import { GrpcPointWriter } from './grpc-point-writer.ts'
import type { PointWriter } from './point-writer.ts'
import type { QdrantSettings } from './qdrant-settings.ts'
import { QdrantVectorStore } from './qdrant-vector-store.ts'
import { RestClient } from './rest-client.ts'
import { RestPointWriter } from './rest-point-writer.ts'

/**
 * @throws {ConfigError} `qdrant-url`, `qdrant-secret-in-clear`, `qdrant-tls`, `qdrant-version`, `qdrant-key`, `qdrant-key-read-only`
 * @throws {UnavailableError} `qdrant-unavailable`
 */
export async function openQdrant(settings: QdrantSettings, clock: Clock): Promise<QdrantVectorStore> {
  const rest = new RestClient(settings, clock)
  try {
    const greeting = await rest.greeting({ what: 'greet the server', collection: null })
    const version = checkVersion((greeting as { version?: unknown } | null)?.version, rest.address)
    const mayManage = await checkKey(rest)
    const writer = await openWriter(settings, clock, rest)
    return new QdrantVectorStore({ settings, clock, rest, writer, server: { version, mayManage } })
  } catch (error) {
    await rest.close()
    throw addressError(error, rest.address) ?? error
  }
}

/** Certificates and protocols don't mend themselves: whoever starts is told, instead of waiting. */
function addressError(error: unknown, address: string): ConfigError | null {
  const code = error instanceof UnavailableError ? codeOf(error.cause) : null
  if (code === NOT_HTTP) return notRest(address, 'another protocol', error)
  if (code === null || !TLS_CODES.test(code)) return null
  return new ConfigError(
    'qdrant-tls',
    `expected a TLS server with a certificate that this machine trusts at ${address}, got ${code}: name its authority's file in NODE_EXTRA_CA_CERTS, or correct vectors.qdrant.url`,
    { cause: error },
  )
}

/** OpenSSL's, and those that Node gives to certificates. */
const TLS_CODES = /^(ERR_TLS_|ERR_SSL_|CERT_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_)/

/** Points are written over gRPC where its address is given, for that is what costs; all else goes over REST. */
async function openWriter(settings: QdrantSettings, clock: Clock, rest: RestClient): Promise<PointWriter> {
  const { grpcUrl, writeOrdering } = settings
  if (grpcUrl === null) return new RestPointWriter(rest, writeOrdering)
  const grpc = new GrpcClient({ ...settings, grpcUrl }, clock)
  try {
    // Behind a balancer it may be another node's than REST's, in the middle of an upgrade.
    checkVersion(await grpc.version(), grpcUrl)
    return new GrpcPointWriter(grpc, writeOrdering)
  } catch (error) {
    await grpc.close()
    throw error
  }
}

/** What an older server lacks; worse, it passes over fields that it doesn't know, and answers 200. */
const LACKING: readonly [since: Version, what: string][] = [
  [[1, 15, 4], 'conditional writes (update_filter), without which a stale worker overwrites newer vectors'],
  [[1, 17, 0], 'update_mode'],
  [[1, 18, 0], 'vector names that come and go with instructions'],
]
const VERSION_MIN: Version = [1, 18, 0]

type Version = readonly [major: number, minor: number, patch: number]

function notRest(address: string, got: string, cause?: unknown): ConfigError {
  return new ConfigError(
    'qdrant-url',
    `expected a Qdrant server that says its version at ${address}, got ${got}: set vectors.qdrant.url to its REST port (6333), without the path of a page or a collection`,
    { cause },
  )
}

/** @param version as the server says it @returns it @throws {ConfigError} `qdrant-url`, `qdrant-version` */
function checkVersion(version: unknown, address: string): string {
  const match = typeof version === 'string' ? /^(\d+)\.(\d+)\.(\d+)/.exec(version) : null
  if (typeof version !== 'string' || match === null) throw notRest(address, 'something else')
  const found: Version = [Number(match[1]), Number(match[2]), Number(match[3])]
  if (!isBefore(found, VERSION_MIN)) return version
  const lacking = LACKING.filter(([since]) => isBefore(found, since)).map(([, what]) => what)
  throw new ConfigError(
    'qdrant-version',
    `expected Qdrant 1.18 or later, got ${version}, which lacks ${lacking.join('; ')}: upgrade the server`,
  )
}

function isBefore(a: Version, b: Version): boolean {
  const at = a.findIndex((part, i) => part !== b[i])
  return at >= 0 && a[at]! < b[at]!
}

/**
 * A change of aliases that changes none: the server looks at the key before it looks at what is to be done. A key for
 * some collections only can't be judged here; its first write will be.
 *
 * @returns whether it may make collections and aliases
 * @throws {ConfigError} `qdrant-key`, `qdrant-key-read-only`
 */
async function checkKey(rest: RestClient): Promise<boolean> {
  const asked = { what: 'check the key', collection: null }
  const verdict = await rest.ask(asked, (api, init) => api.updateAliases({ actions: [] }, init))
  if (verdict.kind === 'done' || verdict.kind === 'refused') return true
  const error = errorOf(asked, verdict)
  if (error.code !== 'qdrant-key-rights') throw error
  return false
}
