/** What freshet answers, in the process that holds the users' states. */

import { RecordError } from '../errors.ts'
import { userKey } from '../events/ids.ts'
import type { Group, InstructionId } from '../instructions/instruction.ts'
import type { Health } from '../observability/health.ts'
import type { Recent } from '../observability/recent.ts'
import type {
  FreshetService,
  IngestResult,
  NearestRequest,
  NewInstruction,
  RawRecord,
  RecallRequest,
  StatusAnswer,
  UserRef,
} from '../server/service.ts'
import { dayString } from '../window/day.ts'
import { checkAtTheDoor } from './at-the-door.ts'
import type { Freshet } from './freshet.ts'
import { LocalInstructions } from './local-instructions.ts'
import { LocalLetters } from './local-letters.ts'
import { LocalRecall } from './local-recall.ts'
import { LocalSearch } from './local-search.ts'
import { LocalUsers } from './local-users.ts'
import { LocalVerify } from './local-verify.ts'
import { ParkedUsers } from './parked-users.ts'
import type { Parts } from './parts.ts'
import { UserLookup } from './user-lookup.ts'
import { freshetVersion } from './version.ts'

/** Counting users reads an index; nobody needs it more often. */
const COUNT_AGE_MS = 1_000
const PARKED_MAX = 100_000

export class LocalService implements FreshetService {
  private readonly parts: Parts
  private readonly freshet: Freshet
  private readonly recent: Recent
  private readonly health: Health
  private readonly lookup: UserLookup
  private readonly search: LocalSearch
  private readonly recalls: LocalRecall
  private readonly registry: LocalInstructions
  private readonly users: LocalUsers
  private readonly checks: LocalVerify
  private readonly letters: LocalLetters
  private readonly parkedUsers: ParkedUsers
  private known = { atMs: Number.NEGATIVE_INFINITY, count: 0 }

  constructor(freshet: Freshet, recent: Recent, health: Health) {
    const { parts } = freshet
    this.parts = parts
    this.freshet = freshet
    this.recent = recent
    this.health = health
    this.lookup = new UserLookup(parts)
    this.search = new LocalSearch(parts, this.lookup)
    this.recalls = new LocalRecall(parts, this.lookup, this.search)
    this.registry = new LocalInstructions(parts)
    this.users = new LocalUsers(parts, this.lookup)
    this.checks = new LocalVerify(parts, this.lookup)
    this.letters = new LocalLetters(parts)
    this.parkedUsers = new ParkedUsers(this.lookup)
  }

  async ingest(records: readonly unknown[]): Promise<IngestResult> {
    const rejected: IngestResult['rejected'] = []
    const accepted = []
    await this.parts.encoder.prepare(topicsOf(records))
    for (const [index, given] of records.entries()) {
      try {
        const { topic, key, value, headers, says } = this.parts.encoder.object(given)
        checkAtTheDoor(this.parts, { topic, key, value }, says)
        accepted.push({ topic, key, value, headers })
      } catch (error) {
        if (!(error instanceof RecordError)) throw error
        rejected.push({ index, code: error.code, message: error.message })
      }
    }
    if (accepted.length > 0) await this.parts.backend.append(accepted)
    return { accepted: accepted.length, rejected }
  }

  async ingestRaw({ topic, key, value }: RawRecord): Promise<IngestResult> {
    const record = { topic, key: Buffer.from(key), value }
    try {
      checkAtTheDoor(this.parts, record)
    } catch (error) {
      if (!(error instanceof RecordError)) throw error
      return { accepted: 0, rejected: [{ index: 0, code: error.code, message: error.message }] }
    }
    await this.parts.backend.append([record])
    return { accepted: 1, rejected: [] }
  }

  nearest(request: NearestRequest) {
    return this.search.nearest(request)
  }

  recall(request: RecallRequest) {
    return this.recalls.measure(request)
  }

  embedTexts(texts: readonly string[]) {
    return this.search.embedTexts(texts)
  }

  user(ref: UserRef, options?: { vectors?: boolean }) {
    return this.users.user(ref, options)
  }

  explain(ref: UserRef) {
    return this.users.explain(ref)
  }

  verify(options: { users?: UserRef[]; sample?: number }) {
    return this.checks.verify(options)
  }

  forget(ref: UserRef) {
    return this.users.forget(ref)
  }

  forgetStatus(ref: UserRef) {
    return this.users.forgetStatus(ref)
  }

