import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SqliteEventLog } from '../../../src/drivers/sqlite/event-log.ts'
import { MAIN_MIGRATIONS } from '../../../src/drivers/sqlite/migrations.ts'
import { SqliteDatabase } from '../../../src/drivers/sqlite/sqlite-database.ts'
import { type DeadLetterBounds, SqliteDeadLetters } from '../../../src/drivers/sqlite/sqlite-dead-letters.ts'
import { SqliteLetters } from '../../../src/drivers/sqlite/sqlite-letters.ts'
import type { SourceRecord } from '../../../src/events/source-record.ts'
import type { DeadLetter } from '../../../src/pipeline/control-log.ts'
import { recordAgain } from '../../../src/pipeline/letters.ts'

function openLetters(bounds?: DeadLetterBounds) {
  const database = new SqliteDatabase({ path: ':memory:', migrations: MAIN_MIGRATIONS })
  const clock = { nowMs: () => 5_000, sleep: async () => {} }
  const log = new SqliteEventLog(database, { clock, tombstoneTopic: 'gone', tombstoneOf: () => null })
  const letters = new SqliteDeadLetters(database, bounds)
  return { database, log, letters, named: new SqliteLetters(letters, log) }
}

function letterOf(offset: number, change: Partial<DeadLetter> = {}): DeadLetter {
  return {
    topic: 't',
    partition: 0,
    offset,
    appendTimeMs: 1_000 + offset,
    key: Buffer.from('u1'),
    value: Uint8Array.of(0, 255, offset),
    headers: { 'content-type': 'avro' },
    reason: 'record-avro-truncated',
    error: 'expected a whole PayBill',
    attempts: 1,
    failedAtMs: 2_000,
    ...change,
  }
}

const offsets = (letters: readonly DeadLetter[]) => letters.map((letter) => letter.offset)

test('a letter keeps the raw bytes and where they came from', async () => {
  const { database, letters } = openLetters()
  const nothing = letterOf(2, { key: null, value: null, headers: {} })
  await letters.put([letterOf(1), nothing])
  const [first, second] = letters.list({}, 0, 10)
  const { id, ...shown } = letters.show(first!.id)!
  assert.deepEqual({ ...shown, key: Buffer.from(shown.key!) }, letterOf(1))
  assert.equal(id, first!.id)
  assert.deepEqual([second!.key, second!.value, second!.headers], [null, null, {}])
  assert.equal(letters.show(999), null)
  database.close()
})

test('of one record put twice one letter is kept', async () => {
  const { database, letters } = openLetters()
  await letters.put([letterOf(1), letterOf(1, { error: 'again' })])
  await letters.put([letterOf(1), letterOf(1, { partition: 1 })])
  assert.equal(letters.count(), 2)
  database.close()
})

test('letters are listed in pages, by reason and by topic', async () => {
  const { database, letters } = openLetters()
  const drawn = [1, 2, 3, 4, 5, 6].map((i) =>
    letterOf(i, { reason: i % 2 === 0 ? 'record-key-null' : 'record-frame', topic: i > 4 ? 'late' : 't' }),
  )
  await letters.put(drawn)
  const page = letters.list({ reason: 'record-key-null' }, 0, 2)
  assert.deepEqual(offsets(page), [2, 4])
  assert.deepEqual(offsets(letters.list({ reason: 'record-key-null' }, page.at(-1)!.id, 2)), [6])
  assert.deepEqual(offsets(letters.list({ topic: 'late', reason: 'record-frame' }, 0, 9)), [5])
  assert.equal(letters.count({ topic: 't' }), 4)
  database.close()
})

test('a letter that is retried is in the log and no longer among the letters, with its append time and its attempts', async () => {
  const { database, log, letters, named } = openLetters()
  const heard: SourceRecord[] = []
  log.subscribe((records) => heard.push(...records))
  await letters.put([letterOf(1), letterOf(2, { reason: 'record-frame' })])
  assert.equal(await named.retry({ reason: 'record-frame' }, recordAgain), 1)
  assert.deepEqual(offsets(letters.list({}, 0, 9)), [1])
  assert.equal(heard.length, 1)
  const { offset, appendTimeMs, value, headers } = heard[0]!
  assert.deepEqual([offset, appendTimeMs, [...value!]], [0, 1_002, [0, 255, 2]])
  // Fails again: the count goes on.
  await letters.put([letterOf(offset, { headers: headers! })])
  assert.equal(letters.list({}, 0, 9).at(-1)!.attempts, 2)
  assert.equal(await named.retry({ ids: [String(letters.list({}, 0, 1)[0]!.id)] }, recordAgain), 1)
  assert.equal(letters.count(), 1)
  database.close()
})

