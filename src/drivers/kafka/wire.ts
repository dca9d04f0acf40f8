/** The primitives of Kafka's protocol: big-endian numbers, lengths before bytes, varints in the newer forms. */

import { invariant } from '../../errors.ts'

/** Reads on from a place in a buffer; bytes are views into it. */
export class WireReader {
  readonly buffer: Buffer
  offset: number

  constructor(buffer: Buffer, offset = 0) {
    this.buffer = buffer
    this.offset = offset
  }

  get remaining(): number {
    return this.buffer.length - this.offset
  }

  int8(): number {
    return this.buffer.readInt8(this.move(1))
  }

  int16(): number {
    return this.buffer.readInt16BE(this.move(2))
  }

  int32(): number {
    return this.buffer.readInt32BE(this.move(4))
  }

  uint32(): number {
    return this.buffer.readUInt32BE(this.move(4))
  }

  /** Offsets and times: far below 2^53. */
  int64(): number {
    const at = this.move(8)
    const value = this.buffer.readInt32BE(at) * 2 ** 32 + this.buffer.readUInt32BE(at + 4)
    invariant(Number.isSafeInteger(value), `expected a number that JavaScript can hold, got ${value}`)
    return value
  }

  boolean(): boolean {
    return this.int8() !== 0
  }

  /** @returns 32 hex digits */
  uuid(): string {
    const at = this.move(16)
    return this.buffer.toString('hex', at, at + 16)
  }

  string(): string | null {
    return this.text(this.int16())
  }

  compactString(): string | null {
    return this.text(this.uvarint() - 1)
  }

  bytes(length: number): Buffer {
    const at = this.move(length)
    return this.buffer.subarray(at, at + length)
  }

  /** Records and other bytes with a length of 32 bits; -1 is null. */
  nullableBytes(): Buffer | null {
    const length = this.int32()
    return length < 0 ? null : this.bytes(length)
  }

  array<T>(read: () => T): T[] {
    return this.items(this.int32(), read)
  }

  compactArray<T>(read: () => T): T[] {
    return this.items(this.uvarint() - 1, read)
  }

  uvarint(): number {
    let value = 0
    for (let factor = 1; ; factor *= 128) {
      const byte = this.buffer.readUInt8(this.move(1))
      value += (byte & 0x7f) * factor
      if (byte < 0x80) return value
      invariant(factor < 2 ** 49, 'expected a varint, got one without an end')
    }
  }

  /** Zigzag: of records. */
  varint(): number {
    const value = this.uvarint()
    return value % 2 === 0 ? value / 2 : -(value + 1) / 2
  }

  /** Fields that a newer version may have added. */
  skipTags(): void {
    for (let count = this.uvarint(); count > 0; count--) {
      this.uvarint()
      this.move(this.uvarint())
    }
  }

  private text(length: number): string | null {
    if (length < 0) return null
    const at = this.move(length)
    return this.buffer.toString('utf8', at, at + length)
  }

  private items<T>(count: number, read: () => T): T[] {
    const items: T[] = []
    for (let at = 0; at < count; at++) items.push(read())
    return items
  }

  private move(bytes: number): number {
    const at = this.offset
    // A hostile length must not read what lies behind.
    if (bytes < 0 || at + bytes > this.buffer.length)
      throw new RangeError(`expected ${bytes} bytes at ${at}, got ${this.buffer.length - at}`)
    this.offset = at + bytes
    return at
  }
}

/** Writes into a buffer that grows. */
export class WireWriter {
  private buffer: Buffer
  private length = 0

  constructor(sizeBytes = 256) {
    this.buffer = Buffer.allocUnsafe(sizeBytes)
  }

  get sizeBytes(): number {
    return this.length
  }

  int8(value: number): this {
    const at = this.grow(1)
    this.buffer.writeInt8(value, at)
    return this
  }

  int16(value: number): this {
    const at = this.grow(2)
    this.buffer.writeInt16BE(value, at)
    return this
  }

  int32(value: number): this {
    const at = this.grow(4)
    this.buffer.writeInt32BE(value, at)
    return this
  }

  uint32(value: number): this {
    const at = this.grow(4)
    this.buffer.writeUInt32BE(value >>> 0, at)
    return this
  }

  int64(value: number): this {
    const at = this.grow(8)
    const high = Math.floor(value / 2 ** 32)
    this.buffer.writeInt32BE(high, at)
    this.buffer.writeUInt32BE(value - high * 2 ** 32, at + 4)
    return this
  }

  boolean(value: boolean): this {
    return this.int8(value ? 1 : 0)
  }

  string(value: string | null): this {
    if (value === null) return this.int16(-1)
    const bytes = Buffer.from(value)
    return this.int16(bytes.length).bytes(bytes)
  }

  compactString(value: string): this {
    const bytes = Buffer.from(value)
    return this.uvarint(bytes.length + 1).bytes(bytes)
  }

  bytes(value: Uint8Array): this {
    const at = this.grow(value.length)
    this.buffer.set(value, at)
    return this
  }

  array<T>(items: readonly T[], write: (item: T) => void): this {
    this.int32(items.length)
    for (const item of items) write(item)
    return this
  }

  compactArray<T>(items: readonly T[], write: (item: T) => void): this {
    this.uvarint(items.length + 1)
    for (const item of items) write(item)
    return this
  }

  uvarint(value: number): this {
    let rest = value
    while (rest >= 0x80) {
      const at = this.grow(1)
      this.buffer.writeUInt8((rest % 128) + 128, at)
      rest = Math.floor(rest / 128)
    }
    const at = this.grow(1)
    this.buffer.writeUInt8(rest, at)
    return this
  }

  varint(value: number): this {
    return this.uvarint(value < 0 ? -2 * value - 1 : 2 * value)
  }

  /** A length as a varint before bytes; -1 for null. */
  varintBytes(value: Uint8Array | null): this {
    if (value === null) return this.varint(-1)
    return this.varint(value.length).bytes(value)
  }

  /** No fields that this version doesn't know. */
  noTags(): this {
    return this.uvarint(0)
  }

  /** Begins anew in the same memory. */
  clear(): void {
    this.length = 0
  }

  /** The bytes written so far; a view, good until the next write. */
  written(): Buffer {
    return this.buffer.subarray(0, this.length)
  }

  private grow(bytes: number): number {
    const at = this.length
    this.length += bytes
    if (this.length > this.buffer.length) {
      const larger = Buffer.allocUnsafe(Math.max(this.length, 2 * this.buffer.length))
      this.buffer.copy(larger, 0, 0, at)
      this.buffer = larger
    }
    return at
  }
}
