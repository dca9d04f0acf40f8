/** Event texts become vectors, each distinct text once: from memory, from the cache on disk, else from its encoder. */

import { createHash } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import type { TextModality } from '../events/behavior-event.ts'
import type { Bundle, BundleEncoder } from './bundle.ts'
import { mappedWeights } from './bundle-tensors.ts'
import type { EventVectorCache, Precision, TokenCounts } from './embedding-model.ts'
import { encoderFeeds } from './encoder-feeds.ts'
import { CLS_OUTPUT, encoderGraph } from './graphs/bert-graph.ts'
import type { TensorRuntime, TensorSession } from './tensor-session.ts'
import { type EncoderTokenizer, openEncoderTokenizer } from './tokenizer.ts'

export interface EventEncoderOptions {
  /** null: vectors are kept in memory only. */
  cache: EventVectorCache | null
  /** Encoder tokens of one run. */
  batchTokensMax: number
  /** Of the vectors kept in memory, all encoders together. */
  memoryBytesMax: number
  prepack: boolean
}

export interface WantedTexts {
  modality: TextModality
  texts: Iterable<string>
}

/** Vectors by modality and text, float32 [dEncoder]. Shared: don't change them. */
export type EventVectors = ReadonlyMap<TextModality, ReadonlyMap<string, Float32Array>>

interface Known {
  vector: Float32Array
  tokenCount: number
}

/** One text of one encoder that isn't in memory. */
interface Missing {
  text: string
  maxTokens: number
  memoryKey: string
  cacheKey: string
}

/** One that is nowhere: only these are tokenised, which takes longer than finding a vector on disk. */
interface Unknown extends Missing {
  ids: readonly number[]
}

interface OpenEncoder {
  encoder: BundleEncoder
  tokenizer: EncoderTokenizer
  session: TensorSession
  /** What is being encoded now: a second caller waits instead of encoding it again. */
  pending: Map<string, Promise<Known>>
}

export class EventEncoder {
  readonly #options: EventEncoderOptions
  readonly #precision: Precision
  readonly #counts: TokenCounts
  readonly #byModality: ReadonlyMap<TextModality, { open: OpenEncoder; maxTokens: number }>
  readonly #memory: LRUCache<string, Known>

