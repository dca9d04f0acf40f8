import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { COMPRESSIONS, compress, decompress } from '../../../src/drivers/kafka/codecs.ts'

const TEXT = Buffer.from('paid 12.50 at the railway station; '.repeat(3_000))
const NOISE = randomBytes(70_000)

for (const compression of COMPRESSIONS)
  test(`${compression} gives back what was compressed, of any size`, async () => {
    for (const bytes of [Buffer.alloc(0), Buffer.from('x'), TEXT, NOISE]) {
      const compressed = await compress(compression, bytes)
      assert.deepEqual(await decompress(compression, compressed), bytes)
      if (compression !== 'none' && bytes === TEXT) assert.ok(compressed.length < bytes.length / 4)
    }
  })

test('snappy in blocks, as Java writes it, is read, too', async () => {
  const block = await compress('snappy', TEXT.subarray(0, 30_000))
  const second = await compress('snappy', TEXT.subarray(30_000, 40_000))
  const length = (bytes: Buffer) => {
    const header = Buffer.alloc(4)
    header.writeUInt32BE(bytes.length)
    return header
  }
  const header = Buffer.concat([
    Buffer.from([130]),
    Buffer.from('SNAPPY\0'),
    Buffer.from([0, 0, 0, 1, 0, 0, 0, 1]),
  ])
  const framed = Buffer.concat([header, length(block), block, length(second), second])
  assert.deepEqual(await decompress('snappy', framed), TEXT.subarray(0, 40_000))
})

test('bytes that no codec wrote are refused, not made up', async () => {
  // Snappy has no checksum: what it makes of such bytes are no records, which their lengths tell.
  for (const compression of ['gzip', 'lz4', 'zstd'] as const)
    await assert.rejects(decompress(compression, Buffer.from('this is not compressed at all')), compression)
})
