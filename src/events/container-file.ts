/** Reads Avro object container files (`.avro`), block by block, in the order written. */

import { type FileHandle, open } from 'node:fs/promises'
import { inflateRawSync, zstdDecompressSync } from 'node:zlib'
import { RecordError } from '../errors.ts'
import { type AvroType, avroType, messageOf } from './avro.ts'

/** Bytes of one block, decompressed: a larger one is damage or an attack, and would fill the memory. */
const BLOCK_BYTES_MAX = 256 * 1024 * 1024
const READ_BYTES = 1024 * 1024
const SYNC_BYTES = 16

const HEADER = avroType({
  type: 'record',
  name: 'Header',
  fields: [
    { name: 'magic', type: { type: 'fixed', name: 'Magic', size: 4 } },
    { name: 'meta', type: { type: 'map', values: 'bytes' } },
    { name: 'sync', type: { type: 'fixed', name: 'Sync', size: SYNC_BYTES } },
  ],
})
const LONG = avroType('long')

/** One record of a container file. */
export interface ContainerRecord {
  /** Unqualified name of the record's schema, e.g. `SearchEvent`. */
  schemaName: string
  value: unknown
  /** Bytes of the file up to the end of the record's block, for a progress bar. */
  fileBytes: number
}

/**
 * @param path of the file
 * @throws {RecordError} `container-file`, at the first block that is damaged; the records before it were given
 */
export async function* readContainerFile(path: string): AsyncGenerator<ContainerRecord> {
  const file = await open(path, 'r')
  try {
    const bytes = new FileBytes(file, path)
    const { type, codec, sync } = await readHeader(bytes)
    const schemaName = (type.name ?? type.typeName).split('.').at(-1)!
    while (!(await bytes.atEnd())) {
      const count = (await bytes.value(LONG)) as number
      const size = (await bytes.value(LONG)) as number
      if (count < 0 || size < 0 || size > BLOCK_BYTES_MAX)
        throw bytes.damaged(`a block of ${count} records in ${size} bytes`)
      const block = await bytes.take(size)
      if (!(await bytes.take(SYNC_BYTES)).equals(sync)) throw bytes.damaged('a block without its sync marker')
      const fileBytes = bytes.position
      for (const value of recordsOf(decompress(codec, block, bytes), type, count, bytes))
        yield { schemaName, value, fileBytes }
    }
  } finally {
    await file.close()
  }
}

async function readHeader(bytes: FileBytes): Promise<{ type: AvroType; codec: string; sync: Buffer }> {
  const header = (await bytes.value(HEADER)) as { magic: Buffer; meta: Record<string, Buffer>; sync: Buffer }
  if (header.magic.toString('latin1') !== 'Obj\x01')
    throw bytes.damaged(`first bytes ${header.magic.toString('hex')}`)
  const schema = header.meta['avro.schema']
  const codec = header.meta['avro.codec']?.toString('utf8') ?? 'null'
  if (!['null', 'deflate', 'zstandard'].includes(codec))
    throw bytes.damaged(`codec ${codec}, of which only null, deflate and zstandard are read`)
  try {
    // A copy: the bytes lie in a buffer that moves on.
    return { type: avroType(JSON.parse(String(schema))), codec, sync: Buffer.from(header.sync) }
  } catch (cause) {
    throw bytes.damaged(`a schema that is none (${messageOf(cause)})`)
  }
}

function decompress(codec: string, block: Buffer, bytes: FileBytes): Buffer {
  try {
    if (codec === 'deflate') return inflateRawSync(block, { maxOutputLength: BLOCK_BYTES_MAX })
    if (codec === 'zstandard') return zstdDecompressSync(block, { maxOutputLength: BLOCK_BYTES_MAX })
    return block
  } catch (cause) {
    throw bytes.damaged(`a block that can't be decompressed (${messageOf(cause)})`)
  }
}

function* recordsOf(block: Buffer, type: AvroType, count: number, bytes: FileBytes): Generator<unknown> {
  let offset = 0
  for (let at = 0; at < count; at++) {
    let decoded: { value: unknown; offset: number }
    try {
      decoded = type.decode(block, offset)
    } catch (cause) {
      throw bytes.damaged(`record ${at} of a block, which cannot be read (${messageOf(cause)})`)
    }
    if (decoded.offset <= offset) throw bytes.damaged(`record ${at} of a block, which is cut off`)
    offset = decoded.offset
    yield decoded.value
  }
  if (offset !== block.length)
    throw bytes.damaged(`${block.length - offset} bytes after a block's last record`)
}

/** A file read forwards, as much at a time as is asked for. */
class FileBytes {
  readonly #file: FileHandle
  readonly #path: string
  #buffer = Buffer.alloc(0)
  /** Of `#buffer`'s end in the file. */
  #read = 0

  constructor(file: FileHandle, path: string) {
    this.#file = file
    this.#path = path
  }

  get position(): number {
    return this.#read - this.#buffer.length
  }

  async atEnd(): Promise<boolean> {
    return this.#buffer.length === 0 && !(await this.#more(READ_BYTES))
  }

  async take(size: number): Promise<Buffer> {
    while (this.#buffer.length < size)
      if (!(await this.#more(Math.max(READ_BYTES, size - this.#buffer.length))))
        throw this.damaged('an end within a block')
    const taken = this.#buffer.subarray(0, size)
    this.#buffer = this.#buffer.subarray(size)
    return taken
  }

  /** One value of a type whose length nobody says beforehand. */
  async value(type: AvroType): Promise<unknown> {
    for (;;) {
      const decoded = this.#tryDecode(type)
      if (decoded !== undefined) {
        this.#buffer = this.#buffer.subarray(decoded.offset)
        return decoded.value
      }
      if (this.#buffer.length > BLOCK_BYTES_MAX || !(await this.#more(READ_BYTES)))
        throw this.damaged('an end, or nonsense, within a header')
    }
  }

  #tryDecode(type: AvroType): { value: unknown; offset: number } | undefined {
    try {
      const decoded = type.decode(this.#buffer)
      return decoded.offset > 0 ? decoded : undefined
    } catch {
      // A count beyond the bytes at hand: perhaps more bytes help.
      return undefined
    }
  }

  async #more(size: number): Promise<boolean> {
    const chunk = Buffer.alloc(size)
    const { bytesRead } = await this.#file.read(chunk, 0, size, this.#read)
    this.#read += bytesRead
    this.#buffer = Buffer.concat([this.#buffer, chunk.subarray(0, bytesRead)])
    return bytesRead > 0
  }

  damaged(got: string): RecordError {
    return new RecordError(
      'container-file',
      `${this.#path} must be an Avro object container file, got ${got} near byte ${this.position}: write or copy it again`,
    )
  }
}
