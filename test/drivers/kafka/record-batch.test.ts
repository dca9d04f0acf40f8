import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { test } from 'node:test'
import fc from 'fast-check'
import { COMPRESSIONS } from '../../../src/drivers/kafka/codecs.ts'
import { crc32c } from '../../../src/drivers/kafka/crc32c.ts'
import { type RawHeader, rawHeaders } from '../../../src/drivers/kafka/raw-headers.ts'
import { readBatches, readRecords } from '../../../src/drivers/kafka/record-batch.ts'
import {
  type RecordToWrite,
  recordBytes,
  writeBatch,
} from '../../../src/drivers/kafka/record-batch-writer.ts'
import { ConfigError } from '../../../src/errors.ts'
import { SCHEMA_ID_HEADER } from '../../../src/events/source-record.ts'

const require = createRequire(import.meta.url)
const { RecordBatch } = require('kafkajs/src/protocol/recordBatch/v0')
const Record = require('kafkajs/src/protocol/recordBatch/record/v0')
const decodeBatch = require('kafkajs/src/protocol/recordBatch/v0/decoder')
const Decoder = require('kafkajs/src/protocol/decoder')

const NUMBER = { producerId: 4_000_000_007, producerEpoch: 3, sequence: 12 }
const TIME_MS = 1_700_000_000_123

const bytes = fc.option(fc.uint8Array({ maxLength: 40 }).map((b) => Buffer.from(b)))
const header = fc.tuple(fc.string({ maxLength: 8 }), bytes)
/** Of records that come back: before the batch's time, behind it, years away. */
const ownTime = fc.option(fc.integer({ min: 0, max: 2 ** 42 }), { nil: undefined })
const record = fc
  .record({ key: bytes, value: bytes, headers: fc.array(header, { maxLength: 3 }), timeMs: ownTime })
  .map(({ timeMs, ...rest }) => (timeMs === undefined ? rest : { ...rest, timeMs }))

interface Theirs {
  key: Buffer
  value: Buffer
  timestamp: string
}

const timeOf = (one: RecordToWrite) => one.timeMs ?? TIME_MS

const records = fc.array(record, { minLength: 1, maxLength: 12 })

test('what is written is read back, in every compression, and kafkajs reads the same', async () => {
  await fc.assert(
    fc.asyncProperty(records, fc.constantFrom(...COMPRESSIONS), async (written, compression) => {
      const [batch] = readBatches(await writeBatch(written, compression, TIME_MS, NUMBER))
      const read = await readRecords('t', 3, batch!, 0)
      assert.deepEqual(
        read.map(({ key, value, headers = {} }) => ({ key, value, headers: plain(rawHeaders(headers)) })),
        written.map(({ key, value, headers }) => ({ key, value, headers: plain(headers) })),
      )
      for (const [index, { topic, partition, offset, appendTimeMs }] of read.entries())
        assert.deepEqual([topic, partition, offset, appendTimeMs], ['t', 3, index, timeOf(written[index]!)])
      assert.equal(batch!.lastOffset, written.length - 1)
      assert.equal(batch!.producerId, NUMBER.producerId)
      if (compression !== 'none') return
      const theirs = await decodeBatch(new Decoder(batch!.bytes))
      assert.deepEqual(
        theirs.records.map((r: Theirs) => [r.key, r.value, Number(r.timestamp)]),
        written.map((one) => [one.key, one.value, timeOf(one)]),
      )
      assert.equal(Number(theirs.maxTimestamp), Math.max(...written.map(timeOf)))
      assert.equal(theirs.firstSequence, NUMBER.sequence)
      assert.equal(theirs.producerId, String(NUMBER.producerId))
    }),
    { seed: 20261124, numRuns: 60 },
  )
})

test('the schema id of a header is kept as its bytes, and the last of several counts', async () => {
  const guid = Buffer.from('01ff00fe0102030405060708090a0b0c0d', 'hex')
  const headersOf: readonly (readonly RawHeader[])[] = [
    [],
    [['trace', Buffer.from('t')]],
    [[SCHEMA_ID_HEADER, guid]],
    [
      [SCHEMA_ID_HEADER, guid],
      [SCHEMA_ID_HEADER, Buffer.from([0, 0, 0, 0, 7])],
    ],
    [[SCHEMA_ID_HEADER, null]],
  ]
  const written = headersOf.map((headers) => ({ key: null, value: null, headers }))
  const [batch] = readBatches(await writeBatch(written, 'none', TIME_MS, NUMBER))
  const read = await readRecords('t', 0, batch!, 0)
  assert.deepEqual(
    read.map(({ schemaId }) => schemaId && Buffer.from(schemaId).toString('hex')),
    [undefined, undefined, guid.toString('hex'), '0000000007', undefined],
  )
  assert.deepEqual(plain(rawHeaders(read[3]!.headers!)), plain(headersOf[3]!))
})

