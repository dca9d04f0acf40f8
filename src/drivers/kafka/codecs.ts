/** How record batches may be compressed: a broker passes on what producers chose, so a reader must know all of it. */

import { gunzipSync, gzipSync, constants as zlib, zstdCompressSync, zstdDecompressSync } from 'node:zlib'
import { ConfigError } from '../../errors.ts'

export type Compression = 'none' | 'gzip' | 'snappy' | 'lz4' | 'zstd'

/** By the number in a batch's attributes. */
export const COMPRESSIONS: readonly Compression[] = ['none', 'gzip', 'snappy', 'lz4', 'zstd']

/** What a damaged or hostile batch may become: brokers admit 1 MiB compressed by default. A guess. */
const INFLATED_BYTES_MAX = 256 * 1024 * 1024

const LIMIT = { maxOutputLength: INFLATED_BYTES_MAX }
/**
 * @throws {Error} of any kind, when the bytes are not what the codec writes
 * @throws {ConfigError} `kafka-codec-missing`
 */
export async function decompress(compression: Compression, bytes: Buffer): Promise<Buffer> {
  switch (compression) {
    case 'none':
      return bytes
    case 'gzip':
      return gunzipSync(bytes, LIMIT)
    case 'snappy':
      return Buffer.from(await (await snappy()).decompress(bytes))
    case 'lz4':
      return (await lz4()).decompressFrameSync(bytes)
    case 'zstd':
      return zstdDecompressSync(bytes, LIMIT)
  }
}

export async function compress(compression: Compression, bytes: Buffer): Promise<Buffer> {
  switch (compression) {
    case 'none':
      return bytes
    case 'gzip':
      return gzipSync(bytes)
    case 'snappy':
      return Buffer.from(await (await snappy()).compress({ buffer: bytes }))
    case 'lz4':
      return (await lz4()).compressFrameSync(bytes)
    case 'zstd':
      // Level 1: what we write is mostly compressed already.
      return zstdCompressSync(bytes, { params: { [zlib.ZSTD_c_compressionLevel]: 1 } })
  }
}

/** Loaded when a batch needs it: a native part that this machine lacks must not keep those from starting who never do. */
async function lz4(): Promise<typeof import('lz4-napi')> {
  return import('lz4-napi').catch((cause) => missing('lz4-napi', cause))
}

async function snappy(): Promise<ReturnType<typeof import('kafkajs-snappy').default>> {
  const { default: codec } = await import('kafkajs-snappy').catch((cause) => missing('kafkajs-snappy', cause))
  return codec()
}

function missing(name: string, cause: unknown): never {
  throw new ConfigError(
    'kafka-codec-missing',
    `expected ${name} to be installed, got: ${cause instanceof Error ? cause.message : cause}: install it for this machine, or let producers compress otherwise`,
    { cause },
  )
}
