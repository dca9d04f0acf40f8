/** Two states of one user become one: associative, commutative, idempotent (S1-S3), so no order of records matters. */

import { invariant } from '../errors.ts'
import { type BehaviorEvent, TEXT_MODALITIES } from '../events/behavior-event.ts'
import { emptyState, greaterTabular, hideTabular } from './apply.ts'
import { compareEvents, compareUtf8, compareVersions } from './event-order.ts'
import type { UserState, WindowCaps } from './user-state.ts'

/**
 * @param caps events kept per modality; both states may hold more
 * @returns a new state; events are shared with `a` and `b`, which stay as they are
 * @throws {BugError} when the states are of two users
 */
export function joinStates(a: UserState, b: UserState, caps: WindowCaps): UserState {
  invariant(a.tenant === b.tenant && a.user === b.user, 'expected two states of one user, got two users')
  const joined = emptyState(a.tenant, a.user)
  joined.tombstoneMs = greaterOf(a.tombstoneMs, b.tombstoneMs)
  for (const modality of TEXT_MODALITIES)
    joined.windows[modality] = joinWindows(
      a.windows[modality],
      b.windows[modality],
      joined.tombstoneMs,
      caps[modality],
    )
  joined.tabular = hideTabular(greaterTabular(a.tabular, b.tabular), joined.tombstoneMs)

  // What was written for the user is no join: the newest owner knows.
  const newest = newerRecord(a, b)
  joined.acknowledged = new Map(newest.acknowledged)
  joined.dueMs = new Map(newest.dueMs)
  joined.parked = newest.parked
  joined.epoch = newest.epoch
  return joined
}

function joinWindows(
  a: readonly BehaviorEvent[],
  b: readonly BehaviorEvent[],
  tombstoneMs: number | null,
  cap: number,
): BehaviorEvent[] {
  const byName = new Map<string, BehaviorEvent>()
  for (const event of [...a, ...b]) {
    if (tombstoneMs !== null && event.eventTimeMs <= tombstoneMs) continue
    const name = `${event.source.length} ${event.source}${event.eventId}`
    const known = byName.get(name)
    if (known === undefined || compareVersions(event, known) > 0) byName.set(name, event)
  }
  const events = [...byName.values()].sort(compareEvents)
  return events.length > cap ? events.slice(events.length - cap) : events
}

function newerRecord(a: UserState, b: UserState): UserState {
  if (a.epoch !== b.epoch) return a.epoch > b.epoch ? a : b
  // One epoch writes one record a user; copies of it differ only where one is older. A fixed order keeps the join a join.
  return compareUtf8(canonicalRecord(a), canonicalRecord(b)) >= 0 ? a : b
}

function canonicalRecord(state: UserState): string {
  const byKey = ([x]: readonly [string, unknown], [y]: readonly [string, unknown]) => compareUtf8(x, y)
  return JSON.stringify([
    [...state.acknowledged].sort(byKey).map(([key, { inputHash, epoch }]) => [key, inputHash, epoch]),
    [...state.dueMs].sort(byKey),
    state.parked === null ? null : [state.parked.sinceMs, state.parked.reason],
  ])
}

function greaterOf(a: number | null, b: number | null): number | null {
  if (a === null || b === null) return a ?? b
  return Math.max(a, b)
}
