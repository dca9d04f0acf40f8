/** One user's state: a join of what happened (S1-S3), and what was last written for them. */

import type { BehaviorEvent, TabularSnapshot, TextModality } from '../events/behavior-event.ts'
import type { TenantId, UserId } from '../events/ids.ts'

/** `<group>/<modelId>`: one collection, and so one thing that can be fresh or stale for a user. */
export type TargetKey = `${string}/${string}`

/** Events kept per modality, the newest: `slots` of the largest bundle in use (twice that where examples are built). */
export type WindowCaps = Readonly<Record<TextModality, number>>

export interface TabularState {
  /** The greatest offset wins, not the greatest `asOfMs`: compaction keeps that one, too (S2). */
  offset: number
  asOfMs: number
  /** null: the producer deleted the record; that is a fact with an offset, not an absence (S2). */
  snapshot: TabularSnapshot | null
}

export interface Acknowledged {
  /** Of the snapshot that was embedded (E1). */
  inputHash: string
  /** The epoch in which it was acknowledged (E2). */
  epoch: number
}

interface Parked {
  reason: string
  sinceMs: number
}

export interface UserState {
  tenant: TenantId
  user: UserId
  /** Per modality, oldest first: by event time, then event id as bytes. */
  windows: Record<TextModality, BehaviorEvent[]>
  tabular: TabularState | null
  /** The latest tombstone: events and tabular records up to this time are hidden (S3). */
  tombstoneMs: number | null
  /** What was acknowledged last in each collection. With `dueMs` and `parked`: the record of the newest epoch wins. */
  acknowledged: Map<TargetKey, Acknowledged>
  /** Durable due times of collections that do not acknowledge events. */
  dueMs: Map<TargetKey, number>
  parked: Parked | null
  /** Epoch of the owner that wrote this record; 0 before any. */
  epoch: number
}

/** The window as one reading sees it: what is rendered, embedded and hashed (E1). */
export interface WindowSnapshot {
  events: Record<TextModality, BehaviorEvent[]>
  tabular: TabularSnapshot | null
  /** Greatest event time in it, milliseconds; null when it has no event. */
  lastEventMs: number | null
}
