/** The little of protobuf that points need: messages written from their end to their start, and fields of an answer read. */

import { endianness } from 'node:os'
import { invariant } from '../../errors.ts'

const VARINT = 0
const BITS_64 = 1
const BYTES = 2
const BITS_32 = 5

const IS_BIG_ENDIAN = endianness() === 'BE'

/**
 * Writes backwards: when a message has been written its size is known, and goes before it. So the last field is written
 * first, and numbers are copied once, to where they are sent from.
 */
export class ProtobufWriter {
  private readonly bytes: Buffer
  private start: number

  /** @param bytes what is written to, as long as all of it will be or longer; beyond it, BugError */
  constructor(bytes: Buffer) {
    this.bytes = bytes
    this.start = bytes.length
  }

  get size(): number {
    return this.bytes.length - this.start
  }

  /** What has been written, not copied. */
  written(): Buffer {
    return this.bytes.subarray(this.start)
  }

  /** @param content writes the message's fields, the last one first */
  message(field: number, content: () => void): void {
    const end = this.start
    content()
    this.head(field, BYTES, end - this.start)
  }

  string(field: number, text: string): void {
    const length = Buffer.byteLength(text)
    this.bytes.write(text, this.reserve(length), length)
    this.head(field, BYTES, length)
  }

  /** A whole number, 0 to 2^53 - 1, as every kind of integer but the zigzag ones has it. */
  integer(field: number, value: number): void {
    invariant(Number.isSafeInteger(value) && value >= 0, `expected a whole number from 0 on, got ${value}`)
    this.head(field, VARINT, value)
  }

  double(field: number, value: number): void {
    this.bytes.writeDoubleLE(value, this.reserve(8))
    this.varint(field * 8 + BITS_64)
  }

  /** Packed float32. */
  floats(field: number, values: Float32Array): void {
    const { byteLength } = values
    const at = this.reserve(byteLength)
    this.bytes.set(new Uint8Array(values.buffer, values.byteOffset, byteLength), at)
    if (IS_BIG_ENDIAN) this.bytes.subarray(at, at + byteLength).swap32()
    this.head(field, BYTES, byteLength)
  }

  /** What comes before a message in a stream: that it isn't compressed, and its size. */
  grpcFrame(): void {
    const { size } = this
    const at = this.reserve(5)
    this.bytes[at] = 0
    this.bytes.writeUInt32BE(size, at + 1)
  }

  /** A field's number and kind, and before its bytes their count. */
  private head(field: number, kind: number, value: number): void {
    this.varint(value)
    this.varint(field * 8 + kind)
  }

  private varint(value: number): void {
    let at = this.reserve(varintBytes(value))
    let rest = value
    // Not by shifts: those end at 32 bits.
    for (; rest >= 128; rest = Math.floor(rest / 128)) this.bytes[at++] = (rest % 128) + 128
    this.bytes[at] = rest
  }

  private reserve(bytes: number): number {
    this.start -= bytes
    invariant(this.start >= 0, `expected a message of at most ${this.bytes.length} bytes, got a longer one`)
    return this.start
  }
}

function varintBytes(value: number): number {
  let bytes = 1
  for (let rest = value; rest >= 128; rest = Math.floor(rest / 128)) bytes++
  return bytes
}

/**
 * Reads one message without what is inside of its messages.
 *
 * @returns field number -> its last value: a number, or the bytes of a string or message; undefined where the bytes
 *   aren't a message
 */
export function readFields(message: Buffer): Map<number, number | Buffer> | undefined {
  const fields = new Map<number, number | Buffer>()
  let at = 0
  const varint = () => {
    let value = 0
    for (let factor = 1; ; factor *= 128) {
      const byte = message[at++] ?? Number.NaN
      value += (byte & 127) * factor
      if (!(byte >= 128)) return Number.isNaN(byte) ? byte : value
    }
  }
  while (at < message.length) {
    const tag = varint()
    const kind = tag % 8
    const field = (tag - kind) / 8
    if (kind === VARINT) fields.set(field, varint())
    else {
      const size = kind === BITS_64 ? 8 : kind === BITS_32 ? 4 : kind === BYTES ? varint() : Number.NaN
      // NaN, too, is not within.
      if (!(at + size <= message.length)) return undefined
      fields.set(field, message.subarray(at, at + size))
      at += size
    }
  }
  return [...fields.values()].some(Number.isNaN) ? undefined : fields
}
