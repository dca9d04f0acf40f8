/** What has to be done now and then: aliases, the names that readers follow, old texts, stubs and the log. */

import { UnavailableError } from '../errors.ts'
import type { InstructionId, RetiredText, VectorName } from '../instructions/instruction.ts'
import { vectorName } from '../instructions/instruction.ts'
import type { CollectionInfo, CollectionName, VectorStore } from '../vectors/vector-store.ts'
import { DAY_MS } from '../window/day.ts'
import { reconcileAliases } from './aliases.ts'
import { unavailable } from './channels.ts'
import type { Clock } from './clock.ts'
import { vectorsLost } from './sender.ts'
import type { Updater } from './updater.ts'
import type { UserEntry } from './user-entry.ts'
import type { Target, View } from './view.ts'

export interface HousekeepingParts {
  updater: Pick<Updater, 'control' | 'ownership' | 'sweep'>
  vectors: VectorStore
  clock: Clock
  /** Appends to `freshet.instructions`. */
  appendRetiredText: (retired: RetiredText) => Promise<unknown>
  /** Keeps the source within its bounds, where it is ours. */
  tidyLog: (nowMs: number) => Promise<void>
}

/** V5: aliases are compared with the registry this often. */
const INTERVAL_MS = 60_000
/** How often it is looked whether a change has been back-filled. */
const LOOK_MS = 500
/**
 * After its own back-fill a worker waits so long for the others'. Users that they will never fill, the parked ones, are
 * nothing to wait for. A guess: many times the difference between shares that are as good as equal.
 */
const OTHERS_MS_MAX = 3_600_000
/** V3: a write that was sent before may still land on a younger stub. */
const STUB_AGE_MS = DAY_MS

export class Housekeeping {
  private readonly parts: HousekeepingParts
  private nextMs = Number.NEGATIVE_INFINITY
  private seen: View | undefined
  /** Users in a micro-batch when the sweep under `backfilled` ended: what they wait for may still be on its way. */
  private inFlight: Set<UserEntry> | undefined
  private backfilled: View | undefined
  /** When, and in which epoch: a take-over brings users who were not looked at. */
  private backfilledMs = 0
  private backfilledEpoch = 0

  constructor(parts: HousekeepingParts) {
    this.parts = parts
  }

  async run(signal: AbortSignal): Promise<void> {
    const { clock, updater } = this.parts
    while (!signal.aborted) {
      await clock.sleep(LOOK_MS, signal)
      if (signal.aborted || updater.ownership.stage !== 'owner') continue
      const before = this.backfilled
      this.noticeBackfill()
      const isDue = clock.nowMs() >= this.nextMs
      if (!isDue && updater.control.view === this.seen && this.backfilled === before) continue
      try {
        await this.tick()
      } catch (error) {
        if (!(error instanceof UnavailableError)) throw error
        unavailable.publish({ what: 'vectors', error, attempt: 1 })
        await clock.sleep(error.retryAfterMs, signal)
      }
    }
  }

  /** Does everything that is due now. */
  async tick(): Promise<void> {
    const { updater, clock, tidyLog } = this.parts
    if (updater.ownership.stage !== 'owner') return
    this.noticeBackfill()
    const nowMs = clock.nowMs()
    const isDue = nowMs >= this.nextMs
    const unwanted = new Map<CollectionName, VectorName[]>()
    const missing = await updater.control.betweenReadings((view) => this.tidy(view, nowMs, isDue, unwanted))
    if (missing !== null) {
      await this.checkStillWanted(missing)
      return
    }
    await this.dropUnwanted(unwanted)
    await this.retireTexts(nowMs)
    if (!isDue) return
    await tidyLog(nowMs)
    this.nextMs = nowMs + INTERVAL_MS
  }

  /**
   * @param unwanted gets the vector names that nobody reads or writes under this view
   * @returns a collection in use that is not there: nothing was done; null: all are
   */
  private async tidy(
    view: View,
    nowMs: number,
    isDue: boolean,
    unwanted: Map<CollectionName, VectorName[]>,
  ): Promise<CollectionName | null> {
    const { vectors } = this.parts
    this.seen = view
    const infos = new Map((await vectors.collections()).map((info) => [info.name, info]))
    for (const { inUse, collection } of view.targets.values())
      if (inUse && !infos.has(collection)) return collection
    await reconcileAliases(view, vectors)
    for (const target of view.targets.values()) {
      const info = infos.get(target.collection)
      if (target.inUse && info !== undefined)
        unwanted.set(target.collection, await this.tidyNames(view, target, info))
      if (isDue && info !== undefined) await vectors.purgeStubs(target.collection, nowMs - STUB_AGE_MS)
    }
    return null
  }