  private constructor(
    options: EventEncoderOptions,
    precision: Precision,
    counts: TokenCounts,
    byModality: ReadonlyMap<TextModality, { open: OpenEncoder; maxTokens: number }>,
  ) {
    this.#options = options
    this.#precision = precision
    this.#counts = counts
    this.#byModality = byModality
    this.#memory = new LRUCache({
      maxSize: options.memoryBytesMax,
      // A key is UTF-16 in memory; 100 bytes for the entry itself is a guess.
      sizeCalculation: ({ vector }, key) => vector.byteLength + 2 * key.length + 100,
    })
  }

  /** Opens every encoder of the bundle once, however many modalities share it. @param counts is added to */
  static async open(
    bundle: Bundle,
    runtime: TensorRuntime,
    options: EventEncoderOptions,
    counts: TokenCounts,
  ): Promise<EventEncoder> {
    const opened = new Map<string, OpenEncoder>()
    const byModality = new Map<TextModality, { open: OpenEncoder; maxTokens: number }>()
    try {
      for (const { name, encoder: directory, maxTokens } of bundle.manifest.modalities) {
        if (name === 'tabular' || directory === null || maxTokens === null) continue
        const open = opened.get(directory) ?? (await openEncoder(bundle, runtime, directory, options.prepack))
        opened.set(directory, open)
        byModality.set(name, { open, maxTokens })
      }
    } catch (error) {
      for (const { session } of opened.values()) await session.release()
      throw error
    }
    return new EventEncoder(options, runtime.precision, counts, byModality)
  }

  /** @throws the signal's reason, once it is aborted */
  async vectors(wanted: readonly WantedTexts[], signal?: AbortSignal): Promise<EventVectors> {
    const done = wanted.map(async ({ modality, texts }) => {
      return [modality, await this.#vectorsOf(modality, new Set(texts), signal)] as const
    })
    return new Map(await settled(done))
  }

  async release(): Promise<void> {
    const sessions = new Set([...this.#byModality.values()].map(({ open }) => open.session))
    await Promise.all([...sessions].map((session) => session.release()))
  }

  async #vectorsOf(modality: TextModality, texts: ReadonlySet<string>, signal?: AbortSignal) {
    const vectors = new Map<string, Float32Array>()
    const found = this.#byModality.get(modality)
    if (!found) return vectors
    const { open, maxTokens } = found
    const missing = new Map<string, Missing>()
    for (const text of texts) {
      const memoryKey = `${open.encoder.directory}\0${maxTokens}\0${text}`
      const known = this.#memory.get(memoryKey)
      if (known) {
        this.#countCached(known)
        vectors.set(text, known.vector)
      } else {
        const cacheKey = this.#cacheKey(open.encoder, maxTokens, text)
        missing.set(text, { text, maxTokens, memoryKey, cacheKey })
      }
    }
    const encoded = await this.#knownOf(open, [...missing.values()], signal)
    for (const [text, { memoryKey }] of missing) vectors.set(text, encoded.get(memoryKey)!.vector)
    return vectors
  }

  /** From the disk cache, from another caller's run, or from a run of our own. */
  async #knownOf(
    open: OpenEncoder,
    missing: readonly Missing[],
    signal?: AbortSignal,
  ): Promise<Map<string, Known>> {
    const known = new Map<string, Known>()
    const stored = this.#options.cache?.getMany(missing.map(({ cacheKey }) => cacheKey)) ?? []
    const ours: Unknown[] = []
    const theirs: Missing[] = []
    for (const [i, one] of missing.entries()) {
      const kept = fromRow(stored[i], open.encoder.config.hiddenSize)
      if (kept !== null) {
        this.#memory.set(one.memoryKey, kept)
        known.set(one.memoryKey, kept)
        this.#countCached(kept)
      } else if (open.pending.has(one.memoryKey)) theirs.push(one)
      else ours.push({ ...one, ids: open.tokenizer.ids(one.text, one.maxTokens) })
    }
    const waiting = theirs.map(async (one) => {
      known.set(one.memoryKey, await this.#theirs(open, one, signal))
    })
    const running = batchesOf(ours, this.#options.batchTokensMax).map(async (batch) => {
      const vectors = await this.#encode(open, batch, signal)
      for (const [i, one] of batch.entries()) known.set(one.memoryKey, vectors[i]!)
    })
    await settled([...waiting, ...running])
    return known
  }

  /** Waits for another caller's run; if that caller gave up, encodes the text itself. */
  async #theirs(open: OpenEncoder, one: Missing, signal?: AbortSignal): Promise<Known> {
    try {
      const known = await open.pending.get(one.memoryKey)!
      this.#countCached(known)
      return known
    } catch (error) {
      signal?.throwIfAborted()
      if (!(error instanceof Error) || error.name !== 'AbortError') throw error
      return (await this.#knownOf(open, [one], signal)).get(one.memoryKey)!
    }
  }

  async #encode(open: OpenEncoder, batch: readonly Unknown[], signal?: AbortSignal): Promise<Known[]> {
    const run = this.#run(open, batch, signal)
    for (const [i, { memoryKey }] of batch.entries()) {
      const one = run.then((all) => all[i]!)
      // Whoever waits sees the rejection; where nobody does, the run itself still throws below.
      one.catch(() => {})
      open.pending.set(memoryKey, one)
    }
    try {
      return await run
    } finally {
      for (const { memoryKey } of batch) open.pending.delete(memoryKey)
    }
  }

  async #run(
    { encoder, session }: OpenEncoder,
    batch: readonly Unknown[],
    signal?: AbortSignal,
  ): Promise<Known[]> {
    const feeds = encoderFeeds(
      encoder.config,
      batch.map(({ ids }) => ids),
    )
    const outputs = await session.run(feeds, { outputs: [CLS_OUTPUT], signal })
    const rows = outputs[CLS_OUTPUT]!.data as Float32Array
    const width = encoder.config.hiddenSize
    const known = batch.map(({ memoryKey, ids }, i) => {
      const one = { vector: rows.slice(i * width, (i + 1) * width), tokenCount: ids.length }
      this.#memory.set(memoryKey, one)
      return one
    })
    this.#options.cache?.putMany(known.map((one, i) => ({ key: batch[i]!.cacheKey, vector: toRow(one) })))
    this.#counts.eventsEncoded += batch.length
    for (const { tokenCount } of known) this.#counts.encoderComputed += tokenCount
    return known
  }

  #countCached({ tokenCount }: Known): void {
    this.#counts.eventsCached++
    this.#counts.encoderCached += tokenCount
  }

  #cacheKey(encoder: BundleEncoder, maxTokens: number, text: string): string {
    const parts = [encoder.contentHash, this.#precision, maxTokens, text]
    return createHash('sha256').update(JSON.stringify(parts)).digest('hex')
  }
}

/** What the cache keeps: the vector, and behind it the text's token count, exact in a float32 up to 2^24. */
function toRow({ vector, tokenCount }: Known): Float32Array {
  const row = new Float32Array(vector.length + 1)
  row.set(vector)
  row[vector.length] = tokenCount
  return row
}

/** @returns null: nothing was kept, or something else */
function fromRow(row: Float32Array | undefined, width: number): Known | null {
  if (row?.length !== width + 1) return null
  return { vector: row.subarray(0, width), tokenCount: row[width]! }
}

async function openEncoder(
  bundle: Bundle,
  runtime: TensorRuntime,
  directory: string,
  prepack: boolean,
): Promise<OpenEncoder> {
  const encoder = bundle.encoders.get(directory)!
  const graph = encoderGraph(
    { config: encoder.config, weights: mappedWeights(encoder.weights) },
    runtime.form,
  )
  const tokenizer = openEncoderTokenizer(encoder.tokenizerPath, encoder.config.vocabSize)
  const session = await runtime.open({ graph, directory: bundle.directory, held: {}, prepack })
  return { encoder, tokenizer, session, pending: new Map() }
}

/** Texts of like length together, at most `tokensMax` tokens a batch (one longer text stands alone). */
function batchesOf(missing: readonly Unknown[], tokensMax: number): Unknown[][] {
  const batches: Unknown[][] = []
  let tokenCount = Number.POSITIVE_INFINITY
  for (const one of missing.toSorted((a, b) => a.ids.length - b.ids.length)) {
    if (tokenCount + one.ids.length > tokensMax) {
      batches.push([])
      tokenCount = 0
    }
    batches.at(-1)!.push(one)
    tokenCount += one.ids.length
  }
  return batches
}

/** Like Promise.all, but it ends when all have ended: nothing of a failed call goes on in the dark. */
async function settled<T>(promises: readonly Promise<T>[]): Promise<T[]> {
  const results = await Promise.allSettled(promises)
  return results.map((result) => {
    if (result.status === 'rejected') throw result.reason
    return result.value
  })
}
