/** The snapshot of a user that one request embeds, and its hash: what is compared before anything is computed (E1). */

import { createHash } from 'node:crypto'
import { BugError } from '../errors.ts'
import type { EmbeddingModel, ModelId } from '../model/embedding-model.ts'
import { readWindow, windowDigest } from '../window/read-window.ts'
import type { UserState, WindowSnapshot } from '../window/user-state.ts'
import type { UserEntry } from './user-entry.ts'
import type { Target } from './view.ts'

/** One reading of a window, valid while the user's revision, the day and the model are the same. */
export interface WindowReadingCache {
  revision: number
  day: number
  model: ModelId
  window: WindowSnapshot
  empty: boolean
  digest: string
}

export interface Snapshot {
  inputHash: string
  /** null: a stub is due; the user has nothing to embed here (V2). */
  window: WindowSnapshot | null
}

/** A hash begins with what is asked of whom: model and texts. The rest covers that and the window. */
const ASKED_CHARACTERS = 8
const INPUT_CHARACTERS = 24

/** Whether the same was asked when both were embedded: then they differ by the user's window alone. Never of stubs. */
export function isAskedAlike(hash: string, other: string): boolean {
  return !hash.startsWith('stub') && hash.slice(0, ASKED_CHARACTERS) === other.slice(0, ASKED_CHARACTERS)
}

/** Models by id; those in use are always there. */
export interface ModelSet {
  get(model: ModelId): EmbeddingModel | undefined
}

export class Snapshots {
  private readonly models: ModelSet
  private readonly horizonDays: number | null | undefined
  private readonly renderedAs: string
  /** Everything a vector depends on beside window and texts: weights, precision, provider, horizon, time zone. */
  private readonly identities = new Map<ModelId, string>()

  constructor(models: ModelSet, horizonDays: number | null | undefined, renderedAs: string) {
    this.models = models
    this.horizonDays = horizonDays
    this.renderedAs = renderedAs
  }

  model(id: ModelId): EmbeddingModel {
    const model = this.models.get(id)
    if (model === undefined)
      throw new BugError('model-not-loaded', `expected model ${id} to be open: it is in use`)
    return model
  }

  /** @returns days, null: no horizon */
  horizonOf(id: ModelId): number | null {
    return this.horizonDays === undefined ? this.model(id).horizonDays : this.horizonDays
  }

  /**
   * Reads what would be embedded for a user now.
   *
   * @param day days since the Unix epoch as of which the window is read
   */
  of(entry: UserEntry, state: UserState, target: Target, day: number): Snapshot {
    if (!target.inUse) return { inputHash: `stub-${target.modelChangeNumber}`, window: null }
    const reading = this.read(entry, state, target.model, day)
    const { texts, changeNumber } = target.texts
    // E1: the change numbers make sure that a hash never comes back after a change of texts or of the collection.
    if (reading.empty || texts.size === 0)
      return { inputHash: `stub-${target.modelChangeNumber}-${changeNumber}`, window: null }
    const asked = createHash('sha256')
      .update(`${this.identityOf(target.model)}\n${target.modelChangeNumber} ${changeNumber}\n`)
      .update([...texts.keys()].join('\n'))
      .digest('hex')
    const input = createHash('sha256').update(`${asked}\n${reading.digest}`).digest('hex')
    const inputHash = asked.slice(0, ASKED_CHARACTERS) + input.slice(0, INPUT_CHARACTERS)
    return { inputHash, window: reading.window }
  }

  private read(entry: UserEntry, state: UserState, id: ModelId, day: number): WindowReadingCache {
    const kept = entry.reading
    if (kept !== undefined && kept.revision === entry.revision && kept.day === day && kept.model === id)
      return kept
    const model = this.model(id)
    const window = readWindow(state, { asOfDay: day, horizonDays: this.horizonOf(id), slots: model.slots })
    if (model.tabularFeatures === null) window.tabular = null
    const empty =
      window.tabular === null && Object.values(window.events).every((events) => events.length === 0)
    entry.reading = { revision: entry.revision, day, model: id, window, empty, digest: windowDigest(window) }
    return entry.reading
  }

  private identityOf(id: ModelId): string {
    let identity = this.identities.get(id)
    if (identity === undefined) {
      const { contentHash, precision, provider } = this.model(id)
      identity = [id, contentHash, precision, provider, this.horizonOf(id), this.renderedAs].join(' ')
      this.identities.set(id, identity)
    }
    return identity
  }
}
