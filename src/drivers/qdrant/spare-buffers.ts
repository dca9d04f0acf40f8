/** Buffers of requests, used again and again: a new one of megabytes for each request would have all memory looked through. */

export class SpareBuffers {
  /** The one given back last is last. */
  private readonly spare: Buffer[] = []
  private readonly countMax: number

  /** @param countMax kept at most */
  constructor(countMax: number) {
    this.countMax = countMax
  }

  /** @returns one of so many bytes or more, with anything in it */
  take(bytes: number): Buffer {
    const at = this.spare.findLastIndex(({ length }) => length >= bytes)
    if (at >= 0) return this.spare.splice(at, 1)[0]!
    // Batches are of almost the same size; a page that is never written to takes no memory.
    return Buffer.allocUnsafeSlow(2 ** Math.ceil(Math.log2(bytes)))
  }

  /** @param buffer that nobody will look into any more, not even a socket */
  give(buffer: Buffer): void {
    this.spare.push(buffer)
    if (this.spare.length > this.countMax) this.spare.shift()
  }
}
