/** The model of a bundle: users and texts in, vectors out, over any inference runtime. */

import { LRUCache } from 'lru-cache'
import { ConfigError, invariant, RequestError } from '../errors.ts'
import { TEXT_MODALITIES, type TextModality } from '../events/behavior-event.ts'
import { BackbonePasses, type LaidOutUser, type PassResult } from './backbone-passes.ts'
import type { Bundle } from './bundle.ts'
import type { EmbeddingModel, EventVectorCache, PassForm, TokenCounts, UserInput } from './embedding-model.ts'
import { EventEncoder, type WantedTexts } from './event-encoder.ts'
import { layoutPrefix, packedLength } from './sequence.ts'
import { standardise } from './tabular-input.ts'
import type { TensorRuntime } from './tensor-session.ts'
import { type BackboneTokenizer, openBackboneTokenizer } from './tokenizer.ts'

export interface BundleModelOptions {
  /** null: event vectors are kept in memory only. */
  cache?: EventVectorCache | null
  /** Encoder tokens, and backbone positions of small users together, of one run. */
  batchTokensMax?: number
  /** Backbone positions of one packed row. */
  positionsMax?: number
  /** Event vectors kept in memory. */
  memoryBytesMax?: number
  /** See SessionSource; default: weights below 256 MiB. */
  prepack?: boolean
}

/** States and vectors of one (user, instruction) or text, as golden files hold them. */
interface Embedding {
  /** The backbone's final-norm state, float32 [dModel]. */
  state: Float32Array
  /** L2-normalised, float32 [dimensions]. */
  vector: Float32Array
}

/** More blocks in a row gain nothing: by then the prefix is a small part, and a run's memory grows. */
const INSTRUCTIONS_PER_ROW_MAX = 32
/** Beyond this, a private copy of the weights per session costs more than the few per cent are worth. */
const PREPACK_SIZE_BYTES_MAX = 256 * 2 ** 20
const INSTRUCTION_CACHE_MAX = 1_000
/** Spec section 8, rule 8. */
const NORM_MIN = 1e-12

type EmbedOptions = { form?: PassForm; signal?: AbortSignal }

/**
 * Opens the model of a bundle. It owns the bundle from here on; the runtime stays the caller's, who may share it between models.
 *
 * @throws {ConfigError} `positions-max`, `provider-unavailable`, `session-open`, and those of tokenizers
 */
export async function openBundleModel(
  bundle: Bundle,
  runtime: TensorRuntime,
  options: BundleModelOptions = {},
): Promise<BundleModel> {
  const counts: TokenCounts = {
    encoderComputed: 0,
    encoderCached: 0,
    backboneComputed: 0,
    backboneShared: 0,
    eventsEncoded: 0,
    eventsCached: 0,
    backboneRuns: 0,
    encodeMs: 0,
    backboneMs: 0,
  }
  const { sizeBytes } = bundle.backbone.weights.file
  const settings = {
    cache: options.cache ?? null,
    batchTokensMax: options.batchTokensMax ?? 1_024,
    positionsMax: Math.min(options.positionsMax ?? 4_096, bundle.backbone.config.maxPositions),
    memoryBytesMax: options.memoryBytesMax ?? 64 * 2 ** 20,
    prepack: options.prepack ?? sizeBytes < PREPACK_SIZE_BYTES_MAX,
  }
  const tokenizer = openBackboneTokenizer(bundle.backbone.tokenizerPath, bundle.backbone.config.vocabSize)
  const { introText } = bundle.manifest
  const introIds = introText === '' ? [] : tokenizer.ids(introText)
  checkFullUser(bundle, introIds.length, settings.positionsMax)
  const passes = new BackbonePasses(bundle, runtime, counts, settings.prepack)
  // The runtime may be shared and live on: what was opened before a failure must not stay in it.
  await passes.open('packed')
  try {
    const encoder = await EventEncoder.open(bundle, runtime, settings, counts)
    return new BundleModel({ bundle, runtime, tokenizer, introIds, encoder, passes, counts, ...settings })
  } catch (error) {
    await passes.release()
    throw error
  }
}

/** A user whose every slot is filled must fit, or the service would fail with its most active users. */
function checkFullUser({ manifest }: Bundle, introLength: number, positionsMax: number): void {
  const { modalities, specialTokens, tabular } = manifest
  const slots = modalities.reduce(
    (sum, { name, slots }) => sum + (name === 'tabular' ? tabular!.tokens : slots),
    0,
  )
  const length = introLength + specialTokens.length + slots
  if (length <= positionsMax) return
  throw new ConfigError(
    'positions-max',
    `expected model.positionsMax of at least ${length}, a user of ${manifest.id} with all slots filled, got ${positionsMax}: raise it`,
  )
}

interface Parts {
  bundle: Bundle
  runtime: TensorRuntime
  tokenizer: BackboneTokenizer
  introIds: readonly number[]
  encoder: EventEncoder
  passes: BackbonePasses
  counts: TokenCounts
  batchTokensMax: number
  positionsMax: number
}

