/** Hazards made on purpose over real Kafka, each the one that a rule of docs/consistency.md is there for: no luck is needed. */

import type { TestContext } from 'node:test'
import { userKey } from '../../src/events/ids.ts'
import type { EmbeddingModel } from '../../src/model/embedding-model.ts'
import type { Changelog, ChangelogRecord } from '../../src/pipeline/changelog.ts'
import type { EventSource } from '../../src/pipeline/event-source.ts'
import { pointId } from '../../src/vectors/names.ts'
import type { Point, VectorStore } from '../../src/vectors/vector-store.ts'
import type { PipelineModules } from '../pipeline/consistency/pipeline-modules.ts'
import { textModel } from '../pipeline/text-model.ts'
import { until } from './driver-fixture.ts'
import { features, newWorld, say, search, searches, settles, TENANT, type World } from './world.ts'
import { committedAll, Gate, openOwner, openWorker, replacing, type Worker } from './world-worker.ts'

/** What is taken out: nothing, where it is empty. */
export interface Without {
  modules?: PipelineModules
  /** The store takes every write as if it were the newest. */
  fence?: true
}

export interface Hazard {
  world: World
  /** Who owns all partitions when it is over. */
  owner: Worker
}

/** Of every user something, before the hazard. */
const BEFORE = 80
/** Compaction within a second. */
export const EAGER = {
  'segment.ms': '100',
  'max.compaction.lag.ms': '100',
  'min.cleanable.dirty.ratio': '0.001',
}

export function heldModel(gate: Gate): EmbeddingModel {
  const embedUsers: EmbeddingModel['embedUsers'] = async (users, instructions) => {
    await gate.pass()
    return textModel.embedUsers(users, instructions)
  }
  return { ...textModel, embedUsers }
}

/** @param isHeld which appends wait at the gate */
export function heldChangelog(gate: Gate, isHeld: (records: readonly ChangelogRecord[]) => boolean) {
  return (changelog: Changelog): Changelog =>
    replacing(changelog, {
      append: async (partition, records) => {
        if (isHeld(records)) await gate.pass()
        return changelog.append(partition, records)
      },
    })
}

/** @param isHeld which writes wait at the gate */
export function heldVectors(gate: Gate, isHeld: (collection: string, points: readonly Point[]) => boolean) {
  return (vectors: VectorStore): VectorStore =>
    replacing(vectors, {
      upsert: async (name, version, points) => {
        if (isHeld(name, points)) await gate.pass()
        return vectors.upsert(name, version, points)
      },
    })
}

/** A store without a fence: whoever writes last has the last word. */
export function unfenced(vectors: VectorStore): VectorStore {
  let writes = 0
  return replacing(vectors, {
    upsert: (name, _version, points) => vectors.upsert(name, { epoch: 1, write: ++writes }, points),
  })
}

const isIn = (group: string, user: string) => (name: string, points: readonly Point[]) =>
  name === `freshet_${group}_text` && points.some(({ id }) => id === pointId(userKey(TENANT, user as never)))
const isState = (records: readonly ChangelogRecord[]) => records[0]?.kind === 'state'

const codeOf = ({ modules }: Without) => (modules === undefined ? {} : { modules })

/** A former owner's write to the store and its append to the changelog land when another owns the partition long since. */
export async function lateWrites(t: TestContext, without: Without = {}) {
  const world = await newWorld(t, { changelog: EAGER })
  if (without.fence === true) world.vectors = unfenced(world.vectors)
  const [write, append] = [new Gate(t), new Gate(t)]
  let landed = 0
  let refused = 0
  const counted = (vectors: VectorStore): VectorStore =>
    replacing(vectors, {
      upsert: async (name, version, points) => {
        const answer = await vectors.upsert(name, version, points)
        const ids = points.map(({ id }) => id)
        for (const { version: found } of (await vectors.get(name, ids, [])).values())
          if (found.epoch > version.epoch) refused++
        landed++
        return answer
      },
    })
  const a = await openOwner(t, world, {
    ...codeOf(without),
    vectors: (vectors) => heldVectors(write, isIn('main', 'u0'))(counted(vectors)),
    changelog: heldChangelog(append, isState),
  })
  await say(world, [...searches(BEFORE), features('u0', 0.1)])
  await committedAll(world, a)
  write.hold()
  await say(world, [search('u0')])
  await until('a write is on its way', () => write.waiting === 1)
  append.hold()
  await say(world, [search('u1')])
  await until('an append is on its way', () => append.waiting > 0)
  a.partFromGroup()
  const b = await openOwner(t, world, codeOf(without))
  await say(world, [search('u0'), search('u1'), features('u0', 0.2), ...searches(40)])
  await committedAll(world, b)
  // What lands late meets a store in which the new owner's vectors are.
  await settles(world)
  landed = 0
  write.release()
  append.release()
  await until('the write has landed', () => landed > 0)
  await until('nothing of it is on its way', () => a.updater.ownership.stage !== 'owner' || isStill(a))
  return { world, owner: b, refused: () => refused }
}

/** Whoever lost its group starts nothing new: what it had begun is over. */
const isStill = ({ updater }: Worker) =>
  !updater.ownership.maySend(Date.now()) &&
  [...updater.ownership.partitions.values()].every(({ entries }) =>
    [...entries.values()].every(({ inFlight }) => inFlight.size === 0),
  )

