/** Which models exist, which are embedded for, and which one readers see: `freshet.models` folded (V5, V6). */

import type { ModelId } from '../model/embedding-model.ts'

/** One record of `freshet.models`, with its offset there; each names the state that it leaves behind. */
export interface ModelRecord {
  offset: number
  /** The model behind the aliases. */
  active: ModelId
  /** A second model that is embedded for as well: a promotion in preparation. */
  also: ModelId | null
  /** Models whose collections are kept: those in use, and those for roll-back. */
  existing: readonly ModelId[]
  /** The vector store was lost or restored: everything is created, dropped and embedded again (V6). */
  rebuild?: boolean
}

/** An immutable reading of `freshet.models`; `apply` gives the next. */
export class ModelRegistry {
  readonly active: ModelId
  readonly also: ModelId | null
  readonly existing: readonly ModelId[]
  /**
   * Per model, the offset at which its collections last came into use, left it, were created or rebuilt: part of every
   * input hash, so that a write computed before such a change can't hide behind an equal one (E1).
   */
  readonly changeNumbers: ReadonlyMap<ModelId, number>
  readonly offset: number

  private constructor(record: ModelRecord, changeNumbers: ReadonlyMap<ModelId, number>) {
    this.active = record.active
    this.also = record.also
    this.existing = record.existing
    this.changeNumbers = changeNumbers
    this.offset = record.offset
  }

  static first(record: ModelRecord): ModelRegistry {
    return new ModelRegistry(record, new Map(record.existing.map((model) => [model, record.offset])))
  }

  apply(record: ModelRecord): ModelRegistry {
    const next = new ModelRegistry(record, this.changeNumbers)
    const changeNumbers = new Map<ModelId, number>()
    for (const model of record.existing) {
      const changed =
        record.rebuild === true ||
        !this.existing.includes(model) ||
        this.isInUse(model) !== next.isInUse(model)
      changeNumbers.set(model, changed ? record.offset : (this.changeNumbers.get(model) ?? record.offset))
    }
    return new ModelRegistry(record, changeNumbers)
  }

  isInUse(model: ModelId): boolean {
    return model === this.active || model === this.also
  }

  get inUse(): readonly ModelId[] {
    return this.also === null ? [this.active] : [this.active, this.also]
  }
}