class BundleModel implements EmbeddingModel {
  readonly #parts: Parts
  readonly #introIds: readonly number[]
  readonly #instructionIds = new LRUCache<string, readonly number[]>({ max: INSTRUCTION_CACHE_MAX })
  readonly id: EmbeddingModel['id']
  readonly precision: EmbeddingModel['precision']
  readonly provider: EmbeddingModel['provider']
  readonly dimensions: number
  readonly rendererVersion: number
  readonly horizonDays: number
  readonly slots: Readonly<Record<TextModality, number>>
  readonly tabularFeatures: readonly string[] | null
  readonly contentHash: string

  constructor(parts: Parts) {
    const { bundle, runtime } = parts
    const { manifest } = bundle
    this.#parts = parts
    this.#introIds = parts.introIds
    this.id = manifest.id
    this.precision = runtime.precision
    this.provider = runtime.provider
    this.dimensions = bundle.dimensions
    this.rendererVersion = manifest.rendererVersion
    this.horizonDays = manifest.horizonDays
    const slotsOf = (name: TextModality) => manifest.modalities.find((one) => one.name === name)?.slots ?? 0
    this.slots = Object.fromEntries(TEXT_MODALITIES.map((name) => [name, slotsOf(name)])) as typeof this.slots
    this.tabularFeatures = manifest.tabular?.features ?? null
    this.contentHash = bundle.contentHash
  }

  positions(input: UserInput, instructions: readonly (string | null)[]): number {
    const prefix = layoutPrefix(this.#parts.bundle.manifest, this.#introIds, input)
    return packedLength(prefix.length, this.#idsOf(instructions))
  }

  async embedUsers(
    users: readonly UserInput[],
    instructions: readonly (string | null)[],
    options: EmbedOptions = {},
  ): Promise<Float32Array[][]> {
    const embeddings = await this.embedUserStates(users, instructions, { ...options, states: false })
    return embeddings.map((row) => row.map(({ vector }) => vector))
  }

  /** Like embedUsers, with the backbone's states, unless `states` is false. */
  async embedUserStates(
    users: readonly UserInput[],
    instructions: readonly (string | null)[],
    { form = 'packed', signal, states = true }: EmbedOptions & { states?: boolean } = {},
  ): Promise<Embedding[][]> {
    const instructionIds = this.#idsOf(instructions)
    const laidOut = users.map((input) => this.#layOut(input))
    if (users.length === 0 || instructions.length === 0) return users.map(() => [])
    const chunks = this.#instructionChunks(laidOut, instructionIds)
    const { counts } = this.#parts
    const startMs = performance.now()
    const events = await this.#parts.encoder.vectors(wantedTexts(laidOut), signal)
    const encodedMs = performance.now()
    counts.encodeMs += encodedMs - startMs
    const jobs = chunks.flatMap((chunk) =>
      this.#userGroups(laidOut, chunk.ids, form).map((group) => ({ group, chunk })),
    )
    const results = users.map(() => new Array<Embedding>(instructions.length))
    await inParallel(jobs, this.#parts.runtime.workers, async ({ group, chunk }) => {
      signal?.throwIfAborted()
      const members = group.map((index) => laidOut[index]!)
      const embedded = await this.#parts.passes.users(members, chunk.ids, events, { form, signal, states })
      for (const [i, index] of group.entries()) {
        for (const [j, one] of embedded[i]!.entries()) results[index]![chunk.start + j] = this.#embedding(one)
      }
    })
    counts.backboneMs += performance.now() - encodedMs
    return results
  }

  async embedTexts(texts: readonly string[]): Promise<Float32Array[]> {
    const embeddings = await this.embedTextStates(texts, { states: false })
    return embeddings.map(({ vector }) => vector)
  }

  /** Like embedTexts, with the backbone's states, unless `states` is false. */
  async embedTextStates(texts: readonly string[], { states = true } = {}): Promise<Embedding[]> {
    const { tokenizer, passes, batchTokensMax } = this.#parts
    const ids = texts.map((text) => tokenizer.answerIds(text))
    for (const { length } of ids) this.#checkPositions(length, 'a text')
    const results: Embedding[] = new Array(texts.length)
    const order = [...ids.keys()].sort((a, b) => ids[a]!.length - ids[b]!.length)
    for (const group of groupsWithin(order, (index) => ids[index]!.length, batchTokensMax)) {
      const members = group.map((index) => ids[index]!)
      const embedded = await passes.texts(members, { states })
      for (const [i, index] of group.entries()) results[index] = this.#embedding(embedded[i]!)
    }
    return results
  }

  /**
   * Vectors of event texts as the encoders give them, float32 [dEncoder] each.
   *
   * @param texts of one modality
   */
  async encodeEvents(modality: TextModality, texts: readonly string[]): Promise<Float32Array[]> {
    const vectors = (await this.#parts.encoder.vectors([{ modality, texts }])).get(modality)!
    return texts.map((text) => vectors.get(text)!)
  }

  counts(): TokenCounts {
    return { ...this.#parts.counts }
  }

  async close(): Promise<void> {
    await this.#parts.encoder.release()
    await this.#parts.passes.release()
    this.#parts.bundle.close()
  }

  #idsOf(instructions: readonly (string | null)[]): (readonly number[])[] {
    return instructions.map((text) => {
      if (text === null) return []
      const known = this.#instructionIds.get(text)
      if (known) return known
      const ids = this.#parts.tokenizer.instructionIds(text)
      this.#instructionIds.set(text, ids)
      return ids
    })
  }

  #layOut(input: UserInput): LaidOutUser {
    const { manifest } = this.#parts.bundle
    const prefix = layoutPrefix(manifest, this.#introIds, input)
    const hasTabular = manifest.tabular !== null && input.tabular !== null
    return { prefix, tabular: hasTabular ? standardise(manifest.tabular!, input.tabular!) : null }
  }

  /** As many instructions a row as fit behind the longest prefix, in their order. */
  #instructionChunks(users: readonly LaidOutUser[], instructions: readonly (readonly number[])[]) {
    const prefixMax = Math.max(...users.map(({ prefix }) => prefix.length))
    for (const ids of instructions)
      this.#checkPositions(prefixMax + ids.length + 1, 'a user under one instruction')
    const limit = this.#parts.positionsMax - prefixMax
    let start = 0
    return groupsWithin(instructions, (ids) => ids.length + 1, limit, INSTRUCTIONS_PER_ROW_MAX).map((ids) => {
      const chunk = { ids, start }
      start += ids.length
      return chunk
    })
  }

  /** Users of like length together: a run's attention is padded to its longest prefix, everything else to nothing. */
  #userGroups(
    users: readonly LaidOutUser[],
    instructions: readonly (readonly number[])[],
    form: PassForm,
  ): number[][] {
    const rowLength = (index: number) => {
      const { length } = users[index]!.prefix
      // Separate passes compute the prefix for each instruction.
      return (
        packedLength(length, instructions) + (form === 'separate' ? length * (instructions.length - 1) : 0)
      )
    }
    const order = [...users.keys()].sort((a, b) => users[a]!.prefix.length - users[b]!.prefix.length)
    return groupsWithin(order, rowLength, this.#parts.batchTokensMax)
  }

  #embedding({ state, vector }: PassResult): Embedding {
    let squares = 0
    for (const value of vector) squares += value * value
    const norm = Math.sqrt(squares)
    invariant(Number.isFinite(norm), `the model ${this.id} gave a vector that is not finite`)
    const scale = 1 / Math.max(norm, NORM_MIN)
    return { state, vector: vector.map((value) => value * scale) }
  }

  #checkPositions(length: number, what: string): void {
    const { positionsMax } = this.#parts
    if (length <= positionsMax) return
    throw new RequestError(
      'text-too-long',
      `expected ${what} of at most ${positionsMax} positions, got ${length}: shorten the text`,
    )
  }
}

