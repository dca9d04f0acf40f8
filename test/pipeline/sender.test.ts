/** One write until its answer is known: what is sent again, what is given up, and what stops everything. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ConfigError, RecordError, UnavailableError } from '../../src/errors.ts'
import { GENERAL, vectorName } from '../../src/instructions/instruction.ts'
import { InstructionRegistry } from '../../src/instructions/registry.ts'
import type { ModelId } from '../../src/model/embedding-model.ts'
import { Sender, type Write } from '../../src/pipeline/sender.ts'
import { DEFAULT_PIPELINE_SETTINGS } from '../../src/pipeline/settings.ts'
import { readView, type View } from '../../src/pipeline/view.ts'
import { ModelRegistry } from '../../src/vectors/model-registry.ts'
import { pointId } from '../../src/vectors/names.ts'
import type { Point, RefusedPoint, StoredPoint } from '../../src/vectors/vector-store.ts'

const HOUR_MS = 3_600_000
const EPOCH = 100

function viewOf(models: readonly string[], registry = InstructionRegistry.initial()): View {
  const [active] = models as readonly ModelId[]
  const record = { offset: 0, active: active!, also: null, existing: models as readonly ModelId[] }
  return readView(registry, ModelRegistry.first(record))
}

/** The registry of `viewOf`, one record later: `general` is retired. */
function withoutGeneral(): InstructionRegistry {
  const general = InstructionRegistry.initial().instructions.get(GENERAL)!
  const instruction = { ...general, status: 'retired' as const }
  return InstructionRegistry.initial().apply({ offset: 0, kind: 'instruction', instruction })
}

const point: Point = {
  kind: 'vectors',
  id: pointId('default\0ada' as never),
  payload: {
    userId: 'ada' as never,
    tenantId: 'default' as never,
    segment: null,
    lastEventAtMs: null,
    asOfDay: '2026-01-15',
    inputHash: 'h',
    model: 'ma' as ModelId,
    expiresAtMs: null,
  },
  vectors: new Map([[vectorName(GENERAL, null), Float32Array.of(1)]]),
}

/** What the store answers, call by call; the last answer goes on. */
type Answer = Error | RefusedPoint[]

class Bench {
  readonly sent: { name: string; version: unknown; points: readonly Point[] }[] = []
  readonly sleptMs: number[] = []
  readonly settings = { ...DEFAULT_PIPELINE_SETTINGS }
  nowMs = 0
  /** Time that a sleep takes beside what was asked for. */
  lateMs = 0
  view = viewOf(['ma'])
  /** The view after the next reading, or why there is none. */
  next: View | Error = this.view
  stored: (StoredPoint | Error | undefined)[] = [undefined]
  reads = 0
  maySend = () => true
  isOwned = () => true
  fencedBy: number | undefined
  readonly ownership = {
    epoch: EPOCH,
    readBackDone: false,
    maySend: () => this.maySend(),
    fenced: (epoch: number) => {
      this.fencedBy = epoch
    },
  }

  readonly stopping = new AbortController()
  readonly answers: Answer[]

  constructor(...answers: Answer[]) {
    this.answers = answers
  }

  send() {
    const vectors = {
      upsert: async (name: string, version: unknown, points: readonly Point[]) => {
        this.sent.push({ name, version, points })
        const answer = this.answers[Math.min(this.sent.length, this.answers.length) - 1]!
        if (answer instanceof Error) throw answer
        return answer
      },
      get: async () => {
        const found = this.stored[Math.min(this.reads++, this.stored.length - 1)]
        if (found instanceof Error) throw found
        return new Map(found === undefined ? [] : [[point.id, found]])
      },
    }
    const bench = this
    const control = {
      get view() {
        return bench.view
      },
      readToEnd: async () => {
        if (bench.next instanceof Error) throw bench.next
        bench.view = bench.next
      },
    }
    const clock = {
      nowMs: () => this.nowMs,
      sleep: async (ms: number) => {
        this.sleptMs.push(ms)
        this.nowMs += ms + this.lateMs
      },
    }
    const { settings, ownership } = this
    const stopping = this.stopping.signal
    const sender = new Sender({ clock, settings, ownership, control, vectors, stopping } as never)
    const write: Write = {
      target: viewOf(['ma']).main,
      version: { epoch: EPOCH, write: 7 },
      points: [point],
      isOwned: () => this.isOwned(),
    }
    return sender.send(write)
  }
}

const down = (retryAfterMs = 1_000) => new UnavailableError('test-down', 'down', { retryAfterMs })
const config = (code: 'collection-missing' | 'vector-name-unknown' | 'qdrant-key') =>
  new ConfigError(code, 'as told')

test('a retry sends the same bytes under the same version, and waits longer each time (E4)', async () => {
  const bench = new Bench(down(), down(), down(), down(), [])
  assert.deepEqual(await bench.send(), { outcome: 'acknowledged', refused: [] })
  assert.equal(bench.sent.length, 5)
  assert.equal(new Set(bench.sent.map(({ points }) => points)).size, 1)
  assert.equal(new Set(bench.sent.map(({ version }) => JSON.stringify(version))).size, 1)
  assert.deepEqual(bench.sleptMs, [1_000, 2_000, 4_000, 8_000])
})

