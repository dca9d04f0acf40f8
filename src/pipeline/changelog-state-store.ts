/** `StateStore` over a changelog and its local copy: state that moves with its partition (O1, O4-O6). */

import type { UserKey } from '../events/ids.ts'
import { userKey } from '../events/ids.ts'
import { emptyState } from '../window/apply.ts'
import { joinStates } from '../window/join.ts'
import type { UserState, WindowCaps } from '../window/user-state.ts'
import type { Changelog, ChangelogRecord, LocalState, LocalStates } from './changelog.ts'
import type { Checkpoint, Restored, StateStore } from './state-store.ts'

type StateRecord = ChangelogRecord & { kind: 'state' }

export class ChangelogStateStore implements StateStore {
  private readonly changelog: Changelog
  private readonly disk: LocalStates
  private readonly caps: () => WindowCaps

  constructor(changelog: Changelog, disk: LocalStates, caps: () => WindowCaps) {
    this.changelog = changelog
    this.disk = disk
    this.caps = caps
  }

  async restore(partition: number, signal?: AbortSignal): Promise<Restored> {
    const { changelog, disk: local } = this
    const topicId = await changelog.topicId()
    const copy = local.position(partition)
    // O6: a copy of another topic is a copy of nothing.
    if (copy !== undefined && copy.topicId !== topicId) local.clear(partition)
    const from = copy?.topicId === topicId ? copy.position : 0
    // Checkpoints and epochs are read from the beginning: they come from the changelog, never from the copy.
    const { records, end } = await changelog.read(partition, 0)
    if (signal?.aborted === true) return { checkpoint: null, highestEpoch: 0 }
    const checkpoints = new Map<number, Checkpoint>()
    let highestEpoch = 0
    let highestClaim = 0
    const latest = new Map<string, StateRecord>()
    const late = new Set<StateRecord>()
    for (const { position, record } of records) {
      highestEpoch = Math.max(highestEpoch, record.epoch)
      if (record.kind === 'claim') highestClaim = Math.max(highestClaim, record.epoch)
      else if (record.kind === 'checkpoint') {
        if (record.checkpoint === null) checkpoints.delete(record.epoch)
        else checkpoints.set(record.epoch, record.checkpoint)
      } else {
        if (record.state !== null && record.epoch < highestClaim) late.add(record)
        if (position >= from) latest.set(`${record.epoch} ${record.user}`, record)
      }
    }
    for (const record of latest.values()) this.copy(partition, record)
    for (const record of late) this.doubt(partition, record)
    local.advance(partition, { topicId, position: end })
    for (const user of local.liveUsers(partition)) this.keepEvents(partition, user)
    return { checkpoint: newest([...checkpoints.values()]), highestEpoch }
  }

  release(_partition: number): void {}

  read(partition: number, key: UserKey): UserState | undefined {
    return this.local(partition, key)?.state
  }

  users(partition: number, after: UserKey | null, limit: number): UserKey[] {
    return this.disk.users(partition, after, limit)
  }

  spill(partition: number, state: UserState): void {
    const key = userKey(state.tenant, state.user)
    this.disk.writeLive(partition, key, { state, epochs: this.local(partition, key)?.epochs ?? [] })
  }

  async appendStates(partition: number, states: readonly UserState[]): Promise<void> {
    const records = states.map((state) => {
      const user = userKey(state.tenant, state.user)
      return { kind: 'state' as const, user, epoch: state.epoch, state }
    })
    const appended = this.changelog.append(partition, records)
    const older: ChangelogRecord[] = []
    for (const { user, epoch, state } of records) {
      const epochs = this.local(partition, user)?.epochs ?? []
      for (const old of epochs) if (old < epoch) older.push({ kind: 'state', user, epoch: old, state: null })
      this.disk.writeLive(partition, user, { state, epochs: [...epochs.filter((old) => old > epoch), epoch] })
    }
    await appended
    // O5: older keys go only once the newer is durable; whether they go at once is of no matter, so nobody waits.
    if (older.length > 0) this.changelog.append(partition, older).catch(() => {})
  }

  appendCheckpoint(partition: number, checkpoint: Checkpoint): Promise<void> {
    const { epoch, confirmed } = checkpoint
    return this.changelog.append(partition, [
      confirmed ? { kind: 'checkpoint', epoch, checkpoint } : { kind: 'claim', epoch },
    ])
  }

  async close(): Promise<void> {}

  private local(partition: number, user: UserKey): LocalState | undefined {
    return this.disk.live(partition, user) ?? this.disk.copied(partition, user)
  }

  /** Joins one record into the copy; the changelog knows better than the copy what was written of the same epoch. */
  private copy(partition: number, record: StateRecord): void {
    const { user, epoch, state } = record
    const kept = this.disk.copied(partition, user)
    const otherEpochs = (kept?.epochs ?? []).filter((known) => known !== epoch)
    if (state === null) {
      if (kept !== undefined) this.disk.writeCopy(partition, user, { state: kept.state, epochs: otherEpochs })
      return
    }
    // Of one epoch the later record says what was acknowledged; the join alone could not tell which is later.
    const earlier = kept?.state.epoch === epoch ? { ...kept.state, epoch: epoch - 0.5 } : kept?.state
    const joined = earlier === undefined ? state : joinStates(earlier, state, this.caps())
    this.disk.writeCopy(partition, user, { state: joined, epochs: [...otherEpochs, epoch] })
  }

  /**
   * What a former owner appended after a newer claim tells truly what happened to the user; but of its writes, those
   * since the claim may have been refused without its knowing, or have replaced what was acknowledged before. Whatever
   * was acknowledged up to its epoch counts for nothing: the closing sweep looks at the user anew (O5, O7).
   */
  private doubt(partition: number, { user, epoch }: StateRecord): void {
    const kept = this.disk.copied(partition, user)
    if (kept === undefined) return
    const acknowledged = new Map([...kept.state.acknowledged].filter(([, known]) => known.epoch > epoch))
    this.disk.writeCopy(partition, user, { ...kept, state: { ...kept.state, acknowledged } })
  }

  /** O6: a former run's live state adds what happened; what was acknowledged, due or parked the changelog alone knows. */
  private keepEvents(partition: number, user: UserKey): void {
    const { state: live } = this.disk.live(partition, user)!
    const copied = this.disk.copied(partition, user)
    const known = copied?.state ?? emptyState(live.tenant, live.user)
    const { acknowledged, dueMs, parked, epoch } = known
    const joined = { ...joinStates(live, known, this.caps()), acknowledged, dueMs, parked, epoch }
    this.disk.writeLive(partition, user, { state: joined, epochs: copied?.epochs ?? [] })
  }
}

/** O4: the confirmed checkpoint of the highest epoch; claims whose check never passed count for nothing. */
function newest(checkpoints: readonly Checkpoint[]): Checkpoint | null {
  let best: Checkpoint | null = null
  for (const checkpoint of checkpoints)
    if (checkpoint.confirmed && (best === null || checkpoint.epoch > best.epoch)) best = checkpoint
  return best
}
