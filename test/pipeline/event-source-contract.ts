/** What every source of events promises; each driver runs it over itself. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { SourceRecord } from '../../src/events/source-record.ts'
import type { Assignment, EventSource, Positions, SourceListener } from '../../src/pipeline/event-source.ts'

export interface EventSourceUnderTest {
  source: EventSource
  /** Puts one record into partition 0; resolves when it is durable. */
  append(topic: string, value: string): Promise<void>
  /** The same group, later: a new source over what is durable. */
  reopen(): Promise<EventSourceUnderTest>
  dispose(): Promise<void>
}

/** What each promise is kept with: two topics that are read, and one that isn't. */
interface Topics {
  app: string
  search: string
  other: string
}

/** Keeps what it is told. */
class Listener implements SourceListener {
  readonly assignments: Assignment[] = []
  readonly received: SourceRecord[] = []
  onRecords: (batch: readonly SourceRecord[]) => void = () => {}

  assigned(assignment: Assignment): void {
    this.assignments.push(assignment)
  }

  revoked(): void {}

  records(batch: readonly SourceRecord[]): void {
    const places = new Set(batch.map(({ topic, partition }) => `${topic} ${partition}`))
    assert.equal(places.size, 1, 'a batch must be of one topic and partition')
    this.received.push(...batch)
    this.onRecords(batch)
  }

  values(topic: string): string[] {
    return this.received
      .filter((record) => record.topic === topic)
      .map((record) => Buffer.from(record.value!).toString())
  }
}