/** Somebody restores a partition, stands still while another takes it over and works, and then claims it. */
export async function lateClaim(t: TestContext, without: Without = {}): Promise<Hazard> {
  const world = await newWorld(t)
  const former = await openOwner(t, world)
  await say(world, searches(BEFORE))
  await settles(world)
  await committedAll(world, former)
  await former.stop()
  const [restored, later] = [new Gate(t), new Gate(t)]
  restored.hold()
  let isAnswered = false
  const a = await openWorker(t, world, {
    ...codeOf(without),
    // It can't learn of its eviction from a heartbeat, and what its group says later doesn't reach it.
    kafka: { heartbeatIntervalMs: 600_000 },
    source: (source) =>
      deafSource(source, restored, later, () => {
        isAnswered = true
        a.joinNoMore()
      }),
  })
  await until('it has restored', () => restored.waiting === 1)
  const b = await openOwner(t, world)
  await say(world, searches(40))
  await committedAll(world, b)
  await until('a second has passed', () => Math.floor(Date.now() / 1000) > b.updater.ownership.epoch)
  restored.release()
  await until('its claim is answered', () => isAnswered)
  const isIdle = () => a.updater.ownership.stage === 'idle'
  await until(
    'it has given up, or done its worst',
    async () => isIdle() || (a.updater.idle && (await isAtEnd(a))),
  )
  await until('it may send no more', () => !a.updater.ownership.maySend(Date.now()))
  await say(world, searches(40))
  await committedAll(world, b)
  return { world, owner: b }
}

async function isAtEnd({ updater, source }: Worker): Promise<boolean> {
  for (const [number, { readPositions }] of updater.ownership.partitions)
    for (const [topic, end] of await source.endOffsets(number))
      if (readPositions.get(topic) !== end) return false
  return true
}

/**
 * @param restored where it waits when everything is restored, and nothing is claimed yet
 * @param later where its later commits wait
 * @param answered called when a commit was answered, truly
 */
function deafSource(source: EventSource, restored: Gate, later: Gate, answered: () => void): EventSource {
  let isAnswered = false
  return replacing(source, {
    committed: async (partition) => {
      const positions = await source.committed(partition)
      if (partition === source.partitionCount - 1) await restored.pass()
      return positions
    },
    start: (listener) => {
      let isTold = false
      return source.start({
        assigned: (assignment) => {
          if (!isTold) listener.assigned(assignment)
          isTold = true
        },
        revoked: () => {},
        records: (batch) => listener.records(batch),
      })
    },
    commit: async (generation, offsets) => {
      // What it asks after that gets no answer before the test is over.
      await later.pass()
      const answer = await source.commit(generation, offsets)
      if (!isAnswered) later.hold()
      isAnswered = true
      answered()
      return answer
    },
  })
}

/** While a user's vector of one group is on its way, something happens to the user. */
export async function newsInFlight(t: TestContext, without: Without = {}): Promise<Hazard> {
  const world = await newWorld(t)
  const write = new Gate(t)
  const owner = await openOwner(t, world, {
    ...codeOf(without),
    vectors: heldVectors(write, isIn('slow', 'u0')),
  })
  await say(world, searches(BEFORE))
  await settles(world)
  write.hold()
  await say(world, [search('u0')])
  await until('a write of the slow group is on its way', () => write.waiting === 1)
  await say(world, [search('u0')])
  await committedAll(world, owner)
  write.release()
  return { world, owner }
}

/** The owner dies when vectors are written and the states that say so are not. */
export async function deathBeforeFlush(t: TestContext, without: Without = {}): Promise<Hazard> {
  const world = await newWorld(t)
  const append = new Gate(t)
  const a = await openOwner(t, world, { ...codeOf(without), changelog: heldChangelog(append, isState) })
  await say(world, searches(BEFORE))
  await committedAll(world, a)
  append.hold()
  await say(world, [search('u0'), search('u0'), search('u0')])
  await until('a state is on its way', () => append.waiting > 0)
  return dieAndBeReplaced(t, world, a)
}

/** The owner dies while what it has read is being embedded. */
export async function deathInEmbedding(t: TestContext, without: Without = {}): Promise<Hazard> {
  const world = await newWorld(t)
  const embedding = new Gate(t)
  const a = await openOwner(t, world, { ...codeOf(without), model: heldModel(embedding) })
  await say(world, searches(BEFORE))
  await committedAll(world, a)
  embedding.hold()
  await say(world, [search('u0'), search('u0'), search('u0')])
  await until('they are embedded', () => embedding.waiting > 0)
  return dieAndBeReplaced(t, world, a)
}

/** Its offsets are committed first, as far as it says that they may be. */
async function dieAndBeReplaced(t: TestContext, world: World, a: Worker): Promise<Hazard> {
  for (let round = 0; round < 3; round++) await a.updater.commitOnce()
  a.kill()
  const owner = await openOwner(t, world)
  await say(world, [search('u0')])
  await committedAll(world, owner)
  return { world, owner }
}

/** Compacts the changelog until no key of it is there twice. */
export async function compact({ partitionCount }: World, { changelog }: Worker): Promise<void> {
  const isTwice = async (partition: number) => {
    const last = new Map<string, boolean>()
    let overwritten = 0
    for await (const { records } of changelog.read(partition, 0))
      for (const { record } of records) {
        if (record.kind === 'claim') continue
        const key = `${record.kind} ${record.epoch} ${record.kind === 'state' ? record.user : ''}`
        if (last.get(key) === true) overwritten++
        last.set(key, record.kind !== 'state' || record.state !== null)
      }
    return overwritten > 0
  }
  for (let partition = 0; partition < partitionCount; partition++)
    await until('it is compacted', async () => {
      // Segments are rolled by what comes after them; a claim of no epoch says nothing.
      await changelog.append(partition, [{ kind: 'claim', epoch: 0 }])
      return !(await isTwice(partition))
    })
}
