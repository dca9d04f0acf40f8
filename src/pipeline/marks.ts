/** Due times of the targets that acknowledge no events: set by what changes a user, moved by what is written. */

import type { UserState } from '../window/user-state.ts'
import type { UserEntry } from './user-entry.ts'
import type { Target, View } from './view.ts'

/**
 * Gives every target but the acknowledging one a due time: the user changed.
 *
 * @param urgent a tombstone or an un-parking: at once, and in collections kept for roll-back as well (V2)
 */
export function markEverywhere(
  entry: UserEntry,
  state: UserState,
  view: View,
  nowMs: number,
  urgent: boolean,
  quietMs: number,
): void {
  for (const target of view.targets.values()) {
    if (!target.inUse) forgetTarget(entry, state, target)
    if (target.acknowledges || (!target.inUse && !urgent)) continue
    const atMs = urgent ? nowMs : nowMs + refreshMs(target, quietMs)
    const plannedMs = state.dueMs.get(target.key)
    if (plannedMs === undefined || atMs < plannedMs) state.dueMs.set(target.key, atMs)
  }
}

/** From a change of the user to the time at which the target is due, milliseconds. */
export function refreshMs(target: Target, quietMs: number): number {
  return Math.max(quietMs, target.texts.group.minRefreshMs)
}

/** What was written to a collection that is not in use is not followed: it is looked at anew when it comes back. */
export function forgetTarget(entry: UserEntry, state: UserState, target: Target): void {
  state.acknowledged.delete(target.key)
  entry.acknowledgedIn.delete(target.key)
  if (!target.inUse) return
  state.dueMs.delete(target.key)
}

/** The hash has moved on since the snapshot: the target is due again, in its group's cadence (E3). */
export function moveDue(state: UserState, target: Target, nowMs: number): void {
  const nextMs = nowMs + target.texts.group.minRefreshMs
  const dueMs = state.dueMs.get(target.key)
  state.dueMs.set(target.key, dueMs === undefined || dueMs <= nowMs ? nextMs : Math.min(dueMs, nextMs))
}
