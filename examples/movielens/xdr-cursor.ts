/** Reads big-endian (XDR) numbers and bytes from a buffer, and refuses to read past its end. */

import { InputError } from './input-error.ts'

export class XdrCursor {
  private at = 0
  private readonly bytes: Buffer

  constructor(bytes: Buffer) {
    this.bytes = bytes
  }

  get remaining(): number {
    return this.bytes.length - this.at
  }

  int(): number {
    return this.bytes.readInt32BE(this.advance(4))
  }

  double(): number {
    return this.bytes.readDoubleBE(this.advance(8))
  }

  ascii(length: number): string {
    const start = this.advance(length)
    return this.bytes.toString('latin1', start, start + length)
  }

  utf8(length: number): string {
    const start = this.advance(length)
    return this.bytes.toString('utf8', start, start + length)
  }

  /**
   * Reads the length of a vector.
   *
   * @param itemBytes the least that an item takes: a length that the rest can't hold is refused before memory is taken
   * @throws {InputError} when negative (R's long vectors included) or beyond the end
   */
  length(itemBytes: number): number {
    const count = this.int()
    if (count < 0 || count * itemBytes > this.remaining) {
      throw new InputError(
        `expected a vector that fits into the remaining ${this.remaining} bytes, got ${count} items of at least ` +
          `${itemBytes} bytes: the R data is damaged, fetch it again`,
      )
    }
    return count
  }

  private advance(length: number): number {
    const start = this.at
    if (length < 0 || length > this.remaining) {
      throw new InputError(
        `expected ${length} more bytes at byte ${start}, got ${this.remaining}: the R data is cut off, fetch it again`,
      )
    }
    this.at = start + length
    return start
  }
}
