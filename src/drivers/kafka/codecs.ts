/** How record batches may be compressed: a broker passes on what producers chose, so a reader must know all of it. */

import { gunzipSync, gzipSync, constants as zlib, zstdCompressSync, zstdDecompressSync } from 'node:zlib'
import snappyCodec from 'kafkajs-snappy'
import { compressFrameSync, decompressFrameSync } from 'lz4-napi'

export type Compression = 'none' | 'gzip' | 'snappy' | 'lz4' | 'zstd'

/** By the number in a batch's attributes. */
export const COMPRESSIONS: readonly Compression[] = ['none', 'gzip', 'snappy', 'lz4', 'zstd']

/** What a damaged or hostile batch may become: brokers admit 1 MiB compressed by default. A guess. */
const INFLATED_BYTES_MAX = 256 * 1024 * 1024

const LIMIT = { maxOutputLength: INFLATED_BYTES_MAX }
const snappy = snappyCodec()

/** @throws {Error} of any kind, when the bytes are not what the codec writes */
export async function decompress(compression: Compression, bytes: Buffer): Promise<Buffer> {
  switch (compression) {
    case 'none':
      return bytes
    case 'gzip':
      return gunzipSync(bytes, LIMIT)
    case 'snappy':
      return Buffer.from(await snappy.decompress(bytes))
    case 'lz4':
      return decompressFrameSync(bytes)
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
      return Buffer.from(await snappy.compress({ buffer: bytes }))
    case 'lz4':
      return compressFrameSync(bytes)
    case 'zstd':
      // Level 1: what we write is mostly compressed already.
      return zstdCompressSync(bytes, { params: { [zlib.ZSTD_c_compressionLevel]: 1 } })
  }
}
