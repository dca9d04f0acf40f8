/** Reads safetensors files without trusting them: every number of the header is checked before a byte of data is used. */

import { closeSync, fstatSync, openSync, readSync } from 'node:fs'
import { BugError, ConfigError } from '../errors.ts'
import { float32FromBfloat16, float32FromFloat16 } from './float-formats.ts'

/** Stored types whose values we compute with; the rest are listed, but can't be read as numbers. */
type FloatType = 'F32' | 'F16' | 'BF16'

/** Sizes of one element; published files carry integer buffers (`position_ids`) beside the weights. */
const ELEMENT_SIZE_BYTES: Readonly<Record<string, number>> = {
  BOOL: 1,
  U8: 1,
  I8: 1,
  F8_E4M3: 1,
  F8_E5M2: 1,
  U16: 2,
  I16: 2,
  F16: 2,
  BF16: 2,
  U32: 4,
  I32: 4,
  F32: 4,
  U64: 8,
  I64: 8,
  F64: 8,
}

/** The limit of the reference implementation: a header beyond it is an attack or garbage. */
const HEADER_SIZE_BYTES_MAX = 100_000_000
/** One `readSync` takes less than 2^31 bytes; below that the size doesn't matter. */
const READ_SIZE_BYTES_MAX = 1 << 30

export interface TensorEntry {
  name: string
  dtype: string
  shape: readonly number[]
  /** Absolute position in the file of the first byte, as ONNX external data wants it. */
  offsetBytes: number
  lengthBytes: number
}

/** An open safetensors file: its tensors, and their values as float32. Close it. */
export class SafetensorsFile {
  readonly path: string
  readonly sizeBytes: number
  readonly tensors: ReadonlyMap<string, TensorEntry>
  /** The `__metadata__` of the header; empty when there is none. */
  readonly metadata: ReadonlyMap<string, string>
  #descriptor: number | null

  private constructor(path: string, descriptor: number, sizeBytes: number, header: Header) {
    this.path = path
    this.sizeBytes = sizeBytes
    this.tensors = header.tensors
    this.metadata = header.metadata
    this.#descriptor = descriptor
  }

  /**
   * Opens a file and checks its whole header.
   *
   * @throws {ConfigError} `safetensors-unreadable`, `safetensors-header`, `safetensors-dtype`, `safetensors-range`,
   *   `safetensors-size`
   */
  static open(path: string): SafetensorsFile {
    let descriptor: number
    try {
      descriptor = openSync(path, 'r')
    } catch (cause) {
      throw new ConfigError(
        'safetensors-unreadable',
        `expected a readable safetensors file at ${path}, got ${(cause as Error).message}: restore the file or its permissions`,
        { cause },
      )
    }
    try {
      const sizeBytes = fstatSync(descriptor).size
      const header = parseHeader(readHeaderBytes(descriptor, path, sizeBytes), path, sizeBytes)
      return new SafetensorsFile(path, descriptor, sizeBytes, header)
    } catch (error) {
      closeSync(descriptor)
      throw error
    }
  }

  /** @throws {ConfigError} `tensor-missing` */
  entry(name: string): TensorEntry {
    const entry = this.tensors.get(name)
    if (entry === undefined) {
      throw new ConfigError(
        'tensor-missing',
        `expected a tensor ${name} in ${this.path}, got ${this.tensors.size} others: the file is of another model, export it again`,
      )
    }
    return entry
  }

