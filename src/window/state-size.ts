/** How much memory a state takes, roughly: what the bound on windows in memory counts. */

import { type BehaviorEvent, TEXT_MODALITIES } from '../events/behavior-event.ts'
import type { UserState } from './user-state.ts'

/** Headers of the event object, its fields object and its place in the window. */
const EVENT_BYTES = 160
/** Header and padding of a string; its characters are counted as one byte each, as V8 keeps Latin-1 text. */
const STRING_BYTES = 20
/** The state object, its six containers and its key in the table of users. */
const STATE_BYTES = 900
const MAP_ENTRY_BYTES = 200

/** @returns bytes of one event in memory, within a factor of two */
export function eventBytes(event: BehaviorEvent): number {
  let size = EVENT_BYTES + STRING_BYTES + event.eventId.length
  const fields = event.fields as unknown as Record<string, unknown>
  for (const name in fields) {
    const value = fields[name]
    size += typeof value === 'string' ? STRING_BYTES + value.length : 8
  }
  return size
}

/** @returns bytes of one state in memory, within a factor of two */
export function stateBytes(state: UserState): number {
  let size = STATE_BYTES + state.user.length + MAP_ENTRY_BYTES * (state.acknowledged.size + state.dueMs.size)
  for (const modality of TEXT_MODALITIES)
    for (const event of state.windows[modality]) size += eventBytes(event)
  const snapshot = state.tabular?.snapshot
  if (snapshot) size += 60 * (Object.keys(snapshot.numeric).length + Object.keys(snapshot.categorical).length)
  return size
}
