/** CRC-32C (Castagnoli), which guards Kafka's record batches: eight bytes a step, so that checking costs little. */

const POLYNOMIAL = 0x82f63b78
const LANES = 8

const TABLE = makeTable()

/** @returns the checksum of the bytes from `start` on, unsigned 32 bits */
export function crc32c(bytes: Uint8Array, start = 0): number {
  const end = bytes.length
  let crc = -1
  let at = start
  for (; at + LANES <= end; at += LANES) {
    const low = crc ^ (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24))
    crc =
      TABLE[0x700 + (low & 0xff)]! ^
      TABLE[0x600 + ((low >>> 8) & 0xff)]! ^
      TABLE[0x500 + ((low >>> 16) & 0xff)]! ^
      TABLE[0x400 + (low >>> 24)]! ^
      TABLE[0x300 + bytes[at + 4]!]! ^
      TABLE[0x200 + bytes[at + 5]!]! ^
      TABLE[0x100 + bytes[at + 6]!]! ^
      TABLE[bytes[at + 7]!]!
  }
  for (; at < end; at++) crc = TABLE[(crc ^ bytes[at]!) & 0xff]! ^ (crc >>> 8)
  return ~crc >>> 0
}

/** Row n is the remainder of a byte that n more bytes follow. */
function makeTable(): Int32Array {
  const table = new Int32Array(LANES * 256)
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ POLYNOMIAL : crc >>> 1
    table[byte] = crc
  }
  for (let at = 256; at < table.length; at++) {
    const before = table[at - 256]!
    table[at] = table[before & 0xff]! ^ (before >>> 8)
  }
  return table
}
