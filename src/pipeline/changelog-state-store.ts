/** `StateStore` over a changelog and its local copy: state that moves with its partition (O1, O4-O6). */

import { setImmediate } from 'node:timers/promises'
import { UnavailableError } from '../errors.ts'
import type { UserKey } from '../events/ids.ts'
import { userKey } from '../events/ids.ts'
import { emptyState } from '../window/apply.ts'
import { joinStates } from '../window/join.ts'
import { checkState, decodeState, encodeState } from '../window/state-codec.ts'
import type { UserState, WindowCaps } from '../window/user-state.ts'
import type {
  Changelog,
  ChangelogPage,
  ChangelogRecord,
  CopyHead,
  LocalState,
  LocalStates,
} from './changelog.ts'
import { restoring } from './channels.ts'
import type { Checkpoint, Restored, StateStore } from './state-store.ts'

/** Of a restore that was interrupted: nobody looks at it. */
const NOTHING: Restored = { checkpoint: null, highestEpoch: 0 }

/**
 * States that are read, joined and written between two turns of the event loop: 50 ms at most. Heartbeats wait behind them, and
 * an owner that misses those is replaced while it restores, for ever.
 */
const TURN_STATES = 64

type StateRecord = ChangelogRecord & { kind: 'state' }

export class ChangelogStateStore implements StateStore {
  private readonly changelog: Changelog
  private readonly disk: LocalStates
  private readonly caps: () => WindowCaps
  private readonly userBytesMax: number | undefined
  /** Copies that follow what is appended here: nobody else has appended anything since they were read. */
  private readonly following = new Map<number, CopyHead>()

  /** @param userBytesMax bytes of one user's state */
  constructor(changelog: Changelog, disk: LocalStates, caps: () => WindowCaps, userBytesMax?: number) {
    this.changelog = changelog
    this.disk = disk
    this.caps = caps
    this.userBytesMax = userBytesMax
  }

  async restore(partition: number, signal?: AbortSignal): Promise<Restored> {
    const { changelog, disk } = this
    this.following.delete(partition)
    const isOver = () => signal?.aborted === true
    const topicId = await changelog.topicId()
    let head = disk.head(partition)
    // O6: a copy of another topic is a copy of nothing.
    if (head !== undefined && head.topicId !== topicId) disk.clear(partition)
    if (head?.topicId !== topicId)
      head = { topicId, position: 0, checkpoints: [], highestEpoch: 0, highestClaim: 0 }
    let records = 0
    for await (const page of changelog.read(partition, head.position, signal)) {
      if (isOver()) return NOTHING
      for (const part of partsOf(page)) {
        if (part !== page) await setImmediate()
        if (isOver()) return NOTHING
        // Before anything is claimed: what we can't read is for others to own.
        for (const { record } of part.records)
          if (record.kind === 'state' && record.state !== null) checkState(record.state)
        head = this.copyPage(partition, head, part)
      }
      records += page.records.length
      restoring.publish({ partition, records, left: Math.max(0, page.end - page.next) })
    }
    if (isOver()) return NOTHING
    for (const [at, user] of disk.liveUsers(partition).entries()) {
      if (at % TURN_STATES === TURN_STATES - 1) await setImmediate()
      if (isOver()) return NOTHING
      this.keepEvents(partition, user)
    }
    this.following.set(partition, head)
    return { checkpoint: newest(head.checkpoints), highestEpoch: head.highestEpoch }
  }

  release(partition: number): void {
    this.following.delete(partition)
  }

  read(partition: number, key: UserKey): UserState | undefined {
    const local = this.local(partition, key)
    return local && decodeState(local.state)
  }

  users(partition: number, after: UserKey | null, limit: number): UserKey[] {
    return this.disk.users(partition, after, limit)
  }

  spill(partition: number, state: UserState): void {
    const key = userKey(state.tenant, state.user)
    const { epochs = [], doubtedEpoch = 0 } = this.local(partition, key) ?? {}
    this.disk.writeLive(partition, key, { state: this.encode(state), epochs, doubtedEpoch })
  }

