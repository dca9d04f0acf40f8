import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type EventLogOptions, SqliteEventLog } from '../../../src/drivers/sqlite/event-log.ts'
import { cutLog, logBytes } from '../../../src/drivers/sqlite/log-retention.ts'
import { MAIN_MIGRATIONS } from '../../../src/drivers/sqlite/migrations.ts'
import { SqliteControlLog } from '../../../src/drivers/sqlite/sqlite-control-log.ts'
import { SqliteDatabase } from '../../../src/drivers/sqlite/sqlite-database.ts'
import { RecordError, UnavailableError } from '../../../src/errors.ts'
import type { TenantId, UserId } from '../../../src/events/ids.ts'
import type { NewRecord } from '../../../src/events/new-record.ts'
import type { RecordDecoder, SourceRecord } from '../../../src/events/source-record.ts'
import type { Clock } from '../../../src/pipeline/clock.ts'
import { tombstoneReader } from '../../../src/pipeline/tombstone-reader.ts'

let nowMs = 1_000
const clock: Clock = { nowMs: () => nowMs, sleep: async () => {} }

function openLog(options: Partial<EventLogOptions> = {}) {
  const database = new SqliteDatabase({ path: ':memory:', migrations: MAIN_MIGRATIONS })
  const log = new SqliteEventLog(database, {
    clock,
    tombstoneTopic: 'freshet.tombstones',
    tombstoneOf: (record) =>
      record.value === null
        ? null
        : { tenant: 'default' as TenantId, user: 'u1' as UserId, atMs: Number(Buffer.from(record.value)) },
    ...options,
  })
  return { database, log }
}

function recordsOf(topic: string, ...values: string[]): NewRecord[] {
  return values.map((value) => ({ topic, key: Buffer.from('u1'), value: Buffer.from(value) }))
}

function rowCount(database: SqliteDatabase): number {
  return Number((database.prepare('SELECT count(*) FROM log').get() as unknown as [number])[0])
}

test('appends of one turn share a transaction, and each learns its own offsets', async () => {
  const { database, log } = openLog()
  const heard: number[] = []
  log.subscribe((records) => heard.push(...records.map((record) => record.offset)))
  let transactions = 0
  const write = database.write.bind(database)
  database.write = (work) => {
    transactions++
    return write(work)
  }
  const appended = await Promise.all([
    log.append(recordsOf('t', 'a', 'b')),
    log.append(recordsOf('t')),
    log.append(recordsOf('other', 'c')),
  ])
  assert.deepEqual(appended, [
    { firstOffset: 0, count: 2 },
    { firstOffset: 2, count: 0 },
    { firstOffset: 2, count: 1 },
  ])
  assert.deepEqual(heard, [0, 1, 2])
  assert.equal(transactions, 1)
  assert.deepEqual(
    [log.endOffset(), log.topicEnd('t'), log.topicEnd('other'), log.topicEnd('none')],
    [3, 2, 3, 0],
  )
  database.close()
})

test('a record that is refused spoils none of the others', async () => {
  const { database, log } = openLog({ recordBytesMax: 100 })
  const good = log.append(recordsOf('t', 'a'))
  const large = log.append(recordsOf('t', 'x'.repeat(200)))
  const nameless = log.append(recordsOf('', 'a'))
  await assert.rejects(large, { code: 'append-too-large', status: 413 })
  await assert.rejects(nameless, { code: 'append-topic' })
  await good
  assert.equal(rowCount(database), 1)
  database.close()
})

test('the position of an import is saved with its records, or neither is', async () => {
  const { database, log } = openLog()
  const progress = { import: 'file', position: 512, records: 2, asOfDay: 17_000, isDone: false }
  assert.equal(log.importProgress('file'), null)
  await log.append(recordsOf('t', 'a', 'b'), progress)
  assert.deepEqual(log.importProgress('file'), progress)
  assert.throws(() =>
    database.write(() => {
      log.appendNow(recordsOf('new-topic', 'c'), { ...progress, position: 999 })
      throw new Error('the process ends here')
    }),
  )
  assert.deepEqual(log.importProgress('file'), progress)
  assert.equal(log.endOffset(), 2)
  // The topic's number went with the transaction; it is made again, and found.
  await log.append(recordsOf('new-topic', 'c'))
  assert.equal(log.topicEnd('new-topic'), 3)
  database.close()
})

