/** Recomputes users' vectors from the records that the log still holds, and compares them with what is stored. */

import { RecordError } from '../errors.ts'
import type { UserRecord } from '../events/behavior-event.ts'
import { splitUserKey, type UserKey, userKey } from '../events/ids.ts'
import type { SourceRecord } from '../events/source-record.ts'
import { userInput } from '../model/user-input.ts'
import type { Target } from '../pipeline/view.ts'
import { windowCaps } from '../pipeline/window-caps.ts'
import type { UserRef, VerifyResult } from '../server/service.ts'
import { pointId } from '../vectors/names.ts'
import { applyEvent, applyTabular, applyTombstone, emptyState } from '../window/apply.ts'
import { isLate, isTooFarAhead } from '../window/day.ts'
import { joinStates } from '../window/join.ts'
import { readWindow } from '../window/read-window.ts'
import type { UserState, WindowCaps } from '../window/user-state.ts'
import type { Parts } from './parts.ts'
import type { KnownUser, UserLookup } from './user-lookup.ts'

/** fp32 differs by rounding with the batch a user was in; int8 by more (docs/consistency.md). */
const COSINE_MIN = { fp32: 1 - 1e-5, fp16: 0.999, int8: 0.999 }
const SAMPLE_DEFAULT = 20

type Wrong = VerifyResult['wrong'][number]

export class LocalVerify {
  private readonly parts: Parts
  private readonly lookup: UserLookup

  constructor(parts: Parts, lookup: UserLookup) {
    this.parts = parts
    this.lookup = lookup
  }

  /** Users who wait for a refresh are left out: their vectors are behind, not wrong. */
  async verify({
    users,
    sample = SAMPLE_DEFAULT,
  }: {
    users?: UserRef[]
    sample?: number
  }): Promise<VerifyResult> {
    const chosen = users?.map((ref) => this.lookup.known(ref)) ?? this.lookup.sample(sample)
    const folded = await this.fold(new Set(chosen.map(({ key }) => key)))
    const wrong: Wrong[] = []
    let checked = 0
    for (const { key } of chosen) {
      // Looked up again: reading the log took its time.
      const known = this.lookup.find(splitUserKey(key))
      if (known === undefined || known.entry.dirty || known.state.parked !== null) continue
      const recomputed = folded.get(key) ?? emptyState(known.state.tenant, known.state.user)
      let isChecked = false
      for (const target of this.parts.updater.control.view.targets.values()) {
        if (!target.inUse || this.lookup.isStale(known, target)) continue
        isChecked = true
        wrong.push(...(await this.compare(known, recomputed, target)))
      }
      if (isChecked) checked++
    }
    return { checked, wrong }
  }

  private async fold(keys: ReadonlySet<UserKey>): Promise<Map<UserKey, UserState>> {
    const { backend, updater, opened, pipelineSettings } = this.parts
    const models = { get: () => opened.model }
    const caps = windowCaps(updater.control.view, models, pipelineSettings)
    const users = new Set([...keys].map((key) => key.slice(key.indexOf('\0') + 1)))
    const states = new Map<UserKey, UserState>()
    const partitions = new Set([...keys].map((key) => backend.partitionOf(splitUserKey(key).user)))
    for (const partition of partitions)
      for await (const records of backend.history(partition))
        for (const record of records) {
          if (record.key === null || !users.has(Buffer.from(record.key).toString('utf8'))) continue
          const said = this.decoded(record)
          if (said === undefined) continue
          const key = userKey(said.tenant, said.user)
          if (!keys.has(key)) continue
          const state = states.get(key) ?? emptyState(said.tenant, said.user)
          states.set(key, state)
          this.apply(state, said, record, caps)
        }
    for (const partition of partitions) {
      if (await backend.isWhole(partition)) continue
      for (const key of keys) {
        if (backend.partitionOf(splitUserKey(key).user) !== partition) continue
        // Retention has cut what came first: the stored state stands in for it.
        const stored = this.lookup.find(splitUserKey(key))?.state
        const own = states.get(key)
        if (stored !== undefined) states.set(key, own === undefined ? stored : joinStates(stored, own, caps))
      }
    }
    return states
  }

  private decoded(record: SourceRecord): UserRecord | undefined {
    try {
      return this.parts.decoder.decode(record)
    } catch (error) {
      if (error instanceof RecordError) return undefined
      throw error
    }
  }

  /** As the data path applies it: late, future and hidden events have no say. */
  private apply(
    state: UserState,
    said: UserRecord,
    { offset, appendTimeMs }: SourceRecord,
    caps: WindowCaps,
  ): void {
    const { opened, pipelineSettings, updater } = this.parts
    const skewMs = pipelineSettings.maxFutureSkewMs
    switch (said.kind) {
      case 'event': {
        const timeMs = said.event.eventTimeMs
        const horizonDays = updater.snapshots.horizonOf(opened.model.id)
        if (isTooFarAhead(timeMs, appendTimeMs, skewMs) || isLate(timeMs, appendTimeMs, horizonDays)) return
        applyEvent(state, said.event, caps)
        return
      }
      case 'tabular':
        if (isTooFarAhead(said.asOfMs, appendTimeMs, skewMs)) return
        applyTabular(state, { offset, asOfMs: said.asOfMs, snapshot: said.snapshot })
        return
      case 'tombstone':
        applyTombstone(state, said.atMs)
        return
      case 'ignored':
        return
    }
  }

  private async compare(known: KnownUser, recomputed: UserState, target: Target): Promise<Wrong[]> {
    const { opened, updater, vectors } = this.parts
    const { model } = opened
    const window = readWindow(recomputed, {
      asOfDay: updater.ownership.day,
      horizonDays: updater.snapshots.horizonOf(model.id),
      slots: model.slots,
    })
    if (model.tabularFeatures === null) window.tabular = null
    const isEmpty = window.tabular === null && window.lastEventMs === null
    const names = [...target.texts.texts.keys()]
    const id = pointId(known.key)
    const point = (await vectors.get(target.collection, [id])).get(id)?.point
    const { tenant, user } = known.state
    const about = (instruction: string, cosine: number | null, why: string): Wrong => ({
      tenant,
      user,
      instruction,
      cosine,
      why,
    })
    if (isEmpty || names.length === 0)
      return point?.kind === 'vectors'
        ? [about(target.group, null, 'vectors are stored, and the log gives none')]
        : []
    if (point?.kind !== 'vectors') return [about(target.group, null, 'no vector is stored')]
    const texts = [...target.texts.texts.values()]
    const [expected] = await model.embedUsers([userInput(model, opened.render, window)], texts)
    return names.flatMap((name, i) => {
      const stored = point.vectors.get(name)
      if (stored === undefined) return [about(name, null, 'this vector is not stored')]
      const cosine = cosineOf(stored, expected![i]!)
      if (cosine >= COSINE_MIN[model.precision]) return []
      return [about(name, cosine, 'the stored vector differs from the recomputation')]
    })
  }
}

function cosineOf(a: Float32Array, b: Float32Array): number {
  let product = 0
  let aa = 0
  let bb = 0
  for (let i = 0; i < a.length; i++) {
    product += a[i]! * b[i]!
    aa += a[i]! * a[i]!
    bb += b[i]! * b[i]!
  }
  return product / Math.sqrt(aa * bb)
}
