/** Follows the control topics: reads them to their end, prepares the collections they ask for, then shows the new view. */

import { ConfigError, UnavailableError } from '../errors.ts'
import { InstructionRegistry } from '../instructions/registry.ts'
import { type ModelRecord, ModelRegistry } from '../vectors/model-registry.ts'
import type { VectorStore } from '../vectors/vector-store.ts'
import type { ControlLog } from './control-log.ts'
import type { Snapshots } from './snapshot.ts'
import { readView, type View } from './view.ts'

export class Control {
  /** Called after each change, in the same turn: what was fresh under the old view may be stale under the new. */
  changed: () => void = () => {}

  private readonly log: ControlLog
  private readonly vectors: VectorStore
  private readonly snapshots: Snapshots
  private current: View | undefined
  private reading: Promise<void> = Promise.resolve()
  /** A reading that waits for its turn. */
  private next: Promise<void> | undefined

  constructor(log: ControlLog, vectors: VectorStore, snapshots: Snapshots) {
    this.log = log
    this.vectors = vectors
    this.snapshots = snapshots
  }

  get view(): View {
    if (this.current === undefined)
      throw new UnavailableError(
        'control-not-read',
        'expected what is registered to be read, got nothing yet: freshet is still taking over; try again',
      )
    return this.current
  }

  /** Reads both topics to their end; one reading at a time, calls are answered by the next one that begins. */
  readToEnd(): Promise<void> {
    if (this.next === undefined) {
      this.next = this.reading
        .catch(() => {})
        .then(() => {
          this.next = undefined
          return this.readOnce()
        })
      this.reading = this.next
    }
    return this.next
  }

  /** Runs between two readings: what the next view prepares can't be undone by who knows only this one. */
  betweenReadings<Result>(work: (view: View) => Promise<Result>): Promise<Result> {
    const result = this.reading.catch(() => {}).then(() => work(this.view))
    this.reading = result.then(
      () => {},
      () => {},
    )
    return result
  }

  private async readOnce(): Promise<void> {
    const before = this.current
    const instructionRecords = await this.log.instructions(before?.instructions.offset ?? -1)
    const modelRecords = await this.log.models(before?.models.offset ?? -1)
    if (before !== undefined && instructionRecords.length === 0 && modelRecords.length === 0) return
    let instructions = before?.instructions ?? InstructionRegistry.initial()
    for (const record of instructionRecords) instructions = instructions.apply(record)
    const view = readView(instructions, foldModels(before?.models, modelRecords))
    await this.prepare(view)
    this.current = view
    this.changed()
  }

  /** Creates what a view needs before anybody writes under it. Repeated by every owner: all of it is idempotent. */
  private async prepare(view: View): Promise<void> {
    for (const target of view.targets.values()) {
      if (!target.inUse) continue
      const model = this.snapshots.model(target.model)
      await this.vectors.ensureCollection({
        name: target.collection,
        group: target.group,
        model: target.model,
        precision: model.precision,
        provider: model.provider,
        dimensions: model.dimensions,
        horizonDays: this.snapshots.horizonOf(target.model),
      })
      await this.vectors.ensureVectorNames(target.collection, [...target.texts.texts.keys()])
    }
  }
}

function foldModels(before: ModelRegistry | undefined, records: readonly ModelRecord[]): ModelRegistry {
  let registry = before
  for (const record of records) registry = registry?.apply(record) ?? ModelRegistry.first(record)
  if (registry === undefined)
    throw new ConfigError(
      'no-model',
      'expected a record in freshet.models that names the active model, got none: register a model first',
    )
  return registry
}
