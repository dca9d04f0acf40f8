/** What is committed when, and which partitions wait while too much is unacknowledged. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Committer } from '../../src/pipeline/committer.ts'
import type { EventSource, Positions } from '../../src/pipeline/event-source.ts'
import type { Ownership } from '../../src/pipeline/ownership.ts'
import { Partition } from '../../src/pipeline/partition.ts'
import { Pauses } from '../../src/pipeline/pauses.ts'
import { DEFAULT_PIPELINE_SETTINGS } from '../../src/pipeline/settings.ts'
import type { StateStore } from '../../src/pipeline/state-store.ts'

const CAPS = { paybill: 0, search: 1, miniprogram: 0, spm: 0, app: 0 }

function open() {
  const committed: number[] = []
  const paused = new Set<number>()
  /** Answers to commits, in the order in which they were sent. */
  const answers: { accept: () => void; fail: () => void }[] = []
  const source = {
    commit: (_generation: number, offsets: ReadonlyMap<number, Positions>) => {
      committed.push(offsets.get(0)!.get('t')!)
      return new Promise<boolean>((resolve, reject) =>
        answers.push({
          accept: () => resolve(true),
          fail: () => reject(new TypeError('a mistake of ours')),
        }),
      )
    },
    pause: ([number]: readonly [number]) => paused.add(number),
    resume: ([number]: readonly [number]) => paused.delete(number),
  } as unknown as EventSource
  const store = { appendCheckpoint: async () => {} } as unknown as StateStore
  const partitions = new Map<number, Partition>()
  const join = (number: number) => {
    const partition = new Partition(number, ['t'], new Map(), CAPS, store)
    partitions.set(number, partition)
    return partition
  }
  const ownership = {
    stage: 'owner',
    generation: 1,
    epoch: 1,
    partitions,
    checkpoint: () => ({ day: 1 }),
    accepted: () => {},
    lost: () => {},
  } as unknown as Ownership
  const committer = new Committer({
    clock: { nowMs: () => 0, sleep: async () => {} },
    settings: { ...DEFAULT_PIPELINE_SETTINGS, unacknowledgedRecordsMax: 10 },
    source,
    pauses: new Pauses(source),
    store,
    ownership,
    isBounded: () => true,
  })
  return { committer, join, committed, answers, paused, partitions }
}

const drain = () => new Promise((resolve) => setImmediate(resolve))

test('a commit under way answers whoever asks for one; a stop gets one that begins after it asked', async () => {
  const { committer, join, committed, answers } = open()
  const partition = join(0)
  partition.read[0] = 5
  const first = committer.commitOnce()
  assert.equal(committer.commitOnce(), first)
  await drain()
  partition.read[0] = 8
  let isDone = false
  const last = committer.commitAnew().then(() => {
    isDone = true
  })
  answers[0]!.accept()
  await first
  await drain()
  assert.deepEqual(committed, [5, 8])
  assert.equal(isDone, false)
  answers[1]!.accept()
  await last
})

test('a stop commits after one that failed, too', async () => {
  const { committer, join, committed, answers } = open()
  join(0)
  const first = assert.rejects(committer.commitOnce(), TypeError)
  await drain()
  const last = committer.commitAnew()
  answers[0]!.fail()
  await first
  await drain()
  answers[1]!.accept()
  await last
  assert.equal(committed.length, 2)
})

test('a partition that joins while too much waits is held back like the others, and goes on with them', () => {
  const { committer, join, paused, partitions } = open()
  const first = join(0)
  first.read[0] = 10
  committer.keepBounds()
  assert.deepEqual([...paused], [0])
  join(1)
  committer.keepBounds()
  assert.deepEqual([...paused], [0, 1])
  // Between the two limits nothing changes, for whoever joins neither.
  first.committed(new Map([['t', 2]]))
  join(2)
  committer.keepBounds()
  assert.deepEqual([...paused], [0, 1, 2])
  first.committed(new Map([['t', 3]]))
  committer.keepBounds()
  assert.deepEqual([...paused], [])
  // One that left took its backlog along.
  first.read[0] = 20
  committer.keepBounds()
  assert.equal(paused.size, 3)
  partitions.delete(0)
  committer.keepBounds()
  assert.deepEqual([...paused], [0])
})