  async appendStates(partition: number, states: readonly UserState[]): Promise<void> {
    const records = states.map((state) => {
      const user = userKey(state.tenant, state.user)
      return { kind: 'state' as const, user, epoch: state.epoch, state: this.encode(state) }
    })
    const older: ChangelogRecord[] = []
    for (const record of records) {
      const { user, epoch } = record
      const local = this.local(partition, user)
      const epochs = local?.epochs ?? []
      for (const old of epochs) if (old < epoch) older.push({ kind: 'state', user, epoch: old, state: null })
      this.disk.writeLive(partition, user, {
        state: this.joined(local, epoch, record.state),
        epochs: [...epochs.filter((old) => old > epoch), epoch],
        doubtedEpoch: local?.doubtedEpoch ?? 0,
      })
    }
    await this.append(partition, records)
    // O5: older keys go only once the newer is durable; whether they go at once is of no matter, so nobody waits.
    if (older.length > 0) this.append(partition, older).catch(() => {})
  }

  appendCheckpoint(partition: number, checkpoint: Checkpoint): Promise<void> {
    const { epoch, confirmed } = checkpoint
    return this.append(partition, [
      confirmed ? { kind: 'checkpoint', epoch, checkpoint } : { kind: 'claim', epoch },
    ])
  }

  async close(): Promise<void> {}

  private local(partition: number, user: UserKey): LocalState | undefined {
    return this.disk.live(partition, user) ?? this.disk.copied(partition, user)
  }

  private encode(state: UserState): Uint8Array {
    return encodeState(state, this.userBytesMax)
  }

  private async append(partition: number, records: readonly ChangelogRecord[]): Promise<void> {
    this.follow(partition, await this.changelog.append(partition, records), records)
  }

  /**
   * What was appended where the copy ends is part of the copy, so that the next restore needn't read it. Where it lies
   * elsewhere, others have appended: only a restore reads that, and until then the copy stays where it is.
   */
  private follow(partition: number, first: number, records: readonly ChangelogRecord[]): void {
    const head = this.following.get(partition)
    // An append of before the restore was read by it.
    if (head === undefined || (first >= 0 && first < head.position)) return
    this.following.delete(partition)
    if (first !== head.position) return
    const positioned = records.map((record, at) => ({ position: first + at, record }))
    const next = first + records.length
    const page = { records: positioned, next, end: next }
    try {
      this.following.set(partition, this.copyPage(partition, head, page))
    } catch (error) {
      // A full disk: the copy stays behind, and what is durable is durable.
      if (!(error instanceof UnavailableError)) throw error
    }
  }

  private copyPage(partition: number, head: CopyHead, { records, next }: ChangelogPage): CopyHead {
    const checkpoints = new Map(head.checkpoints.map((checkpoint) => [checkpoint.epoch, checkpoint]))
    let { highestEpoch, highestClaim } = head
    const copied = new Map<UserKey, LocalState>()
    for (const { record } of records) {
      const { epoch } = record
      highestEpoch = Math.max(highestEpoch, epoch)
      if (record.kind === 'claim') highestClaim = Math.max(highestClaim, epoch)
      else if (record.kind === 'state') {
        const kept = copied.get(record.user) ?? this.disk.copied(partition, record.user)
        const local = this.copiedWith(kept, record, epoch < highestClaim)
        if (local !== undefined) copied.set(record.user, local)
      } else if (record.checkpoint === null) checkpoints.delete(epoch)
      else checkpoints.set(epoch, record.checkpoint)
    }
    const { topicId } = head
    const after = {
      topicId,
      position: next,
      checkpoints: [...checkpoints.values()],
      highestEpoch,
      highestClaim,
    }
    this.disk.writePage(partition, copied, after)
    return after
  }

