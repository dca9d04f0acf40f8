/** A user's state as bytes: one version byte, then zstd over an Avro single object of schemas/user-state.avsc. */

import { constants as zlib, zstdCompressSync, zstdDecompressSync } from 'node:zlib'
import { ConfigError, RecordError } from '../errors.ts'
import { type AvroCodec, avroCodec } from '../events/own-schemas.ts'
import { type AvroState, fromAvro, toAvro } from './avro-state.ts'
import type { UserState } from './user-state.ts'

/**
 * How the bytes after the first are wrapped. The Avro schema has its own version, the fingerprint in the single
 * object's frame: an older schema lies in schemas/history and is read through a resolver.
 */
const WRAPPING_VERSION = 1

/** Bytes of one encoded state; the default of `windows.userBytesMax`. 660 events of ordinary length take about 13 KiB. */
const STATE_BYTES_MAX = 512 * 1024

/** A damaged or hostile length must not allocate more than this: 128 times what a state may take compressed. */
const INFLATED_BYTES_MAX = 64 * 1024 * 1024

/** Level 1: states are written far more often than read. The checksum costs 4 bytes and finds what a bad disk did. */
const COMPRESSION = { params: { [zlib.ZSTD_c_compressionLevel]: 1, [zlib.ZSTD_c_checksumFlag]: 1 } }

/** Made when first used: parsing the schema costs milliseconds that not every import should pay. */
let codec: AvroCodec<AvroState> | undefined

/**
 * @param bytesMax limit of the result, bytes
 * @throws {ConfigError} `state-too-large`, when the user's windows don't fit into it
 */
export function encodeState(state: UserState, bytesMax = STATE_BYTES_MAX): Uint8Array {
  codec ??= avroCodec<AvroState>('user-state')
  const compressed = zstdCompressSync(codec.encode(toAvro(state)), COMPRESSION)
  if (compressed.length >= bytesMax) {
    const eventCount = Object.values(state.windows).reduce((count, window) => count + window.length, 0)
    throw new ConfigError(
      'state-too-large',
      `expected at most ${bytesMax} bytes for the state of one user, got ${compressed.length + 1} bytes in ${eventCount} events for user ${state.user} of tenant ${state.tenant}: raise windows.userBytesMax, or lower events.valueBytesMax or the slots of the bundle`,
    )
  }
  const bytes = new Uint8Array(compressed.length + 1)
  bytes[0] = WRAPPING_VERSION
  bytes.set(compressed, 1)
  return bytes
}

/**
 * Reads what this version or an older one wrote.
 *
 * @throws {ConfigError} `state-newer`, when a newer version wrote it; `state-damaged`, when nobody did
 */
export function decodeState(bytes: Uint8Array): UserState {
  return unwrapped(bytes, (avro, inflated) => fromAvro(avro.decode(inflated)))
}

/**
 * Whether the bytes are whole, and of a version that can be read here: a quarter of what decoding takes.
 *
 * @throws {ConfigError} as `decodeState`
 */
export function checkState(bytes: Uint8Array): void {
  unwrapped(bytes, (avro, inflated) => avro.check(inflated))
}

function unwrapped<Result>(
  bytes: Uint8Array,
  read: (avro: AvroCodec<AvroState>, inflated: Buffer) => Result,
): Result {
  codec ??= avroCodec<AvroState>('user-state')
  const version = bytes[0] ?? 0
  if (version > WRAPPING_VERSION) throw newer(`version ${version}`)
  try {
    if (version !== WRAPPING_VERSION) throw new Error(`version byte ${version}`)
    const inflated = zstdDecompressSync(bytes.subarray(1), { maxOutputLength: INFLATED_BYTES_MAX })
    return read(codec, inflated)
  } catch (cause) {
    // Its checksum is right, so the bytes are as they were written: by somebody whose schema we don't have.
    if (cause instanceof RecordError && cause.code === 'record-schema-unknown')
      throw newer('a schema that came later', cause)
    throw new ConfigError(
      'state-damaged',
      `expected a user state, got ${bytes.length} bytes that hold none: check the disk, and restore the data directory from a backup`,
      { cause },
    )
  }
}

function newer(found: string, cause?: RecordError): ConfigError {
  return new ConfigError(
    'state-newer',
    `expected a user state of version ${WRAPPING_VERSION} or older, got ${found}: upgrade this freshet to the one that wrote it, or to a newer one`,
    { cause },
  )
}