test('a listener hears of nothing that was undone', () => {
  const { database, log } = openLog()
  const heard: SourceRecord[] = []
  log.subscribe((records) => heard.push(...records))
  assert.throws(() =>
    database.write(() => {
      log.appendNow(recordsOf('t', 'a'))
      throw new Error('undone')
    }),
  )
  log.appendNow(recordsOf('t', 'b'))
  assert.deepEqual(
    heard.map((record) => Buffer.from(record.value!).toString()),
    ['b'],
  )
  database.close()
})

test('tombstones are known by user at once, the latest of them, and stay in the log as well (O1)', async () => {
  const { database, log } = openLog()
  const control = new SqliteControlLog(database)
  await log.append([...recordsOf('freshet.tombstones', '70', '50'), ...recordsOf('t', '99')])
  assert.deepEqual(await control.tombstones(0), [{ tenant: 'default', user: 'u1', atMs: 70 }])
  assert.deepEqual(await control.tombstones(1), [])
  assert.equal(log.topicEnd('freshet.tombstones'), 2)
  database.close()
})

test('a record keeps its headers and a given append time', async () => {
  const { database, log } = openLog()
  const heard: SourceRecord[] = []
  log.subscribe((records) => heard.push(...records))
  await log.append([{ topic: 't', key: null, value: null, headers: { a: 'b' }, appendTimeMs: 77 }])
  const [row] = database
    .prepare('SELECT "offset", topic, append_time_ms, key, value, headers FROM log')
    .all() as never[]
  assert.deepEqual(log.toRecord(row!), heard[0])
  assert.deepEqual(heard[0], {
    topic: 't',
    partition: 0,
    offset: 0,
    appendTimeMs: 77,
    key: null,
    value: null,
    headers: { a: 'b' },
  })
  database.close()
})

test('the log is cut to its bytes from the oldest on, but never above what is not committed', async () => {
  const { database, log } = openLog()
  for (let i = 0; i < 200; i++) log.appendNow(recordsOf('t', 'x'.repeat(74))) // 24 + 2 + 74 = 100 bytes each
  assert.equal(logBytes(database), 20_000)
  const bounds = { bytesMax: 5_000, ageMsMax: 1e12, nowMs }
  assert.equal(await cutLog(database, { ...bounds, keepFrom: 30 }), 30)
  assert.equal(await cutLog(database, { ...bounds, keepFrom: 200 }), 120)
  assert.equal(logBytes(database), 5_000)
  assert.equal(await cutLog(database, { ...bounds, keepFrom: 200 }), 0)
  database.close()
})

test('the log is cut by age, keeps its last record, and goes on counting', async () => {
  const { database, log } = openLog()
  for (nowMs = 1_000; nowMs < 1_010; nowMs++) log.appendNow(recordsOf('t', 'x'))
  const bounds = { bytesMax: 1e12, ageMsMax: 5, keepFrom: 10 }
  assert.equal(await cutLog(database, { ...bounds, nowMs: 1_010 }), 5)
  assert.equal(await cutLog(database, { ...bounds, nowMs: 9_999 }), 4)
  assert.equal(rowCount(database), 1)
  assert.equal(log.appendNow(recordsOf('t', 'x')).firstOffset, 10)
  database.close()
})

test('what waits at the close is appended, and nothing after it', async () => {
  const { database, log } = openLog()
  const waiting = log.append(recordsOf('t', 'a'))
  log.close()
  await waiting
  await assert.rejects(log.append(recordsOf('t', 'b')), { code: 'log-closed' })
  assert.equal(rowCount(database), 1)
  database.close()
})

test('tombstones are read as the data path reads them; what it cannot decode is none', async () => {
  const decoder: RecordDecoder = {
    decode: ({ value }) => {
      const text = Buffer.from(value!).toString()
      if (text === 'broken') throw new RecordError('record-frame', 'expected a frame')
      if (text === 'later') throw new UnavailableError('schema-source', 'expected an answer')
      const of = { tenant: 'default' as TenantId, user: text as UserId }
      return text === 'ignored'
        ? { ...of, kind: 'ignored', reason: 'r' }
        : { ...of, kind: 'tombstone', atMs: 7 }
    },
  }
  const { database, log } = openLog({ tombstoneOf: tombstoneReader(decoder) })
  await log.append(recordsOf('freshet.tombstones', 'broken', 'ignored', 'u9'))
  assert.deepEqual(await new SqliteControlLog(database).tombstones(0), [
    { tenant: 'default', user: 'u9', atMs: 7 },
  ])
  // Taken in unread, a tombstone would be missing from the take-over: better refused until it can be read.
  await assert.rejects(log.append(recordsOf('freshet.tombstones', 'later')), { code: 'schema-source' })
  assert.equal(log.endOffset(), 3)
  database.close()
})
