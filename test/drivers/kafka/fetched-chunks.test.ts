import assert from 'node:assert/strict'
import { test } from 'node:test'
import { crc32c } from '../../../src/drivers/kafka/crc32c.ts'
import type { AbortedTransaction } from '../../../src/drivers/kafka/fetch.ts'
import { type Chunk, chunksOf } from '../../../src/drivers/kafka/fetched-chunks.ts'
import { writeBatch } from '../../../src/drivers/kafka/record-batch-writer.ts'
import { UnavailableError } from '../../../src/errors.ts'

const TRANSACTIONAL = 0x10
const CONTROL = 0x20
const ABORT = Buffer.from([0, 0, 0, 0])
const COMMIT = Buffer.from([0, 0, 0, 1])

interface BatchShape {
  at: number
  values: readonly string[]
  /** Offsets that the batch spans; compaction may have taken the records of some. */
  span?: number
  producerId?: number
  attributes?: number
  key?: Buffer
}

async function batchOf({
  at,
  values,
  span = values.length,
  producerId = 1,
  attributes = 0,
  key,
}: BatchShape) {
  const records = values.map((value) => ({ key: key ?? Buffer.from('u1'), value: Buffer.from(value) }))
  const number = { producerId, producerEpoch: 0, sequence: 0 }
  const batch = Buffer.from(await writeBatch(records, 'none', 1_000, number))
  batch.writeBigInt64BE(BigInt(at), 0)
  batch.writeInt16BE(attributes, 21)
  batch.writeInt32BE(span - 1, 23)
  batch.writeUInt32BE(crc32c(batch, 21), 17)
  return batch
}

async function read(
  shapes: readonly BatchShape[],
  position: number,
  aborted: readonly AbortedTransaction[] = [],
): Promise<{ values: string[]; next: number; chunks: Chunk[] }> {
  const records = Buffer.concat(await Promise.all(shapes.map(batchOf)))
  const chunks: Chunk[] = []
  const fetched = { topic: 't', partition: 0, code: 0, end: 99, start: 0, aborted, records }
  for await (const chunk of chunksOf(fetched, position)) chunks.push(chunk)
  const values = chunks.flatMap((chunk) => chunk.records.map(({ value }) => Buffer.from(value!).toString()))
  return { values, next: chunks.at(-1)?.next ?? position, chunks }
}

test('reading starts within a batch, and goes on behind the last', async () => {
  const shapes = [
    { at: 10, values: ['a', 'b', 'c'] },
    { at: 13, values: ['d'] },
  ]
  assert.deepEqual(pick(await read(shapes, 11)), { values: ['b', 'c', 'd'], next: 14 })
  assert.deepEqual(pick(await read(shapes, 13)), { values: ['d'], next: 14 })
  assert.deepEqual(pick(await read([], 13)), { values: [], next: 13 })
})

test('compaction leaves offsets without records, and whole batches without any: reading goes on behind them', async () => {
  assert.deepEqual(pick(await read([{ at: 0, values: ['a'], span: 50 }], 0)), { values: ['a'], next: 50 })
  assert.deepEqual(pick(await read([{ at: 0, values: [], span: 30 }], 7)), { values: [], next: 30 })
})

test('a large answer comes in parts, each with the position behind it', async () => {
  const values = Array.from({ length: 2_500 }, (_, i) => `v${i}`)
  const shapes = [
    { at: 0, values: values.slice(0, 1_700) },
    { at: 1_700, values: values.slice(1_700), span: 900 },
  ]
  const { chunks, values: got } = await read(shapes, 0)
  assert.deepEqual(got, values)
  assert.deepEqual(
    chunks.map(({ records, next }) => [records.length, next]),
    [
      [1_000, 1_000],
      [1_000, 2_000],
      [500, 2_600],
    ],
  )
})

test('records of a transaction that was given up are nobody’s, those between them and after it are', async () => {
  const shapes = [
    { at: 0, values: ['lost 1'], producerId: 7, attributes: TRANSACTIONAL },
    { at: 1, values: ['plain'] },
    { at: 2, values: ['kept'], producerId: 8, attributes: TRANSACTIONAL },
    { at: 3, values: ['lost 2'], producerId: 7, attributes: TRANSACTIONAL },
    { at: 4, values: ['marker'], producerId: 7, attributes: TRANSACTIONAL | CONTROL, key: ABORT },
    { at: 5, values: ['kept later'], producerId: 7, attributes: TRANSACTIONAL },
    { at: 6, values: ['marker'], producerId: 7, attributes: TRANSACTIONAL | CONTROL, key: COMMIT },
    { at: 7, values: ['lost 3'], producerId: 7, attributes: TRANSACTIONAL },
    { at: 8, values: ['marker'], producerId: 7, attributes: TRANSACTIONAL | CONTROL, key: ABORT },
  ]
  const aborted = [
    { producerId: 7, firstOffset: 7 },
    { producerId: 7, firstOffset: 0 },
  ]
  const expected = { values: ['plain', 'kept', 'kept later'], next: 9 }
  assert.deepEqual(pick(await read(shapes, 0, aborted)), expected)
  assert.deepEqual(pick(await read(shapes, 3, aborted)), { values: ['kept later'], next: 9 })
})

test('an answer that is damaged is no answer', async () => {
  const damaged = await batchOf({ at: 0, values: ['a'] })
  damaged[damaged.length - 1]! ^= 1
  const fetched = { topic: 't', partition: 0, code: 0, end: 99, start: 0, aborted: [], records: damaged }
  await assert.rejects(async () => {
    for await (const _ of chunksOf(fetched, 0));
  }, isDamaged)
})

function isDamaged(error: unknown): boolean {
  return error instanceof UnavailableError && error.code === 'kafka-batch-damaged'
}

function pick({ values, next }: { values: string[]; next: number }) {
  return { values, next }
}
