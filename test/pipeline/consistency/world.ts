/** What the workers share in the consistency model: the log, the group, the changelog, the control topics, the sink. */

import type { UserRecord } from '../../../src/events/behavior-event.ts'
import type { UserKey } from '../../../src/events/ids.ts'
import type { SourceRecord } from '../../../src/events/source-record.ts'
import type { GroupName, Instruction, InstructionId } from '../../../src/instructions/instruction.ts'
import type { RegistryRecord } from '../../../src/instructions/registry.ts'
import type { ModelId } from '../../../src/model/embedding-model.ts'
import type {
  ChangelogRecord,
  CopyHead,
  LocalState,
  PositionedRecord,
} from '../../../src/pipeline/changelog.ts'
import type { ModelRecord } from '../../../src/vectors/model-registry.ts'
import { MapSink, type Sink } from './sinks.ts'

/** A tenth of a day: what one tick of the world's time is. */
export const UNIT_MS = 8_640_000
export const DAY_UNITS = 10
/** Requests older than this, in units, are dead: their connection is gone. */
export const REQUEST_UNITS_MAX = 30

export const TOPICS = ['a', 'b', 'tabular', 'tombstones'] as const
export const PARTITIONS = 2
export const USERS = ['u0', 'u1', 'u2'] as const
export const partitionOf = (user: string): number => (user === 'u2' ? 1 : 0)

/** A record as the fake decoder reads it: what it says comes along. */
export interface WorldRecord extends SourceRecord {
  says: UserRecord
  /** Compaction took it. */
  gone: boolean
}

export interface Request {
  /** Makes it take effect at the server. */
  land: () => Promise<void>
  /** Tells the sender; false: the reply is lost. */
  reply: () => void
  /** The sender's patience ends. */
  expire: () => void
  sentUnits: number
  sender: { alive: boolean }
  answered: boolean
}

export interface PendingAppend {
  partition: number
  records: ChangelogRecord[]
  /** Where those lie that have landed. */
  positions: number[]
  done: () => void
}

export interface Disk {
  heads: Map<number, CopyHead>
  copies: Map<string, LocalState>
  lives: Map<string, LocalState>
}

export class World {
  nowUnits = 100
  readonly logs = TOPICS.map(() => Array.from({ length: PARTITIONS }, (): WorldRecord[] => []))
  readonly groupOffsets = Array.from({ length: PARTITIONS }, () => new Map<string, number>())
  readonly changelog = Array.from({ length: PARTITIONS }, (): PositionedRecord[] => [])
  readonly changelogEnd = Array.from({ length: PARTITIONS }, () => 0)
  changelogId = 'first'
  readonly instructions: RegistryRecord[] = []
  readonly models: ModelRecord[] = []
  readonly sink: Sink
  readonly requests: Request[] = []
  readonly disks = new Map<number, Disk>()
  generation = 0
  /** Worker id by partition. */
  assignment: number[] = []
  /** Texts of bad events embed again. */
  healed = false
  private events = 0
  private bits: number
  private readonly outstanding = new Set<Promise<unknown>>()

  /** @param sink holds the first model's collections and their aliases already, if it isn't of maps */
  constructor(seed: number, sink: Sink = firstSink()) {
    this.bits = seed | 1
    this.sink = sink
    this.addInstruction('i1', 'main', 'a')
    this.addInstruction('s1', 'slow', 's')
    this.appendModels({ active: 'ma' as ModelId, also: null, existing: ['ma' as ModelId] })
  }

  /** Work on a real store, which takes real time: no step ends before it has. */
  track<T>(work: Promise<T>): Promise<T> {
    const settled: Promise<unknown> = work.then(
      () => this.outstanding.delete(settled),
      () => this.outstanding.delete(settled),
    )
    this.outstanding.add(settled)
    return work
  }

  /** Lets every promise go on that nothing of the model holds back. */
  async drain(): Promise<void> {
    for (;;) {
      await new Promise((resolve) => setImmediate(resolve))
      if (this.outstanding.size === 0) return
      await Promise.all(this.outstanding)
    }
  }

  /** A fair bit of the world's own: what nobody decides. */
  flip(): boolean {
    this.bits = Math.imul(this.bits, 1_103_515_245) + 12_345
    return ((this.bits >>> 16) & 1) === 1
  }

  disk(id: number): Disk {
    let disk = this.disks.get(id)
    if (disk === undefined) {
      disk = { heads: new Map(), copies: new Map(), lives: new Map() }
      this.disks.set(id, disk)
    }
    return disk
  }

  append(topicIndex: number, user: string, says: UserRecord): void {
    const partition = partitionOf(user)
    const log = this.logs[topicIndex]![partition]!
    const offset = log.length
    const appendTimeMs = this.nowUnits * UNIT_MS
    const topic = TOPICS[topicIndex]!
    log.push({ topic, partition, offset, appendTimeMs, key: null, value: null, says, gone: false })
  }

  /** An event `agoUnits` ago in topic a (paybill) or b (search). */
  addEvent(user: string, topicIndex: number, agoUnits: number, bad: boolean): void {
    const id = `e${String(this.events++).padStart(4, '0')}`
    this.append(
      topicIndex,
      user,
      eventRecord(user, topicIndex, id, this.nowUnits - agoUnits, bad ? 'bad' : 'good'),
    )
  }

