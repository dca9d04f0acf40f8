/** `StateStore` over a changelog and its local copy: state that moves with its partition (O1, O4-O6). */

import type { UserKey } from '../events/ids.ts'
import { userKey } from '../events/ids.ts'
import { joinStates } from '../window/join.ts'
import type { UserState, WindowCaps } from '../window/user-state.ts'
import type { Changelog, ChangelogRecord, LocalStates } from './changelog.ts'
import type { Checkpoint, Restored, StateStore } from './state-store.ts'

export class ChangelogStateStore implements StateStore {
  private readonly changelog: Changelog
  private readonly local: LocalStates
  private readonly caps: () => WindowCaps

  constructor(changelog: Changelog, local: LocalStates, caps: () => WindowCaps) {
    this.changelog = changelog
    this.local = local
    this.caps = caps
  }

  async restore(partition: number, signal?: AbortSignal): Promise<Restored> {
    const { changelog, local } = this
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
    const latest = new Map<string, ChangelogRecord>()
    for (const { position, record } of records) {
      highestEpoch = Math.max(highestEpoch, record.epoch)
      if (record.kind === 'checkpoint') {
        if (record.checkpoint === null) checkpoints.delete(record.epoch)
        else checkpoints.set(record.epoch, record.checkpoint)
      } else if (position >= from) latest.set(`${record.epoch} ${record.user}`, record)
    }
    for (const record of latest.values())
      if (record.kind === 'state') this.copy(partition, record.user, record)
    local.advance(partition, { topicId, position: end })
    return { checkpoint: newest([...checkpoints.values()]), highestEpoch }
  }

  release(_partition: number): void {}

  read(partition: number, key: UserKey): UserState | undefined {
    return this.local.read(partition, key)?.state
  }

  users(partition: number, after: UserKey | null, limit: number): UserKey[] {
    return this.local.users(partition, after, limit)
  }

  spill(partition: number, state: UserState): void {
    const key = userKey(state.tenant, state.user)
    this.local.write(partition, key, state, this.local.read(partition, key)?.epochs ?? [])
  }

  async appendStates(partition: number, states: readonly UserState[]): Promise<void> {
    const records = states.map((state) => {
      const user = userKey(state.tenant, state.user)
      return { kind: 'state' as const, user, epoch: state.epoch, state }
    })
    const appended = this.changelog.append(partition, records)
    const older: ChangelogRecord[] = []
    for (const { user, epoch, state } of records) {
      const epochs = this.local.read(partition, user)?.epochs ?? []
      for (const old of epochs) if (old < epoch) older.push({ kind: 'state', user, epoch: old, state: null })
      this.local.write(partition, user, state, [...epochs.filter((old) => old > epoch), epoch])
    }
    await appended
    // O5: older keys go only once the newer is durable; whether they go at once is of no matter, so nobody waits.
    if (older.length > 0) this.changelog.append(partition, older).catch(() => {})
  }

  appendCheckpoint(partition: number, checkpoint: Checkpoint): Promise<void> {
    return this.changelog.append(partition, [{ kind: 'checkpoint', epoch: checkpoint.epoch, checkpoint }])
  }

  async close(): Promise<void> {}

  /** Joins one record into the copy; the changelog knows better than the copy what was written of the same epoch. */
  private copy(partition: number, user: UserKey, record: ChangelogRecord & { kind: 'state' }): void {
    const kept = this.local.read(partition, user)
    if (record.state === null) {
      if (kept === undefined) return
      const epochs = kept.epochs.filter((epoch) => epoch !== record.epoch)
      this.local.write(partition, user, kept.state, epochs)
      return
    }
    const epochs = [...new Set([...(kept?.epochs ?? []), record.epoch])]
    if (kept === undefined) {
      this.local.write(partition, user, record.state, epochs)
      return
    }
    // Of one epoch the later record says what was acknowledged; the join alone could not tell which is later.
    const earlier =
      kept.state.epoch === record.epoch ? { ...kept.state, epoch: record.epoch - 0.5 } : kept.state
    this.local.write(partition, user, joinStates(earlier, record.state, this.caps()), epochs)
  }
}

/** O4: the confirmed checkpoint of the highest epoch; claims whose check never passed count for nothing. */
function newest(checkpoints: readonly Checkpoint[]): Checkpoint | null {
  let best: Checkpoint | null = null
  for (const checkpoint of checkpoints)
    if (checkpoint.confirmed && (best === null || checkpoint.epoch > best.epoch)) best = checkpoint
  return best
}