  instructions() {
    return this.registry.list()
  }

  addInstruction(instruction: NewInstruction) {
    return this.registry.add(instruction)
  }

  retireInstruction(id: InstructionId) {
    return this.registry.retire(id)
  }

  setGroup(group: Group) {
    return this.registry.setGroup(group)
  }

  parked({ limit }: { limit: number }) {
    return this.parkedUsers.list(limit)
  }

  async retryParked(refs?: readonly UserRef[]): Promise<number> {
    const chosen = refs ?? (await this.parkedUsers.list(PARKED_MAX))
    const { updater } = this.parts
    return chosen.filter(({ tenant, user }) => updater.retryParked(userKey(tenant, user))).length
  }

  deadLetters(options: { limit: number; after?: string; reason?: string }) {
    return this.letters.list(options)
  }

  deadLetter(id: string) {
    return this.letters.show(id)
  }

  retryDeadLetters(options: { ids?: readonly string[]; reason?: string }) {
    return this.letters.retry(options)
  }

  purgeDeadLetters(options: { ids?: readonly string[]; reason?: string }) {
    return this.letters.purge(options)
  }

  async status(): Promise<StatusAnswer> {
    const { updater, backend, opened } = this.parts
    const { ownership, scheduler, sweep } = updater
    const { model } = opened
    const { events, freshness } = this.recent
    return {
      version: freshetVersion(),
      stage: ownership.stage,
      epoch: ownership.epoch,
      partitions: [...ownership.partitions.keys()].sort((a, b) => a - b),
      restoring: this.health.restoring,
      degraded: this.health.degraded,
      model: {
        id: model.id,
        provider: model.provider,
        precision: model.precision,
        dimensions: model.dimensions,
        contentHash: model.contentHash,
      },
      // Before the first take-over there is no day yet.
      asOf: ownership.stage === 'owner' ? dayString(ownership.day) : '',
      users: {
        known: this.userCount(),
        waiting: this.freshet.waiting,
        ready: scheduler.readyCount,
        swept: scheduler.sweptCount,
        parked: this.parkedUsers.count,
      },
      events: { ...events, deadLetters: backend.letters.count(), lag: this.freshet.lag() },
      freshnessMs: freshness,
      sweep: sweep.progress,
      tokens: model.counts(),
      memoryBytes: process.memoryUsage().rss,
    }
  }

  /** A server of vectors that goes away later is degraded, and no reason: events are taken all the same. */
  async ready(): Promise<{ ready: boolean; why: string | null }> {
    const { stage, generation } = this.parts.updater.ownership
    // A group with more workers than partitions has none for some of them: they stand by.
    if (stage === 'owner' || (stage === 'idle' && generation >= 0)) return { ready: true, why: null }
    const outage = this.health.degraded.map((what) => `; ${what}`).join('')
    const { restoring } = this.health
    // One at a time: the one under way is the first that has not ended.
    const now =
      restoring.find(({ left }) => left !== null && left > 0) ?? restoring.find(({ left }) => left === 0)
    const waiting = restoring.filter(({ left }) => left === null).length
    const restore =
      now === undefined
        ? ''
        : `: partition ${now.partition}, ${now.records} records of its changelog restored, at most ${now.left} left${waiting === 0 ? '' : `, ${waiting} more to come`}`
    return {
      ready: false,
      why: `${this.parts.backend.place} is not taken over yet (${stage}${restore})${outage}`,
    }
  }

  /** Users in memory that are not stored yet count as well. */
  userCount(): number {
    const { clock, backend, updater } = this.parts
    const nowMs = clock.nowMs()
    if (nowMs - this.known.atMs >= COUNT_AGE_MS) {
      let count = 0
      for (const { number, entries } of updater.ownership.partitions.values())
        count += Math.max(backend.storedUsers(number), entries.size)
      this.known = { atMs: nowMs, count }
    }
    return this.known.count
  }

  get parkedCount(): number {
    return this.parkedUsers.count
  }

  close(): void {
    this.parkedUsers.close()
  }
}

/** As far as they say so: whatever is wrong with them is said of each. */
function topicsOf(records: readonly unknown[]): string[] {
  return records.flatMap((given) => {
    const topic = typeof given === 'object' && given !== null && 'topic' in given ? given.topic : null
    return typeof topic === 'string' ? [topic] : []
  })
}