  /** The same event once more, or a corrected one of the same name. */
  repeatEvent(user: string, topicIndex: number, which: number, corrected: boolean): void {
    const known = this.logs[topicIndex]![partitionOf(user)]!.filter((record) => record.says.user === user)
    const record = known[which % Math.max(known.length, 1)]
    if (record?.says.kind !== 'event') return
    const { event } = record.says
    if (!corrected) this.append(topicIndex, user, record.says)
    else
      this.append(
        topicIndex,
        user,
        eventRecord(user, topicIndex, event.eventId, event.eventTimeMs / UNIT_MS + 3, 'corrected'),
      )
  }

  addTabular(user: string, agoUnits: number | null): void {
    const asOfMs = (this.nowUnits - (agoUnits ?? 0)) * UNIT_MS
    const snapshot =
      agoUnits === null ? null : { featureSet: 'f@1', numeric: { f: this.events++ }, categorical: {} }
    this.append(2, user, { ...who(user), kind: 'tabular', asOfMs, snapshot })
  }

  forget(user: string): void {
    this.append(3, user, { ...who(user), kind: 'tombstone', atMs: this.nowUnits * UNIT_MS })
  }

  addInstruction(id: string, group: string, text: string | null): void {
    const instruction: Instruction = {
      id: id as InstructionId,
      text,
      lang: 'en',
      group: group as GroupName,
      status: text === null ? 'retired' : 'active',
      maxStalenessMs: 1,
      owner: null,
      previous: null,
    }
    this.instructions.push({ offset: this.instructions.length, kind: 'instruction', instruction })
    if (group === 'slow' && this.instructions.length === 2) {
      const slow = { name: group as GroupName, minRefreshMs: 5 * UNIT_MS, paused: false }
      this.instructions.push({ offset: 2, kind: 'group', group: slow })
    }
  }

  appendModels(record: Omit<ModelRecord, 'offset'>): void {
    this.models.push({ ...record, offset: this.models.length })
  }

  /** An operator sets a group offset back, to a share of what it is. */
  resetOffset(partition: number, topic: string, share: number): void {
    const offsets = this.groupOffsets[partition]!
    offsets.set(topic, Math.floor((offsets.get(topic) ?? 0) * share))
  }

  /** @returns its position */
  land(partition: number, record: ChangelogRecord): number {
    const position = this.changelogEnd[partition]!++
    this.changelog[partition]!.push({ position, record })
    return position
  }

  compactChangelog(partition: number): void {
    const keyOf = (r: ChangelogRecord) => `${r.kind} ${r.epoch} ${r.kind === 'state' ? r.user : ''}`
    const last = new Map(this.changelog[partition]!.map(({ position, record }) => [keyOf(record), position]))
    const isDeleted = (r: ChangelogRecord) =>
      (r.kind === 'state' && r.state === null) || (r.kind === 'checkpoint' && r.checkpoint === null)
    const recent = this.changelogEnd[partition]! - 6
    const kept = this.changelog[partition]!.filter(
      ({ position, record }) =>
        last.get(keyOf(record)) === position && (!isDeleted(record) || position > recent),
    )
    this.changelog[partition] = kept
  }

  compactTabular(): void {
    for (const log of this.logs[2]!) {
      const last = new Map(log.map((record) => [record.says.user, record.offset]))
      for (const record of log) if (last.get(record.says.user) !== record.offset) record.gone = true
    }
  }

  purgeStubs(): Promise<void> {
    return this.sink.purgeStubs((this.nowUnits - REQUEST_UNITS_MAX) * UNIT_MS + 1)
  }

  /** The store comes back from its snapshot; the operator rebuilds (V6). */
  async restoreSnapshot(): Promise<void> {
    if (!(await this.sink.restoreSnapshot())) return
    const { active, also, existing } = this.models.at(-1)!
    const known = new Set(
      existing.flatMap((model) => ['main', 'slow'].map((group) => `freshet_${group}_${model}`)),
    )
    for (const name of known) await this.sink.create(name)
    for (const name of [...(await this.sink.content()).keys()])
      if (!known.has(name)) await this.sink.drop(name)
    this.appendModels({ active, also, existing, rebuild: true })
  }
}

function firstSink(): Sink {
  const sink = new MapSink()
  for (const group of ['main', 'slow']) {
    void sink.create(`freshet_${group}_ma`)
    void sink.setAlias(`freshet_${group}`, `freshet_${group}_ma`)
  }
  return sink
}

function who(user: string): { tenant: never; user: never } {
  return { tenant: 'default' as never, user: user as never }
}

export function keyOfUser(user: string): UserKey {
  return `default\0${user}` as UserKey
}

function eventRecord(
  user: string,
  topicIndex: number,
  id: string,
  atUnits: number,
  text: string,
): UserRecord {
  const eventTimeMs = Math.max(0, atUnits) * UNIT_MS
  const head = { source: 's', eventId: id as never, eventTimeMs }
  if (topicIndex === 1) {
    return { ...who(user), kind: 'event', event: { ...head, modality: 'search', fields: { query: text } } }
  }
  const fields = {
    status: 'SETTLED' as const,
    direction: 'OUT' as const,
    amountMinor: null,
    currency: null,
    merchantName: text,
    category: null,
    itemText: null,
    channel: 'UNKNOWN' as const,
    installments: 1,
  }
  return { ...who(user), kind: 'event', event: { ...head, modality: 'paybill', fields } }
}
