import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openDataDirectory } from '../../../src/drivers/sqlite/data-directory.ts'
import { SqliteEventLog } from '../../../src/drivers/sqlite/event-log.ts'
import { SqliteEventSource } from '../../../src/drivers/sqlite/sqlite-event-source.ts'
import type { SourceRecord } from '../../../src/events/source-record.ts'
import { systemClock } from '../../../src/pipeline/clock.ts'
import { type EventSourceUnderTest, eventSourceContract } from '../../pipeline/event-source-contract.ts'
import { tempDirectory } from './temp-directory.ts'

function openAt(path: string, topics: readonly string[]) {
  const directory = openDataDirectory({ path, access: 'write', nowMs: 0 })
  const log = new SqliteEventLog(directory.main, {
    clock: systemClock,
    tombstoneTopic: 'freshet.tombstones',
    tombstoneOf: () => null,
  })
  const source = new SqliteEventSource(directory.main, log, { topics, clock: systemClock })
  const under: EventSourceUnderTest = {
    source,
    append: async (topic, value) => {
      await log.append([{ topic, key: Buffer.from('u1'), value: Buffer.from(value) }])
    },
    reopen: async () => {
      await source.stop()
      log.close()
      directory.close()
      return openAt(path, topics).under
    },
    dispose: async () => {
      await source.stop()
      log.close()
      directory.close()
    },
  }
  return { under, log, directory, source }
}

eventSourceContract('sqlite', async (topics) => openAt(tempDirectory(), topics).under)

test('at the end of the log, records go from the appender to the reader without the disk', async () => {
  const { under, log, source } = openAt(tempDirectory(), ['t'])
  const received: SourceRecord[] = []
  await source.start({ assigned: () => {}, revoked: () => {}, records: (batch) => received.push(...batch) })
  source.seek(0, new Map())
  await new Promise((resolve) => setImmediate(resolve))
  const value = Buffer.from('the very bytes')
  await log.append([{ topic: 't', key: null, value }])
  while (received.length === 0) await new Promise((resolve) => setImmediate(resolve))
  assert.equal(received[0]!.value, value, 'other bytes than those appended: they were read back')
  // Far more than memory holds for a reader that is paused: the rest comes from disk, in order.
  source.pause([0])
  const records = Array.from({ length: 9_000 }, (_, i) => ({
    topic: 't',
    key: null,
    value: Buffer.from(`${i}`),
  }))
  for (let i = 0; i < 5; i++) await log.append(records)
  source.resume([0])
  while (received.length < 45_001) await new Promise((resolve) => setImmediate(resolve))
  assert.deepEqual(
    received.map((record) => record.offset),
    Array.from({ length: 45_001 }, (_, i) => i),
  )
  await under.dispose()
})

test('positions beyond the end of the log pass over nothing that comes', async () => {
  const { under, log, source } = openAt(tempDirectory(), ['t'])
  const received: SourceRecord[] = []
  await source.start({ assigned: () => {}, revoked: () => {}, records: (batch) => received.push(...batch) })
  source.seek(0, new Map([['t', 1_000_000]]))
  await log.append([{ topic: 't', key: null, value: Buffer.from('x') }])
  while (received.length === 0) await new Promise((resolve) => setImmediate(resolve))
  await under.dispose()
})

test('retention keeps what is not committed, and a topic that is read to its end holds nothing back', async () => {
  const { under, log, source } = openAt(tempDirectory(), ['rare', 'busy'])
  await log.append([{ topic: 'rare', key: null, value: Buffer.from('x') }])
  for (let i = 0; i < 3; i++) await log.append([{ topic: 'busy', key: null, value: Buffer.from('y') }])
  assert.equal(source.keepFrom(), 0)
  await source.commit(1, new Map([[0, new Map([['busy', 3]])]]))
  assert.equal(source.keepFrom(), 0, 'rare has a record that nobody has committed')
  await source.commit(1, new Map([[0, new Map([['rare', 1]])]]))
  assert.equal(source.keepFrom(), 3)
  await source.commit(1, new Map([[0, new Map([['busy', 4]])]]))
  assert.equal(source.keepFrom(), 4)
  await under.dispose()
})
