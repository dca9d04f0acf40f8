/** Gathers what stands at each position of a run: the distinct rows, event vectors and tabular vectors, and their order. */

import { LRUCache } from 'lru-cache'
import { invariant } from '../errors.ts'
import type { Modality } from '../events/behavior-event.ts'
import type { Bundle } from './bundle.ts'
import { readWeight } from './bundle.ts'
import { SPECIAL_ROWS } from './bundle-tensors.ts'
import type { EventVectors } from './event-encoder.ts'
import { eventsInput } from './graphs/user-graph.ts'
import type { Segment } from './sequence.ts'
import type { Tensors } from './tensor-session.ts'

/** Rows of the embedding table that are kept: prompts repeat their few words, and 4,096 rows of 896 take 15 MB. */
const TOKEN_ROWS_MAX = 4_096

/** Reads input rows of text tokens and special tokens; the embedding table itself stays on disk. */
export class TokenRows {
  readonly #bundle: Bundle
  readonly #special: Float32Array
  readonly #cache = new LRUCache<number, Float32Array>({ max: TOKEN_ROWS_MAX })

  constructor(bundle: Bundle) {
    this.#bundle = bundle
    this.#special = readWeight(bundle.modules, SPECIAL_ROWS)
  }

  /** @returns float32 [dModel] */
  token(id: number): Float32Array {
    const known = this.#cache.get(id)
    if (known) return known
    const { file, prefix } = this.#bundle.backbone.weights
    const row = file.readRows(`${prefix}embed_tokens.weight`, [id])
    this.#cache.set(id, row)
    return row
  }

  special(row: number): Float32Array {
    const { dModel } = this.#bundle.manifest
    return this.#special.subarray(row * dModel, (row + 1) * dModel)
  }
}

/** Distinct vectors of one source, in the order of their first use. */
class Distinct {
  readonly #index = new Map<unknown, number>()
  readonly vectors: Float32Array[] = []

  /** @param key equal keys are equal vectors */
  add(key: unknown, vector: () => Float32Array): number {
    const known = this.#index.get(key)
    if (known !== undefined) return known
    this.#index.set(key, this.vectors.length)
    return this.vectors.push(vector()) - 1
  }
}

/** The inputs `rows`, `events.*`, `tabular` and `order` of a user graph, for the segments added, in their order. */
export class InputRows {
  readonly #tokens: TokenRows
  readonly #events: EventVectors
  /** Source by source, as the graph concatenates them: rows first, then the modalities of the manifest. */
  readonly #sources: { name: Modality | 'rows'; distinct: Distinct; width: number; positionsEach: number }[]
  readonly #order: { source: number; index: number }[] = []

  constructor(bundle: Bundle, tokens: TokenRows, events: EventVectors) {
    const { dModel, dEncoder, modalities, tabular } = bundle.manifest
    this.#tokens = tokens
    this.#events = events
    this.#sources = [
      { name: 'rows', distinct: new Distinct(), width: dModel, positionsEach: 1 },
      ...modalities.map(({ name }) => ({
        name,
        distinct: new Distinct(),
        width: name === 'tabular' ? 2 * tabular!.features.length : dEncoder,
        positionsEach: name === 'tabular' ? tabular!.tokens : 1,
      })),
    ]
  }

  get length(): number {
    return this.#order.length
  }

  /** @param tabular standardised, float32 [2 * features]; of the user whose segments these are */
  add(segments: readonly Segment[], tabular: Float32Array | null): void {
    for (const segment of segments) this.#add(segment, tabular)
  }

  #add(segment: Segment, tabular: Float32Array | null): void {
    if (segment.kind === 'tokens') {
      for (const id of segment.ids) this.#place('rows', id, () => this.#tokens.token(id))
    } else if (segment.kind === 'special') {
      // Token ids are whole numbers from 0: negative keys are free for special rows.
      this.#place('rows', -1 - segment.row, () => this.#tokens.special(segment.row))
    } else if (segment.kind === 'events') {
      const vectors = this.#events.get(segment.modality)
      for (const text of segment.texts) {
        this.#place(segment.modality, text, () => {
          const vector = vectors?.get(text)
          invariant(vector !== undefined, `an event of ${segment.modality} was laid out, but not encoded`)
          return vector
        })
      }
    } else {
      invariant(tabular !== null, 'a tabular segment was laid out for a user without features')
      this.#place('tabular', tabular, () => tabular)
    }
  }

  #place(name: Modality | 'rows', key: unknown, vector: () => Float32Array): void {
    const source = this.#sources.findIndex((one) => one.name === name)
    const { distinct, positionsEach } = this.#sources[source]!
    const first = distinct.add(key, vector) * positionsEach
    for (let i = 0; i < positionsEach; i++) this.#order.push({ source, index: first + i })
  }

  feeds(): Tensors {
    const feeds: Tensors = {}
    const starts: number[] = []
    let start = 0
    for (const { name, distinct, width, positionsEach } of this.#sources) {
      starts.push(start)
      // No provider likes empty tensors: a source that isn't used has one row of zeros.
      const count = Math.max(1, distinct.vectors.length)
      const data = new Float32Array(count * width)
      for (const [i, vector] of distinct.vectors.entries()) data.set(vector, i * width)
      const input = name === 'rows' || name === 'tabular' ? name : eventsInput(name)
      feeds[input] = { data, dims: [count, width] }
      start += count * positionsEach
    }
    const order = Int32Array.from(this.#order, ({ source, index }) => starts[source]! + index)
    feeds.order = { data: order, dims: [order.length] }
    return feeds
  }
}