  /** A record that we hadn't read may have taken it out of use. @throws {ConfigError} `vectors-lost` */
  private async checkStillWanted(collection: CollectionName): Promise<void> {
    const { control } = this.parts.updater
    await control.readToEnd()
    const targets = [...control.view.targets.values()]
    if (targets.some((target) => target.inUse && target.collection === collection))
      throw vectorsLost(collection, 'none')
  }

  /** A change counts as back-filled when the sweep after it is done and what was in flight then has landed. */
  private noticeBackfill(): void {
    const { control, ownership, sweep } = this.parts.updater
    const { view } = control
    if (this.isBackfilled(view) || !sweep.idle) {
      this.inFlight = undefined
      return
    }
    this.inFlight ??= new Set(
      [...ownership.partitions.values()].flatMap((partition) =>
        [...partition.entries.values()].filter((entry) => entry.inFlight.size > 0),
      ),
    )
    for (const entry of this.inFlight) if (entry.inFlight.size === 0) this.inFlight.delete(entry)
    if (this.inFlight.size > 0) return
    this.backfilled = view
    this.backfilledMs = this.parts.clock.nowMs()
    this.backfilledEpoch = ownership.epoch
  }

  private isBackfilled(view: View): boolean {
    return this.backfilled === view && this.backfilledEpoch === this.parts.updater.ownership.epoch
  }

  /**
   * Whether somebody may not have the vector yet who is to have it. A sweep of ours tells of our own users; of those of other
   * workers only the store can tell.
   */
  private async isBeingFilled(view: View, collection: CollectionName, name: VectorName): Promise<boolean> {
    const { clock, updater, vectors } = this.parts
    if (!this.isBackfilled(view)) return true
    if (updater.ownership.ownsAll || clock.nowMs() - this.backfilledMs >= OTHERS_MS_MAX) return false
    return vectors.lacks(collection, name)
  }

  /** Moves readers to new texts once these are back-filled. @returns names that nobody reads or writes */
  private async tidyNames(
    view: View,
    { collection, texts }: Target,
    info: CollectionInfo,
  ): Promise<VectorName[]> {
    const { vectors } = this.parts
    const readers = new Map<InstructionId, VectorName>()
    for (const [id, wanted] of texts.readerNames) {
      const current = info.readerNames.get(id)
      const isNew = current !== undefined && current !== wanted && texts.texts.has(current)
      const mustWait = isNew && (await this.isBeingFilled(view, collection, wanted))
      readers.set(id, mustWait ? current : wanted)
    }
    if (!sameEntries(readers, info.readerNames)) await vectors.setReaderNames(collection, readers)
    const kept = new Set([...texts.texts.keys(), ...readers.values()])
    return info.vectorNames.filter((name) => !kept.has(name))
  }

  /**
   * Another process may have made such a name, for a record that we hadn't read: it is there before the name is, so that
   * whoever reads on after having seen the name knows it.
   */
  private async dropUnwanted(unwanted: ReadonlyMap<CollectionName, readonly VectorName[]>): Promise<void> {
    if ([...unwanted.values()].every((names) => names.length === 0)) return
    const { vectors, updater } = this.parts
    await updater.control.readToEnd()
    await updater.control.betweenReadings(async (view) => {
      for (const { collection, texts, inUse } of view.targets.values()) {
        const names = unwanted.get(collection)?.filter((name) => !texts.texts.has(name)) ?? []
        if (inUse && names.length > 0) await vectors.dropVectorNames(collection, names)
      }
    })
  }

  /** The text before the last change leaves the group once its time is over and no reader follows it. */
  private async retireTexts(nowMs: number): Promise<void> {
    const { updater, vectors, appendRetiredText } = this.parts
    const { instructions } = updater.control.view.instructions
    const due = [...instructions.values()].filter(
      ({ previous }) => previous !== null && previous.retireAtMs <= nowMs,
    )
    if (due.length === 0) return
    const read = new Set((await vectors.collections()).flatMap((info) => [...info.readerNames.values()]))
    let count = 0
    for (const { id, text, previous } of due) {
      const isOwnText = previous!.text === text
      if (!isOwnText && read.has(vectorName(id, previous!.text))) continue
      // Never the instruction as we know it: somebody may have changed it while we asked.
      await appendRetiredText({ id, ...previous! })
      count++
    }
    if (count > 0) await updater.control.readToEnd()
  }
}

function sameEntries<K, V>(a: ReadonlyMap<K, V>, b: ReadonlyMap<K, V>): boolean {
  return a.size === b.size && [...a].every(([key, value]) => b.get(key) === value)
}