/** @param nameOf makes names that no other test has, where all tests share a broker */
export function eventSourceContract(
  what: string,
  open: (topics: readonly string[]) => Promise<EventSourceUnderTest>,
  nameOf: (topic: string) => string = (topic) => topic,
): void {
  const promise = (
    sentence: string,
    work: (under: EventSourceUnderTest, listener: Listener, topics: Topics) => Promise<EventSourceUnderTest>,
  ) =>
    test(`${what}: ${sentence}`, async () => {
      const topics = {
        app: nameOf('behavior.app'),
        search: nameOf('behavior.search'),
        other: nameOf('somebody-else'),
      }
      const under = await open([topics.app, topics.search])
      await (await work(under, new Listener(), topics)).dispose()
    })

  promise(
    'partitions are assigned at the start, and nothing is read before a seek',
    async (under, listener, { app }) => {
      await under.append(app, 'a0')
      await under.source.start(listener)
      await until(() => listener.assignments.length > 0)
      assert.ok(listener.assignments[0]!.partitions.includes(0))
      await turns(20)
      assert.deepEqual(listener.received, [])
      return under
    },
  )

  promise(
    'records come from their positions on, in order in each topic, of no other topic',
    async (under, listener, { app, search, other }) => {
      for (let i = 0; i < 5; i++) {
        await under.append(app, `a${i}`)
        await under.append(other, 'x')
        await under.append(search, `s${i}`)
      }
      await started(under.source, listener)
      under.source.seek(0, new Map())
      await until(() => listener.received.length >= 10)
      const third = listener.received.filter((record) => record.topic === app)[3]!.offset
      assert.deepEqual(listener.values(app), ['a0', 'a1', 'a2', 'a3', 'a4'])
      assert.deepEqual(listener.values(search), ['s0', 's1', 's2', 's3', 's4'])
      listener.received.length = 0
      under.source.seek(0, new Map([[app, third], ...(await ends(under.source, [search]))]))
      await until(() => listener.received.length >= 2)
      await turns(20)
      assert.deepEqual(listener.values(app), ['a3', 'a4'])
      assert.deepEqual(listener.values(search), [])
      return under
    },
  )

  promise('offsets rise, and are the same whoever reads them', async (under, listener, { app }) => {
    for (let i = 0; i < 4; i++) await under.append(app, `a${i}`)
    await started(under.source, listener)
    under.source.seek(0, new Map())
    await until(() => listener.received.length >= 4)
    await under.append(app, 'a4')
    await until(() => listener.received.length >= 5)
    const offsets = listener.received.map((record) => record.offset)
    assert.deepEqual(
      offsets,
      [...new Set(offsets)].sort((a, b) => a - b),
    )
    await under.source.stop()
    const again = new Listener()
    const next = await under.reopen()
    await started(next.source, again)
    next.source.seek(0, new Map())
    await until(() => again.received.length >= 5)
    assert.deepEqual(again.received.map(asText), listener.received.map(asText))
    return next
  })

  promise(
    'whatever is appended, paused, resumed and sought meanwhile: nothing is lost or out of order',
    async (first, _, { app, search, other }) => {
      let under = first
      const step = fc.oneof(
        { weight: 6, arbitrary: fc.constantFrom<string>(app, search, other) },
        { weight: 3, arbitrary: fc.constantFrom('pause', 'resume', 'turn', 'turns', 'seek') },
      )
      let count = 0
      await fc.assert(
        fc.asyncProperty(fc.array(step, { maxLength: 40, size: 'max' }), async (steps) => {
          const listener = new Listener()
          const start = await ends(under.source, [app, search])
          under = await under.reopen()
          await started(under.source, listener)
          under.source.seek(0, start)
          const expected: Record<string, string[]> = { [app]: [], [search]: [], [other]: [] }
          for (const what of steps) {
            if (what === 'pause') under.source.pause([0])
            else if (what === 'resume') under.source.resume([0])
            else if (what === 'turn') await turns(1)
            else if (what === 'turns') await turns(5)
            else if (what === 'seek') {
              // As after a schema that could not be fetched: on from what was read.
              under.source.seek(0, positionsAfter(listener, start))
            } else {
              const value = `v${count++}`
              expected[what]!.push(value)
              await under.append(what, value)
            }
          }
          under.source.resume([0])
          await until(() => listener.received.length >= expected[app]!.length + expected[search]!.length)
          await turns(3)
          for (const topic of [app, search]) assert.deepEqual(listener.values(topic), expected[topic])
          await under.source.stop()
        }),
        { seed: 20261221, numRuns: 30 },
      )
      return under
    },
  )

  promise(
    'a pause within a batch holds all that follows until the resume',
    async (under, listener, { app, search }) => {
      for (let i = 0; i < 3; i++) {
        await under.append(app, `a${i}`)
        await under.append(search, `s${i}`)
      }
      await started(under.source, listener)
      listener.onRecords = () => under.source.pause([0])
      under.source.seek(0, new Map())
      await until(() => listener.received.length > 0)
      const before = listener.received.length
      await under.append(app, 'late')
      await turns(20)
      assert.equal(listener.received.length, before)
      listener.onRecords = () => {}
      under.source.resume([0])
      await until(() => listener.received.length >= 7)
      assert.deepEqual(listener.values(app), ['a0', 'a1', 'a2', 'late'])
      return under
    },
  )

  promise(
    'a commit is accepted in its own generation only, and found by the next owner (O1)',
    async (under, listener, { app }) => {
      await under.append(app, 'a0')
      await started(under.source, listener)
      const { generation } = listener.assignments[0]!
      assert.equal((await under.source.committed(0)).size, 0)
      assert.equal(await under.source.commit(generation, new Map([[0, new Map([[app, 1]])]])), true)
      assert.equal(await under.source.commit(generation + 1, new Map([[0, new Map([[app, 9]])]])), false)
      assert.equal(await under.source.commit(generation - 1, new Map([[0, new Map([[app, 9]])]])), false)
      assert.equal((await under.source.committed(0)).get(app), 1)
      await under.source.stop()
      const next = await under.reopen()
      assert.equal((await next.source.committed(0)).get(app), 1)
      return next
    },
  )

  promise(
    'the end of a topic is behind its last record, whatever the others hold',
    async (under, listener, { app, search }) => {
      await under.append(app, 'a0')
      await under.append(search, 's0')
      await started(under.source, listener)
      under.source.seek(0, new Map())
      await until(() => listener.received.length >= 2)
      const end = await under.source.endOffsets(0)
      for (const record of listener.received) assert.equal(end.get(record.topic), record.offset + 1)
      return under
    },
  )

  promise('nothing is handed out after the stop', async (under, listener, { app }) => {
    await started(under.source, listener)
    under.source.seek(0, new Map())
    await turns(3)
    await under.append(app, 'a0')
    await under.source.stop()
    const before = listener.received.length
    await under.append(app, 'a1')
    await turns(20)
    assert.equal(listener.received.length, before)
    return under
  })
}

/** A record with its bytes as text: whether they came in a Buffer is nobody's business. */
function asText({ key, value, ...rest }: SourceRecord) {
  const text = (bytes: Uint8Array | null) => bytes && Buffer.from(bytes).toString()
  return { ...rest, key: text(key), value: text(value) }
}

async function started(source: EventSource, listener: Listener): Promise<void> {
  await source.start(listener)
  await until(() => listener.assignments.length > 0)
}

async function ends(source: EventSource, topics: readonly string[]): Promise<Map<string, number>> {
  const all = await source.endOffsets(0)
  return new Map(topics.map((topic) => [topic, all.get(topic) ?? 0]))
}

function positionsAfter(listener: Listener, start: Positions): Map<string, number> {
  const positions = new Map(start)
  for (const { topic, offset } of listener.received) positions.set(topic, offset + 1)
  return positions
}

async function turns(count: number): Promise<void> {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve))
}

/** Lets the event loop turn until it is so; a source that waits for a network may take a while. */
async function until(isSo: () => boolean, timeoutMs = 60_000): Promise<void> {
  const startMs = performance.now()
  while (!isSo()) {
    assert.ok(performance.now() - startMs < timeoutMs, 'waited in vain')
    await turns(1)
  }
}