  /**
   * Joins one record into the copy; the changelog knows better than the copy what was written of the same epoch.
   *
   * @param isLate a former owner appended it after a newer claim. It tells truly what happened to the user; but of that
   *   owner's writes, those since the claim may have been refused without its knowing, or have replaced what was
   *   acknowledged before. Whatever was acknowledged up to its epoch counts for nothing: the closing sweep looks at the
   *   user anew (O5, O7)
   */
  private copiedWith(
    kept: LocalState | undefined,
    { epoch, state }: StateRecord,
    isLate: boolean,
  ): LocalState | undefined {
    const otherEpochs = (kept?.epochs ?? []).filter((known) => known !== epoch)
    if (state === null) return kept === undefined ? undefined : { ...kept, epochs: otherEpochs }
    const doubtedEpoch = Math.max(kept?.doubtedEpoch ?? 0, isLate ? epoch : 0)
    const joined = this.joined(kept, epoch, state)
    return { state: this.without(joined, doubtedEpoch), epochs: [...otherEpochs, epoch], doubtedEpoch }
  }

  /** What is known, and a later record: an owner's next record of a user holds all of its last one. */
  private joined(known: LocalState | undefined, epoch: number, state: Uint8Array): Uint8Array {
    const isOfOneOwner = known?.epochs.length === 1 && known.epochs[0] === epoch
    // Not a view of the page that was read, which would stay in memory with it.
    if (known === undefined || isOfOneOwner) return state.slice()
    const both = joinedLater(decodeState(known.state), decodeState(state), this.caps())
    return this.encode(both)
  }

  /** The state without acknowledgements of doubted epochs. */
  private without(bytes: Uint8Array, doubtedEpoch: number): Uint8Array {
    if (doubtedEpoch === 0) return bytes
    const state = decodeState(bytes)
    const acknowledged = new Map([...state.acknowledged].filter(([, known]) => known.epoch > doubtedEpoch))
    return acknowledged.size === state.acknowledged.size ? bytes : this.encode({ ...state, acknowledged })
  }

  /** O6: a former run's live state adds what happened; what was acknowledged, due or parked the changelog alone knows. */
  private keepEvents(partition: number, user: UserKey): void {
    const live = decodeState(this.disk.live(partition, user)!.state)
    const copied = this.disk.copied(partition, user)
    const known = copied === undefined ? emptyState(live.tenant, live.user) : decodeState(copied.state)
    const { acknowledged, dueMs, parked, epoch } = known
    const joined = { ...joinStates(live, known, this.caps()), acknowledged, dueMs, parked, epoch }
    this.disk.writeLive(partition, user, {
      state: this.encode(joined),
      epochs: copied?.epochs ?? [],
      doubtedEpoch: copied?.doubtedEpoch ?? 0,
    })
  }
}

/** A page in parts that leave others their turn; a small one is itself. */
function partsOf(page: ChangelogPage): ChangelogPage[] {
  const { records, next } = page
  if (records.length <= TURN_STATES) return [page]
  const parts: ChangelogPage[] = []
  for (let from = 0; from < records.length; from += TURN_STATES) {
    const part = records.slice(from, from + TURN_STATES)
    const isLast = from + TURN_STATES >= records.length
    parts.push({ ...page, records: part, next: isLast ? next : part.at(-1)!.position + 1 })
  }
  return parts
}

/** Of one epoch the later record says what was acknowledged; the join alone could not tell which is later. */
function joinedLater(earlier: UserState | undefined, later: UserState, caps: WindowCaps): UserState {
  if (earlier === undefined) return later
  const isSameEpoch = earlier.epoch === later.epoch
  return joinStates(isSameEpoch ? { ...earlier, epoch: later.epoch - 0.5 } : earlier, later, caps)
}

/** O4: the confirmed checkpoint of the highest epoch; claims whose check never passed count for nothing. */
function newest(checkpoints: readonly Checkpoint[]): Checkpoint | null {
  let best: Checkpoint | null = null
  for (const checkpoint of checkpoints)
    if (checkpoint.confirmed && (best === null || checkpoint.epoch > best.epoch)) best = checkpoint
  return best
}