  /**
   * Reads a whole tensor.
   *
   * @returns float32, row-major, as many numbers as the shape holds
   * @throws {ConfigError} `tensor-missing`, `tensor-not-float`, `safetensors-size`
   */
  read(name: string): Float32Array {
    const entry = this.entry(name)
    this.#checkFloat(entry)
    return decodeFloats(entry.dtype as FloatType, this.#bytes(entry.offsetBytes, entry.lengthBytes))
  }

  /**
   * Reads some rows of a 2-D tensor without loading the rest: how embedding tables are used.
   *
   * @param rows row numbers, any order, repeats allowed
   * @returns float32 [rows.length, shape[1]]
   * @throws {ConfigError} `tensor-missing`, `tensor-not-float`, `safetensors-size`
   * @throws {BugError} `tensor-row`, when the tensor is not 2-D or has no such row
   */
  readRows(name: string, rows: readonly number[]): Float32Array {
    const entry = this.entry(name)
    this.#checkFloat(entry)
    const [count, width] = entry.shape
    if (entry.shape.length !== 2 || count === undefined || width === undefined) {
      throw new BugError('tensor-row', `expected a 2-D tensor, got ${name} of shape [${entry.shape}]`)
    }
    const rowSizeBytes = width * ELEMENT_SIZE_BYTES[entry.dtype]!
    const out = new Float32Array(rows.length * width)
    for (const [index, row] of rows.entries()) {
      if (!Number.isInteger(row) || row < 0 || row >= count) {
        throw new BugError('tensor-row', `expected a row of 0 to ${count - 1} of ${name}, got ${row}`)
      }
      const bytes = this.#bytes(entry.offsetBytes + row * rowSizeBytes, rowSizeBytes)
      out.set(decodeFloats(entry.dtype as FloatType, bytes), index * width)
    }
    return out
  }

  /** Closing twice is allowed; reading afterwards is a bug. */
  close(): void {
    if (this.#descriptor === null) return
    closeSync(this.#descriptor)
    this.#descriptor = null
  }

  [Symbol.dispose](): void {
    this.close()
  }

  #checkFloat(entry: TensorEntry): void {
    if (entry.dtype === 'F32' || entry.dtype === 'F16' || entry.dtype === 'BF16') return
    throw new ConfigError(
      'tensor-not-float',
      `expected F32, F16 or BF16 in tensor ${entry.name} of ${this.path}, got ${entry.dtype}: export the model in one of these types`,
    )
  }

  #bytes(offsetBytes: number, lengthBytes: number): Uint8Array<ArrayBuffer> {
    if (this.#descriptor === null)
      throw new BugError('tensor-file-closed', `${this.path} was read after it was closed`)
    return readExactly(this.#descriptor, this.path, offsetBytes, lengthBytes)
  }
}

interface Header {
  tensors: Map<string, TensorEntry>
  metadata: Map<string, string>
}

interface HeaderBytes {
  json: Uint8Array
  /** Where the data begins. */
  dataOffsetBytes: number
}

function readHeaderBytes(descriptor: number, path: string, sizeBytes: number): HeaderBytes {
  if (sizeBytes < 8) throw headerError(path, `8 bytes of header length`, `a file of ${sizeBytes} bytes`)
  const prefix = readExactly(descriptor, path, 0, 8)
  const length = new DataView(prefix.buffer).getBigUint64(0, true)
  const limit = Math.min(HEADER_SIZE_BYTES_MAX, sizeBytes - 8)
  if (length > BigInt(limit)) throw headerError(path, `a header of at most ${limit} bytes`, `${length} bytes`)
  const lengthBytes = Number(length)
  return { json: readExactly(descriptor, path, 8, lengthBytes), dataOffsetBytes: 8 + lengthBytes }
}

function parseHeader({ json, dataOffsetBytes }: HeaderBytes, path: string, sizeBytes: number): Header {
  let parsed: unknown
  try {
    parsed = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(json))
  } catch (cause) {
    throw headerError(path, 'a header in JSON', (cause as Error).message, cause)
  }
  if (!isRecord(parsed)) throw headerError(path, 'an object in JSON', JSON.stringify(parsed).slice(0, 40))
  const tensors = new Map<string, TensorEntry>()
  const metadata = new Map<string, string>()
  for (const [name, value] of Object.entries(parsed)) {
    if (!isRecord(value)) throw headerError(path, `an object under ${JSON.stringify(name)}`, typeof value)
    if (name === '__metadata__')
      for (const [key, text] of Object.entries(value)) metadata.set(key, String(text))
    else tensors.set(name, parseEntry(name, value, path, dataOffsetBytes))
  }
  checkRanges(tensors, path, dataOffsetBytes, sizeBytes)
  return { tensors, metadata }
}

function parseEntry(
  name: string,
  value: Record<string, unknown>,
  path: string,
  dataOffsetBytes: number,
): TensorEntry {
  const { dtype, shape, data_offsets: range } = value
  const elementSizeBytes =
    typeof dtype === 'string' && Object.hasOwn(ELEMENT_SIZE_BYTES, dtype)
      ? ELEMENT_SIZE_BYTES[dtype]
      : undefined
  if (elementSizeBytes === undefined) {
    throw new ConfigError(
      'safetensors-dtype',
      `expected one of ${Object.keys(ELEMENT_SIZE_BYTES).join(', ')} for tensor ${name} of ${path}, got ${JSON.stringify(dtype)}: export the file again with a known type`,
    )
  }
  if (!isSizes(shape)) throw rangeError(path, name, 'a shape of whole numbers >= 0', JSON.stringify(shape))
  if (!isSizes(range) || range.length !== 2) {
    throw rangeError(path, name, 'data_offsets of two whole numbers >= 0', JSON.stringify(range))
  }
  const [begin, end] = range as [number, number]
  const lengthBytes = shape.reduce((product, size) => product * size, elementSizeBytes)
  if (!Number.isSafeInteger(lengthBytes) || end - begin !== lengthBytes) {
    throw rangeError(path, name, `${lengthBytes} bytes for ${dtype} [${shape}]`, `data_offsets [${range}]`)
  }
  return { name, dtype: dtype as string, shape, offsetBytes: dataOffsetBytes + begin, lengthBytes }
}

/** The tensors must tile the data: no overlap, no hole, nothing before, nothing behind. */
function checkRanges(
  tensors: ReadonlyMap<string, TensorEntry>,
  path: string,
  dataOffsetBytes: number,
  sizeBytes: number,
): void {
  const byOffset = [...tensors.values()].sort(
    (a, b) => a.offsetBytes - b.offsetBytes || a.lengthBytes - b.lengthBytes,
  )
  let expected = dataOffsetBytes
  for (const entry of byOffset) {
    if (entry.offsetBytes !== expected) {
      const fault = entry.offsetBytes < expected ? 'an overlap' : 'a hole'
      throw rangeError(path, entry.name, `a start at byte ${expected}`, `${entry.offsetBytes}, ${fault}`)
    }
    expected += entry.lengthBytes
  }
  if (expected !== sizeBytes) {
    throw new ConfigError(
      'safetensors-size',
      `expected ${expected} bytes in ${path} by its header, got ${sizeBytes}: the file was cut or appended to, copy it again`,
    )
  }
}

function decodeFloats(dtype: FloatType, bytes: Uint8Array<ArrayBuffer>): Float32Array {
  // The bytes are little-endian, and so is every platform that Node's packages of ours exist for.
  if (dtype === 'F32') return new Float32Array(bytes.buffer)
  const halves = new Uint16Array(bytes.buffer)
  return dtype === 'F16' ? float32FromFloat16(halves) : float32FromBfloat16(halves)
}

function readExactly(
  descriptor: number,
  path: string,
  offsetBytes: number,
  lengthBytes: number,
): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(lengthBytes)
  let done = 0
  while (done < lengthBytes) {
    const want = Math.min(lengthBytes - done, READ_SIZE_BYTES_MAX)
    const got = readSync(descriptor, bytes, done, want, offsetBytes + done)
    if (got === 0) {
      throw new ConfigError(
        'safetensors-size',
        `expected ${lengthBytes} bytes at ${offsetBytes} of ${path}, got ${done}: the file was cut while it was open, copy it again`,
      )
    }
    done += got
  }
  return bytes
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isSizes(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((size) => Number.isSafeInteger(size) && size >= 0)
}

function headerError(path: string, expected: string, got: string, cause?: unknown): ConfigError {
  return new ConfigError(
    'safetensors-header',
    `expected ${expected} in ${path}, got ${got}: this is no safetensors file, or it was damaged, copy it again`,
    { cause },
  )
}

function rangeError(path: string, name: string, expected: string, got: string): ConfigError {
  return new ConfigError(
    'safetensors-range',
    `expected ${expected} for tensor ${name} of ${path}, got ${got}: the file was damaged, copy it again`,
  )
}
