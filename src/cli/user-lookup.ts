/** One user as the running pipeline knows them: state, what is stored, and whether the vectors are behind. */

import { RequestError, UnavailableError } from '../errors.ts'
import { splitUserKey, type UserKey, userKey } from '../events/ids.ts'
import type { Partition } from '../pipeline/partition.ts'
import type { Snapshot } from '../pipeline/snapshot.ts'
import { UserEntry } from '../pipeline/user-entry.ts'
import type { Target } from '../pipeline/view.ts'
import type { AnswerHead, UserRef } from '../server/service.ts'
import { dayString } from '../window/day.ts'
import type { UserState } from '../window/user-state.ts'
import type { Parts } from './parts.ts'

const PAGE_USERS = 1_000

export interface KnownUser {
  key: UserKey
  state: UserState
  /** Not part of the partition: looking must not keep anybody in memory. */
  entry: UserEntry
}

export class UserLookup {
  private readonly parts: Parts

  constructor(parts: Parts) {
    this.parts = parts
  }

  /** Those that are ours. @throws {UnavailableError} `not-ready`, while partitions are being taken over */
  partitions(): Partition[] {
    const { stage, generation, partitions } = this.parts.updater.ownership
    if (stage === 'taking' || (stage === 'idle' && generation < 0)) throw notReady()
    return [...partitions.values()]
  }

  /** @returns undefined: nobody knows the user, or another worker does */
  find({ tenant, user }: UserRef): KnownUser | undefined {
    const { updater, backend } = this.parts
    const partition = updater.ownership.partitions.get(backend.partitionOf(user))
    const key = userKey(tenant, user)
    if (partition === undefined || !partition.knows(key)) return undefined
    const inMemory = partition.entries.get(key)
    // A reading through a copy of its own leaves the order of eviction as it was.
    const entry = new UserEntry(key, partition)
    entry.dirty = inMemory?.dirty ?? false
    if (inMemory?.state !== undefined) entry.state = inMemory.state
    const state = partition.stateOf(entry)
    if (inMemory?.state === undefined) partition.grow(entry, -entry.sizeBytes)
    return { key, state, entry }
  }

  /**
   * Whether the user's state is here, should there be one.
   *
   * @throws {UnavailableError} `not-ready`
   */
  isHere({ user }: UserRef): boolean {
    const number = this.parts.backend.partitionOf(user)
    if (this.parts.updater.ownership.restoring.includes(number)) throw notReady()
    return this.partitions().some((partition) => partition.number === number)
  }

  /** @throws {RequestError} `user-elsewhere` */
  checkHere(ref: UserRef): void {
    if (this.isHere(ref)) return
    const partition = this.parts.backend.partitionOf(ref.user)
    throw new RequestError(
      'user-elsewhere',
      `expected a user of the partitions that this worker holds, got ${ref.user} of partition ${partition}: ask the worker that holds it (GET /status of each says what it holds)`,
      { status: 421 },
    )
  }

  /** @throws {RequestError} `user-unknown`, `user-elsewhere` */
  known(ref: UserRef): KnownUser {
    this.checkHere(ref)
    const found = this.find(ref)
    if (found !== undefined) return found
    throw new RequestError(
      'user-unknown',
      `expected a user of whom there are events, got ${ref.user} of tenant ${ref.tenant}: check the id, or ingest the user's events`,
      { status: 404 },
    )
  }

  /** @returns at most `size` users whose state is stored, spread over all of them in the store's order */
  sample(size: number): KnownUser[] {
    const keys = this.partitions().flatMap((partition) => storedUsersOf(partition))
    const step = Math.max(1, keys.length / size)
    const chosen: KnownUser[] = []
    for (let at = 0; Math.floor(at) < keys.length && chosen.length < size; at += step) {
      const known = this.find(splitUserKey(keys[Math.floor(at)]!))
      if (known !== undefined) chosen.push(known)
    }
    return chosen
  }

  snapshot({ entry, state }: KnownUser, target: Target): Snapshot {
    const { ownership, snapshots } = this.parts.updater
    return snapshots.of(entry, state, target, ownership.day)
  }

  /** Whether what is stored is known to be older than what was read. */
  isStale(known: KnownUser, target: Target): boolean {
    const acknowledged = known.state.acknowledged.get(target.key)
    return target.texts.group.paused || acknowledged?.inputHash !== this.snapshot(known, target).inputHash
  }

  /** @param stale whether the answer as a whole is behind */
  head(stale: boolean): AnswerHead {
    const { control, ownership } = this.parts.updater
    return { model: control.view.models.active, asOf: dayString(ownership.day), stale }
  }
}

function storedUsersOf(partition: Partition): UserKey[] {
  const keys: UserKey[] = []
  for (;;) {
    const page = partition.storedUsers(keys.at(-1) ?? null, PAGE_USERS)
    keys.push(...page)
    if (page.length < PAGE_USERS) return keys
  }
}

function notReady(): UnavailableError {
  return new UnavailableError(
    'not-ready',
    'expected a freshet that has taken over what is its own, got one that is still at it: try again',
  )
}
