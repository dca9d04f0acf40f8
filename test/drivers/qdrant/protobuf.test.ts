import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { BinaryReader, BinaryWriter, WireType } from '@bufbuild/protobuf/wire'
import fc from 'fast-check'
import { ProtobufWriter, readFields } from '../../../src/drivers/qdrant/protobuf.ts'

const RUNS = { seed: 20261124, numRuns: 300 }
const field = fc.integer({ min: 1, max: 2 ** 29 - 1 })
const whole = fc.maxSafeNat()
const texts = fc.string({ unit: 'grapheme', maxLength: 300 })

describe('protobuf', () => {
  test('what is written is read by another reader, first field first', () => {
    const fields = fc.tuple(field, whole, field, texts, field, fc.double(), field, fc.float32Array())
    fc.assert(
      fc.property(fields, ([i, integer, s, string, d, double, f, floats]) => {
        const writer = new ProtobufWriter(Buffer.alloc(10_000))
        writer.floats(f, floats)
        writer.double(d, double)
        writer.string(s, string)
        writer.integer(i, integer)
        const reader = new BinaryReader(writer.written())
        assert.deepEqual(reader.tag(), [i, WireType.Varint])
        assert.equal(Number(reader.uint64()), integer)
        assert.deepEqual(reader.tag(), [s, WireType.LengthDelimited])
        assert.equal(reader.string(), string)
        assert.deepEqual(reader.tag(), [d, WireType.Bit64])
        assert.ok(Object.is(reader.double(), double))
        assert.deepEqual(reader.tag(), [f, WireType.LengthDelimited])
        const size = reader.uint32()
        assert.equal(size, floats.length * 4)
        for (const value of floats) assert.ok(Object.is(reader.float(), value))
        assert.equal(reader.pos, reader.len)
      }),
      RUNS,
    )
  })

  test('a message within messages has its size before it, whatever number of bytes that takes', () => {
    const sizes = fc.oneof(fc.integer({ min: 0, max: 300 }), fc.constantFrom(16_380, 16_384, 2_097_150))
    fc.assert(
      fc.property(sizes, (size) => {
        const text = 'x'.repeat(size)
        const writer = new ProtobufWriter(Buffer.alloc(size + 40))
        writer.message(1, () => writer.message(2, () => writer.string(3, text)))
        const inner = new BinaryWriter().tag(3, WireType.LengthDelimited).string(text).finish()
        const middle = new BinaryWriter().tag(2, WireType.LengthDelimited).bytes(inner).finish()
        const outer = new BinaryWriter().tag(1, WireType.LengthDelimited).bytes(middle).finish()
        assert.equal(Buffer.compare(writer.written(), outer), 0)
      }),
      { ...RUNS, numRuns: 20 },
    )
  })

  test('a vector is written from where it lies, be it a part of a larger array', () => {
    const all = Float32Array.from({ length: 9 }, (_, i) => i / 3)
    const writer = new ProtobufWriter(Buffer.alloc(40))
    writer.floats(1, all.subarray(3, 6))
    const reader = new BinaryReader(writer.written())
    reader.tag()
    const bytes = Buffer.from(reader.bytes())
    assert.deepEqual(
      [0, 4, 8].map((at) => bytes.readFloatLE(at)),
      [...all.subarray(3, 6)],
    )
  })

  test('a message longer than was said is our mistake, and so is a number that is none', () => {
    assert.throws(() => new ProtobufWriter(Buffer.alloc(4)).string(1, 'long'), { name: 'BugError' })
    for (const value of [-1, 0.5, 2 ** 53, Number.NaN])
      assert.throws(
        () => new ProtobufWriter(Buffer.alloc(40)).integer(1, value),
        { name: 'BugError' },
        `${value}`,
      )
  })

  test('fields are read by number, the last of each, and what is unknown is passed over', () => {
    const message = new BinaryWriter()
      .tag(1, WireType.Varint)
      .uint64(2 ** 40)
      .tag(9, WireType.Bit64)
      .double(1.5)
      .tag(8, WireType.Bit32)
      .float(1.5)
      .tag(2, WireType.LengthDelimited)
      .string('first')
      .tag(2, WireType.LengthDelimited)
      .string('last')
      .finish()
    const fields = readFields(Buffer.from(message))!
    assert.equal(fields.get(1), 2 ** 40)
    assert.equal(`${fields.get(2)}`, 'last')
    assert.deepEqual([...fields.keys()], [1, 9, 8, 2])
    assert.deepEqual(readFields(Buffer.alloc(0)), new Map())
  })

  test('bytes that are no message are said to be none, wherever a message is cut', () => {
    const message = Buffer.from(
      new BinaryWriter()
        .tag(3, WireType.LengthDelimited)
        .string('a text')
        .tag(500, WireType.Varint)
        .uint32(300)
        .finish(),
    )
    const ends = Array.from({ length: message.length }, (_, i) => readFields(message.subarray(0, i)))
    // Whole after 0 bytes and after the text's 8; nowhere else.
    const whole = ends.flatMap((fields, i) => (fields === undefined ? [] : [i]))
    assert.deepEqual(whole, [0, 8])
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
        readFields(Buffer.from(bytes))
      }),
      RUNS,
    )
  })
})