export type { BundleModel }

function wantedTexts(users: readonly LaidOutUser[]): WantedTexts[] {
  const texts = new Map<TextModality, Set<string>>()
  for (const segment of users.flatMap(({ prefix }) => prefix.segments)) {
    if (segment.kind !== 'events') continue
    const known = texts.get(segment.modality) ?? new Set()
    for (const text of segment.texts) known.add(text)
    texts.set(segment.modality, known)
  }
  return [...texts].map(([modality, set]) => ({ modality, texts: set }))
}

/** Neighbours together, as long as their sizes stay within the limit; one that is larger stands alone. */
function groupsWithin<T>(
  items: readonly T[],
  size: (item: T) => number,
  limit: number,
  countMax = items.length,
): T[][] {
  const groups: T[][] = []
  let total = Number.POSITIVE_INFINITY
  for (const item of items) {
    const own = size(item)
    if (total + own > limit || groups.at(-1)!.length >= countMax) {
      groups.push([])
      total = 0
    }
    groups.at(-1)!.push(item)
    total += own
  }
  return groups
}

/** Runs jobs in their order, at most `limit` at once; after a failure no further one begins, and it ends when all that began have. */
async function inParallel<T>(
  jobs: readonly T[],
  limit: number,
  run: (job: T) => Promise<void>,
): Promise<void> {
  let next = 0
  const lane = async () => {
    while (next < jobs.length) {
      try {
        await run(jobs[next++]!)
      } catch (error) {
        next = jobs.length
        throw error
      }
    }
  }
  const lanes = await Promise.allSettled(Array.from({ length: Math.min(limit, jobs.length) }, lane))
  for (const one of lanes) if (one.status === 'rejected') throw one.reason
}
