/** One user: what is known, what the model read, and how they are forgotten. */

import { RequestError } from '../errors.ts'
import { TEXT_MODALITIES, type TextModality } from '../events/behavior-event.ts'
import { userInput } from '../model/user-input.ts'
import type { Target } from '../pipeline/view.ts'
import type { ExplainAnswer, ForgetStatus, UserAnswer, UserRef } from '../server/service.ts'
import { pointId } from '../vectors/names.ts'
import type { StoredPoint } from '../vectors/vector-store.ts'
import { readWindow } from '../window/read-window.ts'
import type { WindowSnapshot } from '../window/user-state.ts'
import type { Parts } from './parts.ts'
import type { KnownUser, UserLookup } from './user-lookup.ts'

export class LocalUsers {
  private readonly parts: Parts
  private readonly lookup: UserLookup

  constructor(parts: Parts, lookup: UserLookup) {
    this.parts = parts
    this.lookup = lookup
  }

  async user(ref: UserRef, { vectors = false }: { vectors?: boolean } = {}): Promise<UserAnswer> {
    const { updater } = this.parts
    const known = this.lookup.known(ref)
    const instructions: UserAnswer['instructions'] = []
    let stale = false
    for (const target of updater.control.view.targets.values()) {
      if (!target.inUse) continue
      stale ||= this.lookup.isStale(known, target)
      const stored = await this.stored(known, target)
      if (stored === undefined || stored.point.kind === 'stub') continue
      for (const [id, vectorName] of target.texts.readerNames) {
        const vector = stored.point.vectors.get(vectorName)
        if (vector === undefined) continue
        const { inputHash } = stored.point.payload
        const about = { id, vectorName, inputHash, writtenAtMs: stored.writtenAtMs }
        instructions.push(vectors ? { ...about, vector: [...vector] } : about)
      }
    }
    const { state } = known
    const times = TEXT_MODALITIES.flatMap((name) => state.windows[name].at(-1)?.eventTimeMs ?? [])
    return {
      ...this.lookup.head(stale),
      ...ref,
      instructions,
      events: Object.fromEntries(TEXT_MODALITIES.map((name) => [name, state.windows[name].length])),
      lastEventAtMs: times.length === 0 ? null : Math.max(...times),
      tombstoneMs: state.tombstoneMs,
      parked: state.parked,
    }
  }

  async explain(ref: UserRef): Promise<ExplainAnswer> {
    const { opened, updater } = this.parts
    const { view } = updater.control
    const known = this.lookup.known(ref)
    const window = this.window(known)
    const input = userInput(opened.model, opened.render, window)
    const targets: ExplainAnswer['targets'] = []
    for (const target of view.targets.values()) targets.push(await this.explainTarget(known, target))
    const { state } = known
    return {
      ...this.lookup.head(
        [...view.targets.values()].some((one) => one.inUse && this.lookup.isStale(known, one)),
      ),
      ...ref,
      window: Object.fromEntries(TEXT_MODALITIES.map((name) => [name, this.sentences(name, window)])),
      tabular: window.tabular === null ? null : { ...window.tabular.numeric },
      tombstoneMs: state.tombstoneMs,
      parked: state.parked,
      positions: opened.model.positions(input, [...view.main.texts.texts.values()]),
      targets,
    }
  }

  /** Appends a tombstone; what came before it is hidden from then on, everywhere. */
  async forget(ref: UserRef): Promise<ForgetStatus> {
    const { settings, clock, encoder, backend } = this.parts
    const topic = settings.events.topics.find(({ holds }) => holds === 'tombstone')
    if (topic === undefined)
      throw new RequestError(
        'forget-no-topic',
        'expected a topic that holds tombstones in events.topics, got none: add freshet.tombstones',
        { status: 409 },
      )
    const atMs = clock.nowMs()
    const { tenant, user } = ref
    const { key, value, headers } = encoder.object({ topic: topic.topic, user_id: user, tenant, at: atMs })
    await backend.append([{ topic: topic.topic, key, value, headers }])
    return { ...ref, atMs, state: 'pending' }
  }

  /** @throws {RequestError} `user-not-forgotten`, when nobody asked for it; `user-elsewhere` */
  async forgetStatus(ref: UserRef): Promise<ForgetStatus> {
    const { backend, updater } = this.parts
    this.lookup.checkHere(ref)
    const known = this.lookup.find(ref)
    const atMs = known?.state.tombstoneMs ?? null
    if (known === undefined || atMs === null) {
      // Appended, and not read yet.
      const tombstone = await backend.tombstone(ref.tenant, ref.user)
      if (tombstone !== undefined) return { ...ref, atMs: tombstone.atMs, state: 'pending' }
      throw new RequestError(
        'user-not-forgotten',
        `expected a user who was to be forgotten, got ${ref.user} of tenant ${ref.tenant}: ask for it first (freshet forget)`,
        { status: 404 },
      )
    }
    for (const target of updater.control.view.targets.values()) {
      const stored = await this.stored(known, target)
      const { inputHash } = this.lookup.snapshot(known, target)
      const isDone =
        stored === undefined ||
        stored.point.kind === 'stub' ||
        // Events after the tombstone make a new vector, which knows nothing of what was before.
        stored.point.payload.inputHash === inputHash
      if (!isDone) return { ...ref, atMs, state: 'pending' }
    }
    return { ...ref, atMs, state: 'done' }
  }

  private window({ state }: KnownUser): WindowSnapshot {
    const { opened, updater } = this.parts
    const { ownership, snapshots } = updater
    return readWindow(state, {
      asOfDay: ownership.day,
      horizonDays: snapshots.horizonOf(opened.model.id),
      slots: opened.model.slots,
    })
  }

  private sentences(modality: TextModality, window: WindowSnapshot) {
    return window.events[modality].map((event) => ({
      eventId: event.eventId,
      source: event.source,
      eventTimeMs: event.eventTimeMs,
      text: this.parts.opened.render(event),
    }))
  }

  private async explainTarget(known: KnownUser, target: Target): Promise<ExplainAnswer['targets'][number]> {
    const stored = await this.stored(known, target)
    const acknowledged = known.state.acknowledged.get(target.key)
    return {
      target: target.key,
      currentHash: this.lookup.snapshot(known, target).inputHash,
      acknowledgedHash: acknowledged?.inputHash ?? null,
      acknowledgedEpoch: acknowledged?.epoch ?? null,
      dueMs: known.state.dueMs.get(target.key) ?? null,
      stored:
        stored === undefined
          ? null
          : {
              ...stored.version,
              writtenAtMs: stored.writtenAtMs,
              stub: stored.point.kind === 'stub',
              vectorNames: stored.point.kind === 'stub' ? [] : [...stored.point.vectors.keys()],
            },
    }
  }

  private async stored({ key }: KnownUser, { collection }: Target): Promise<StoredPoint | undefined> {
    const id = pointId(key)
    return (await this.parts.vectors.get(collection, [id])).get(id)
  }
}