test('batches of kafkajs are read, each record with its own time', async () => {
  const messages = [
    { key: 'u1', value: 'a', offsetDelta: 0, timestampDelta: 0 },
    {
      key: 'u2',
      value: null,
      offsetDelta: 1,
      timestampDelta: -2_500,
      headers: { h: 'x', twice: ['1', '2'] },
    },
  ]
  const encoded = await RecordBatch({
    firstTimestamp: TIME_MS,
    maxTimestamp: TIME_MS,
    lastOffsetDelta: 1,
    records: messages.map((message) => Record(message)),
  })
  const [batch] = readBatches(encoded.buffer)
  const [first, second] = await readRecords('t', 0, batch!, 0)
  assert.deepEqual(first, {
    topic: 't',
    partition: 0,
    offset: 0,
    appendTimeMs: TIME_MS,
    key: Buffer.from('u1'),
    value: Buffer.from('a'),
  })
  assert.equal(second!.appendTimeMs, TIME_MS - 2_500)
  assert.equal(second!.value, null)
  assert.deepEqual({ ...second!.headers }, { h: 'x', twice: '2' })
  assert.deepEqual(
    plain(rawHeaders(second!.headers!)),
    plain([
      ['h', Buffer.from('x')],
      ['twice', Buffer.from('1')],
      ['twice', Buffer.from('2')],
    ]),
  )
})

test("append times are the broker's, where the topic says so", async () => {
  const written = await writeBatch([{ key: null, value: Buffer.from('x') }], 'none', TIME_MS, NUMBER)
  const brokerTimeMs = TIME_MS + 77_000
  patched(written, (header) => {
    header.writeInt16BE(header.readInt16BE(21) | 0x08, 21)
    header.writeBigInt64BE(BigInt(brokerTimeMs), 35)
  })
  const [batch] = readBatches(written)
  assert.equal((await readRecords('t', 0, batch!, 0))[0]!.appendTimeMs, brokerTimeMs)
})

test('a batch that is cut off is left for the next time, wherever it is cut', async () => {
  const one = Buffer.from(
    await writeBatch([{ key: null, value: Buffer.from('whole') }], 'none', TIME_MS, NUMBER),
  )
  const two = Buffer.concat([one, one])
  for (let length = one.length; length < two.length; length++)
    assert.equal(readBatches(two.subarray(0, length)).length, 1)
  assert.equal(readBatches(two).length, 2)
  assert.deepEqual(readBatches(Buffer.alloc(0)), [])
})

test('batches of formats from before Kafka 0.11 are refused with the remedy, not taken for damage', async () => {
  const old = Buffer.from(await writeBatch([{ key: null, value: Buffer.from('x') }], 'none', TIME_MS, NUMBER))
  for (const magic of [0, 1]) {
    old.writeInt8(magic, 16)
    assert.throws(
      () => readBatches(old),
      (error) => error instanceof ConfigError && error.code === 'kafka-message-format',
    )
  }
})

test('any bit that flips in a batch is found', async () => {
  const whole = await writeBatch(
    [{ key: Buffer.from('u1'), value: Buffer.from('a value') }],
    'none',
    TIME_MS,
    NUMBER,
  )
  fc.assert(
    // What lies before is the broker's, which sets it after the checksum was made, and the format.
    fc.property(fc.integer({ min: 17 * 8, max: whole.length * 8 - 1 }), (bit) => {
      const damaged = Buffer.from(whole)
      damaged[bit >> 3]! ^= 1 << (bit & 7)
      assert.throws(() => readBatches(damaged), RangeError)
    }),
    { seed: 20261124 },
  )
})

test('a batch that nobody can read is one record in their stead: its bytes, no key, and why', async () => {
  for (const compression of ['none', 'gzip', 'lz4', 'zstd', 'snappy'] as const) {
    const written = await writeBatch(
      [{ key: Buffer.from('u1'), value: Buffer.from('a') }],
      compression,
      TIME_MS,
      NUMBER,
    )
    // The checksum is right: a producer made it so.
    patched(written, () => written.fill(0xee, 61))
    const [batch] = readBatches(written)
    const [stand, ...more] = await readRecords('t', 0, { ...batch!, baseOffset: 40, lastOffset: 44 }, 42)
    assert.deepEqual(more, [])
    assert.equal(stand!.offset, 42)
    assert.equal(stand!.key, null)
    assert.deepEqual(stand!.value, batch!.bytes)
    assert.notEqual(stand!.headers!['freshet.batch.unreadable'], '')
  }
})

test('a size is never less than what is written', async () => {
  await fc.assert(
    fc.asyncProperty(record, async (one) => {
      const written = await writeBatch([one], 'none', TIME_MS, NUMBER)
      assert.ok(written.length - 61 <= recordBytes(one), `${written.length - 61} > ${recordBytes(one)}`)
    }),
    { seed: 20261124 },
  )
})

function plain(headers: readonly (readonly [string, Uint8Array | null])[]) {
  return headers.map(([name, value]) => [name, value && Buffer.from(value).toString('hex')])
}

/** Changes a batch, and makes its checksum right again. */
function patched(batch: Buffer, change: (header: Buffer) => void): void {
  change(batch)
  batch.writeUInt32BE(crc32c(batch, 21), 17)
}