test('what the server asks for is waited for, however long; our own patience is capped', async () => {
  const bench = new Bench(down(60_000), down(9_000), [])
  await bench.send()
  assert.deepEqual(bench.sleptMs, [60_000, 10_000])
})

test('who stops sends nothing again, and waits for nothing', async () => {
  const bench = new Bench(down())
  bench.stopping.abort()
  assert.deepEqual(await bench.send(), { outcome: 'unknown', refused: [] })
  assert.deepEqual([bench.sent.length, bench.sleptMs], [1, []])
})

test('when patience ends, the outcome is unknown and nothing waits any longer', async () => {
  const bench = new Bench(down())
  bench.settings.sendAttemptsMax = 3
  assert.deepEqual(await bench.send(), { outcome: 'unknown', refused: [] })
  assert.equal(bench.sent.length, 3)
  assert.equal(bench.sleptMs.length, 2)
})

test('nothing is repeated after an hour, by then a purged stub may be gone (V3)', async () => {
  const bench = new Bench(down())
  bench.settings.sendAttemptsMax = 100
  bench.lateMs = HOUR_MS / 2
  assert.equal((await bench.send()).outcome, 'unknown')
  assert.equal(bench.sent.length, 2)
})

test('who may no longer be the owner sends nothing more, nor does a write of partitions that moved on (V3)', async () => {
  for (const rule of ['maySend', 'isOwned'] as const) {
    const bench = new Bench(down())
    bench[rule] = () => bench.sent.length < 2
    assert.equal((await bench.send()).outcome, 'unknown')
    assert.equal(bench.sent.length, 2, rule)
    const never = new Bench([])
    never[rule] = () => false
    assert.equal((await never.send()).outcome, 'unknown')
    assert.equal(never.sent.length, 0, rule)
  }
})

test('points that the store will never take are told, and the others are acknowledged', async () => {
  const refused = [{ id: point.id, error: new RecordError('point-too-large', 'too large') }]
  assert.deepEqual(await new Bench(refused).send(), { outcome: 'acknowledged', refused })
})

for (const code of ['collection-missing', 'vector-name-unknown'] as const) {
  test(`${code}: what the registry still wants was lost, and everything stops with what to do`, async () => {
    const cause = config(code)
    const bench = new Bench(cause)
    await assert.rejects(bench.send(), (error: Error) => {
      assert.ok(error instanceof ConfigError)
      assert.equal(error.code, 'vectors-lost')
      assert.equal(error.cause, cause)
      assert.match(error.message, /freshet collections rebuild/)
      return true
    })
    assert.equal(bench.sent.length, 1)
  })

  test(`${code}: what a newer record dropped is no loss, and the users come again under the new view`, async () => {
    const later = code === 'collection-missing' ? viewOf(['mb']) : viewOf(['ma'], withoutGeneral())
    const bench = new Bench(config(code))
    bench.next = later
    assert.deepEqual(await bench.send(), { outcome: 'unknown', refused: [] })
    assert.equal(bench.sent.length, 1, 'the old bytes are not sent again')
  })

  test(`${code}: while the control topics can't be read nobody can say, so the users come again`, async () => {
    const bench = new Bench(config(code))
    bench.next = down()
    assert.equal((await bench.send()).outcome, 'unknown')
  })
}

test('a key that the server refuses stops everything at once', async () => {
  const bench = new Bench(config('qdrant-key'))
  await assert.rejects(bench.send(), { code: 'qdrant-key' })
  assert.equal(bench.sent.length, 1)
})

const storedAt = (epoch: number): StoredPoint => ({ version: { epoch, write: 1 }, writtenAtMs: 0, point })

test('the first write of an epoch is read back, the later ones are not (V4)', async () => {
  const bench = new Bench([])
  bench.stored = [storedAt(EPOCH)]
  assert.equal((await bench.send()).outcome, 'acknowledged')
  assert.equal((await bench.send()).outcome, 'acknowledged')
  assert.equal(bench.reads, 1)
})

test('a first write that was refused by a newer epoch says so, and is not acknowledged (V4)', async () => {
  const bench = new Bench([])
  bench.stored = [storedAt(EPOCH + 1)]
  assert.equal((await bench.send()).outcome, 'unknown')
  assert.equal(bench.fencedBy, EPOCH + 1)
})

test('a first write of which nothing was taken shows nothing: the next one is read back instead (V4)', async () => {
  const error = new RecordError('point-refused', 'as told')
  const bench = new Bench([{ id: point.id, error }], [])
  bench.stored = [storedAt(EPOCH + 1)]
  assert.equal((await bench.send()).outcome, 'acknowledged')
  assert.deepEqual([bench.reads, bench.fencedBy], [0, undefined])
  assert.equal((await bench.send()).outcome, 'unknown')
  assert.equal(bench.fencedBy, EPOCH + 1)
})

test('a first write that could not be read back is sent again: it counts only once it was seen (V4)', async () => {
  const bench = new Bench([])
  bench.stored = [down(), storedAt(EPOCH)]
  assert.equal((await bench.send()).outcome, 'acknowledged')
  assert.deepEqual([bench.sent.length, bench.reads], [2, 2])
})