test('an event from the future is retried as of now, and keeps its first append time however often it fails', async () => {
  const { database, log, letters, named } = openLetters()
  const heard: SourceRecord[] = []
  log.subscribe((records) => heard.push(...records))
  await letters.put([letterOf(1, { reason: 'event-from-future' })])
  for (const attempts of [1, 2]) {
    assert.equal(await named.retry({}, recordAgain), 1)
    const { offset, appendTimeMs, headers } = heard.at(-1)!
    assert.equal(appendTimeMs, 5_000)
    assert.deepEqual(headers, {
      'content-type': 'avro',
      'freshet.dlq.attempts': String(attempts),
      'freshet.dlq.first-append-time-ms': '1001',
    })
    await letters.put([letterOf(offset, { appendTimeMs, headers: headers!, reason: 'event-from-future' })])
  }
  database.close()
})

test('letters behind a given one are counted by reason', async () => {
  const { database, letters } = openLetters()
  assert.deepEqual([letters.lastId(), letters.reasonsAfter(0).size], [0, 0])
  await letters.put([letterOf(1)])
  const before = letters.lastId()
  await letters.put([2, 3, 4].map((i) => letterOf(i, { reason: i === 4 ? 'record-frame' : 'record-avro' })))
  assert.deepEqual(
    [...letters.reasonsAfter(before)],
    [
      ['record-avro', 2],
      ['record-frame', 1],
    ],
  )
  database.close()
})

test('a retry that cannot be appended leaves the letters where they are', async () => {
  const { database, log, letters, named } = openLetters()
  await letters.put([letterOf(1)])
  const appendNow = log.appendNow.bind(log)
  log.appendNow = (records) => {
    appendNow(records)
    throw new Error('the disk is full')
  }
  await assert.rejects(named.retry({}, recordAgain))
  assert.equal(letters.count(), 1)
  assert.equal(log.endOffset(), 0)
  database.close()
})

test('beyond their bounds the oldest letters go', async () => {
  const few = openLetters({ lettersMax: 3, bytesMax: 1e9 })
  await few.letters.put([1, 2, 3, 4, 5].map((i) => letterOf(i)))
  assert.deepEqual(offsets(few.letters.list({}, 0, 9)), [3, 4, 5])
  few.database.close()
  const small = openLetters({ lettersMax: 99, bytesMax: 2_500 })
  await small.letters.put([1, 2, 3, 4].map((i) => letterOf(i, { value: new Uint8Array(1_000) })))
  assert.deepEqual(offsets(small.letters.list({}, 0, 9)), [3, 4])
  small.database.close()
})

test('letters have ids that are text, by which they are listed, shown and purged', async () => {
  const { database, letters, named } = openLetters()
  await letters.put(
    [1, 2, 3, 4, 5].map((i) => letterOf(i, { reason: i > 3 ? 'record-frame' : 'record-avro' })),
  )
  const first = await named.list({}, null, 2)
  assert.deepEqual(
    first.map(({ letter }) => letter.offset),
    [1, 2],
  )
  const rest = await named.list({}, first[1]!.id, 9)
  assert.deepEqual(
    rest.map(({ letter }) => letter.offset),
    [3, 4, 5],
  )
  const byId = await named.list({ ids: [rest[2]!.id, 'none', first[0]!.id], reason: 'record-avro' }, null, 9)
  assert.deepEqual(
    byId.map(({ letter }) => letter.offset),
    [1],
  )
  assert.equal((await named.show(rest[0]!.id))?.letter.offset, 3)
  for (const unknown of ['99', '-1', 'x', '1e3', '9'.repeat(400)])
    assert.equal(await named.show(unknown), null)
  assert.equal(await named.purge({ ids: [first[0]!.id, '99'] }), 1)
  assert.equal(await named.purge({ reason: 'record-frame' }), 2)
  assert.deepEqual(offsets(letters.list({}, 0, 9)), [2, 3])
  assert.equal(await named.purge({}), 2)
  assert.equal(named.count(), 0)
  database.close()
})

test('what still is no record stays a letter, and keeps none from being retried, however many there are', async () => {
  const { database, log, letters, named } = openLetters()
  await letters.put(Array.from({ length: 2_500 }, (_, i) => letterOf(i)))
  const isRecord = ({ offset }: DeadLetter) => offset % 1_250 === 0
  assert.equal(await named.retry({}, (letter) => (isRecord(letter) ? recordAgain(letter) : null)), 2)
  assert.equal(log.endOffset(), 2)
  assert.equal(letters.count(), 2_498)
  database.close()
})
