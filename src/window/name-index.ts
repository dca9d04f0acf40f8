/** Says quickly that a window holds no event of some name, which is what nearly every new event asks. */

import type { BehaviorEvent, TextModality } from '../events/behavior-event.ts'
import type { UserState } from './user-state.ts'

/** Below this a look at every event is as quick, and most users' windows stay below it. */
const INDEXED_EVENTS_MIN = 24

/** Characters of an id that are hashed, the last ones: ids of one producer share their beginnings. */
const HASHED_LENGTH_MAX = 24

/** Hashes of the ids in one window, in no order. `window` is remembered so that a replaced array is noticed. */
interface WindowHashes {
  window: readonly BehaviorEvent[]
  hashes: Int32Array
  count: number
}

/**
 * Walking 250 events that lie scattered in memory costs microseconds, searching their hashes side by side a tenth of
 * one. The hashes are no part of the state: whoever copies, stores or compares states doesn't see them.
 */
const indexes = new WeakMap<UserState, Partial<Record<TextModality, WindowHashes>>>()

/** @returns position of the event of the same source and id in its window; -1: none */
export function indexOfName(state: UserState, event: BehaviorEvent): number {
  const window = state.windows[event.modality]
  if (window.length >= INDEXED_EVENTS_MIN) {
    const { hashes, count } = hashesOf(state, event.modality)
    const found = hashes.indexOf(hashOf(event))
    if (found < 0 || found >= count) return -1
  }
  for (let i = window.length - 1; i >= 0; i--) {
    const other = window[i]!
    if (other.eventId === event.eventId && other.source === event.source) return i
  }
  return -1
}

/** To be called after the window has lost `removed` (or nothing) and gained `added`. */
export function renewIndex(state: UserState, removed: BehaviorEvent | undefined, added: BehaviorEvent): void {
  const index = indexes.get(state)?.[added.modality]
  if (index === undefined) return
  const place = removed === undefined ? index.count : index.hashes.indexOf(hashOf(removed))
  if (removed === undefined) index.count++
  if (place < 0 || place >= index.hashes.length) dropIndex(state, added.modality)
  else index.hashes[place] = hashOf(added)
}

/** To be called when a window changes in any other way. */
export function dropIndex(state: UserState, modality: TextModality): void {
  const index = indexes.get(state)
  if (index !== undefined) delete index[modality]
}

function hashesOf(state: UserState, modality: TextModality): WindowHashes {
  let index = indexes.get(state)
  if (index === undefined) {
    index = {}
    indexes.set(state, index)
  }
  const window = state.windows[modality]
  const known = index[modality]
  if (known !== undefined && known.window === window && known.count === window.length) return known
  // Half as much room again, so that a growing window is not indexed anew for every event.
  const hashes = new Int32Array(Math.ceil(window.length * 1.5))
  for (let i = 0; i < window.length; i++) hashes[i] = hashOf(window[i]!)
  const fresh = { window, hashes, count: window.length }
  index[modality] = fresh
  return fresh
}

/** FNV-1a over UTF-16 units; equal ids have equal hashes, and that is all that is relied on. */
function hashOf({ eventId }: BehaviorEvent): number {
  let hash = 0x811c9dc5
  for (let i = Math.max(0, eventId.length - HASHED_LENGTH_MAX); i < eventId.length; i++)
    hash = Math.imul(hash ^ eventId.charCodeAt(i), 0x01000193)
  return hash | 0
}
