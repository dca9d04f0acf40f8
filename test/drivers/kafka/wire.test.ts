import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { WireReader, WireWriter } from '../../../src/drivers/kafka/wire.ts'

test('what is written is read back, at the edges of every width', () => {
  const writer = new WireWriter(1)
    .int8(-128)
    .int16(-32_768)
    .int32(-(2 ** 31))
    .uint32(2 ** 32 - 1)
    .int64(-1)
    .int64(2 ** 53 - 1)
    .boolean(true)
    .string('客戶 é')
    .string(null)
    .compactString('')
    .varintBytes(null)
    .varintBytes(Buffer.from('x'))
    .noTags()
  const reader = new WireReader(writer.written())
  assert.equal(reader.int8(), -128)
  assert.equal(reader.int16(), -32_768)
  assert.equal(reader.int32(), -(2 ** 31))
  assert.equal(reader.uint32(), 2 ** 32 - 1)
  assert.equal(reader.int64(), -1)
  assert.equal(reader.int64(), 2 ** 53 - 1)
  assert.equal(reader.boolean(), true)
  assert.equal(reader.string(), '客戶 é')
  assert.equal(reader.string(), null)
  assert.equal(reader.compactString(), '')
  assert.equal(reader.varint(), -1)
  assert.equal(reader.bytes(reader.varint()).toString(), 'x')
  reader.skipTags()
  assert.equal(reader.remaining, 0)
})

test('varints of any number come back, signed and unsigned', () => {
  const number = fc.oneof(fc.integer({ min: -(2 ** 51), max: 2 ** 51 }), fc.integer({ min: -300, max: 300 }))
  fc.assert(
    fc.property(fc.array(number), (numbers) => {
      const writer = new WireWriter()
      for (const value of numbers) writer.varint(value).uvarint(Math.abs(value))
      const reader = new WireReader(writer.written())
      for (const value of numbers) {
        assert.equal(reader.varint(), value)
        assert.equal(reader.uvarint(), Math.abs(value))
      }
    }),
    { seed: 20261124 },
  )
})

test('varints are those of the protocol', () => {
  // Worked by hand: zigzag 150 -> 300 = 0b10_0101100; -1 -> 1.
  assert.deepEqual([...new WireWriter().varint(150).varint(-1).written()], [0xac, 0x02, 0x01])
})

test('fields that a newer version adds are passed over', () => {
  const added = new WireWriter()
    .uvarint(2)
    .uvarint(0)
    .uvarint(3)
    .bytes(Buffer.from('abc'))
    .uvarint(9)
    .uvarint(0)
  const reader = new WireReader(Buffer.concat([added.written(), Buffer.from([42])]))
  reader.skipTags()
  assert.equal(reader.int8(), 42)
})

test('a length beyond the end reads nothing that lies behind', () => {
  const hostile = [
    new WireWriter().int32(2 ** 31 - 1).written(),
    new WireWriter().int32(5).bytes(Buffer.from('abc')).written(),
    new WireWriter().int32(1).written(),
  ]
  for (const bytes of hostile) assert.throws(() => new WireReader(bytes).nullableBytes(), RangeError)
  assert.throws(() => new WireReader(Buffer.alloc(0)).int8(), RangeError)
  assert.throws(() => new WireReader(new WireWriter().varint(-5).written()).bytes(-5), RangeError)
  assert.throws(() => new WireReader(Buffer.alloc(64, 0xff)).uvarint(), /without an end/)
})
