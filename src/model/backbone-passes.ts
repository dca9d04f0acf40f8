/** Runs the backbone over laid-out users in any of the three forms, and over texts; one session per pass, opened when first used. */

import {
  blockFeeds,
  lastRowFeeds,
  mergeFeed,
  prefixFeeds,
  type Span,
  type UserSpans,
} from './attention-feeds.ts'
import type { Bundle } from './bundle.ts'
import { weightEntry } from './bundle.ts'
import { heldTensors, mappedWeights } from './bundle-tensors.ts'
import type { PassForm, TokenCounts } from './embedding-model.ts'
import type { EventVectors } from './event-encoder.ts'
import { type BackbonePass, keyValueName } from './graphs/qwen2-graph.ts'
import { STATE_OUTPUT, type UserGraphSpec, userGraph, VECTOR_OUTPUT } from './graphs/user-graph.ts'
import { InputRows, TokenRows } from './input-rows.ts'
import { RotaryTable } from './rotary.ts'
import { layoutRow, type PrefixLayout, type RowLayout, type Segment } from './sequence.ts'
import type { TensorRuntime, TensorSession, Tensors } from './tensor-session.ts'

/** A user ready for the backbone. */
export interface LaidOutUser {
  prefix: PrefixLayout
  /** Standardised, float32 [2 * features]; null: absent. */
  tabular: Float32Array | null
}

/** What a run gives for one (user, instruction) or one text. */
export interface PassResult {
  /** Final-norm state, float32 [dModel]; empty unless it was asked for. */
  state: Float32Array
  /** Head output, not normalised, float32 [dimensions]. */
  vector: Float32Array
}

export interface PassOptions {
  form: PassForm
  /** Also return the states: only golden tests look at them. */
  states?: boolean
  signal?: AbortSignal | undefined
}

type Ids = readonly number[]

export class BackbonePasses {
  readonly #bundle: Bundle
  readonly #runtime: TensorRuntime
  readonly #counts: TokenCounts
  readonly #prepack: boolean
  readonly #tokens: TokenRows
  readonly #rotary: RotaryTable
  readonly #sessions = new Map<BackbonePass, Promise<TensorSession>>()

  /** @param counts is added to */
  constructor(bundle: Bundle, runtime: TensorRuntime, counts: TokenCounts, prepack: boolean) {
    this.#bundle = bundle
    this.#runtime = runtime
    this.#counts = counts
    this.#prepack = prepack
    this.#tokens = new TokenRows(bundle)
    this.#rotary = new RotaryTable(bundle.backbone.config)
  }

  /** Opens the session of a pass now, so that what is wrong with it is known at start. */
  async open(pass: BackbonePass): Promise<void> {
    await this.#session(pass)
  }

  /** @returns per user, per instruction */
  async users(
    users: readonly LaidOutUser[],
    instructions: readonly Ids[],
    events: EventVectors,
    options: PassOptions,
  ): Promise<PassResult[][]> {
    if (options.form === 'separate') return await this.#separate(users, instructions, events, options)
    if (options.form === 'prefix-suffix')
      return await this.#prefixSuffix(users, instructions, events, options)
    const rows = users.map(({ prefix }) => layoutRow(this.#bundle.manifest, prefix, instructions))
    const run = this.#collect(
      rows.map((row, i) => ({ ...row, tabular: users[i]!.tabular })),
      events,
    )
    const spans = rows.map((row, i) => userSpans(row, users[i]!.prefix.length, run.starts[i]!))
    const feeds = { ...run.feeds, ...this.#packedFeeds(spans, run.positionCount) }
    const results = await this.#run('packed', feeds, options)
    this.#count(run.positionCount, users, instructions.length - 1)
    return chunked(results, instructions.length)
  }

  /** The answer tower: each text alone, its last token's state. Texts are blocks without a prefix. */
  async texts(texts: readonly Ids[], options: Omit<PassOptions, 'form'> = {}): Promise<PassResult[]> {
    const blocks: Span[] = []
    let start = 0
    for (const { length } of texts) {
      blocks.push({ start, length })
      start += length
    }
    const rows = texts.map((ids) => textRow(ids))
    const run = this.#collect(rows, new Map())
    const spans: UserSpans[] = [{ prefix: { start: 0, length: 0 }, blocks }]
    const results = await this.#run('packed', { ...run.feeds, ...this.#packedFeeds(spans, start) }, options)
    this.#count(start, [], 0)
    return results
  }

  async release(): Promise<void> {
    const sessions = await Promise.allSettled(this.#sessions.values())
    for (const session of sessions) if (session.status === 'fulfilled') await session.value.release()
  }

  /** Every (user, instruction) as a sequence of its own. */
  async #separate(
    users: readonly LaidOutUser[],
    instructions: readonly Ids[],
    events: EventVectors,
    options: PassOptions,
  ) {
    const { manifest, backbone } = this.#bundle
    const rows = users.flatMap(({ prefix, tabular }) =>
      instructions.map((ids) => ({ ...layoutRow(manifest, prefix, [ids]), tabular })),
    )
    const run = this.#collect(rows, events)
    const sequences = rows.map(({ length }, i): Span => ({ start: run.starts[i]!, length }))
    const feeds = {
      ...run.feeds,
      ...prefixFeeds(backbone.config, sequences),
      ...lastRowFeeds(backbone.config, sequences),
      ...this.#mergeFeed(run.positionCount, sequences, []),
    }
    const results = await this.#run('whole', feeds, options)
    this.#count(run.positionCount, users, 0)
    return chunked(results, instructions.length)
  }

  /** Keys and values of the prefixes first, then the blocks over them. */
  async #prefixSuffix(
    users: readonly LaidOutUser[],
    instructions: readonly Ids[],
    events: EventVectors,
    options: PassOptions,
  ) {
    const { config } = this.#bundle.backbone
    const rows = users.map(({ prefix }) => layoutRow(this.#bundle.manifest, prefix, instructions))
    const before = this.#collect(
      users.map(({ prefix, tabular }) => ({
        segments: prefix.segments,
        positions: Int32Array.from({ length: prefix.length }, (_, i) => i),
        tabular,
      })),
      events,
    )
    const prefixes = users.map(({ prefix }, i): Span => ({ start: before.starts[i]!, length: prefix.length }))
    const outputs = Array.from({ length: config.layerCount }, (_, layer) => [
      keyValueName(layer, 'key'),
      keyValueName(layer, 'value'),
    ]).flat()
    const prefixInputs = {
      ...before.feeds,
      ...prefixFeeds(config, prefixes),
      ...this.#mergeFeed(before.positionCount, prefixes, []),
    }
    const past = await (await this.#session('prefix')).run(prefixInputs, { outputs, signal: options.signal })

    const suffixes = rows.map((row, i) => {
      const from = users[i]!.prefix.length
      const segments = row.segments.filter(({ start }) => start >= from)
      return { segments, positions: row.positions.slice(from), tabular: users[i]!.tabular }
    })
    const after = this.#collect(suffixes, events)
    const spans = rows.map((row, i) =>
      userSpans(row, users[i]!.prefix.length, after.starts[i]! - users[i]!.prefix.length),
    )
    const feeds = {
      ...after.feeds,
      ...past,
      ...blockFeeds(config, spans),
      ...this.#mergeFeed(after.positionCount, [], spans),
    }
    const results = await this.#run('suffix', feeds, options)
    this.#counts.backboneRuns++
    this.#count(before.positionCount + after.positionCount, users, instructions.length - 1)
    return chunked(results, instructions.length)
  }

  /** Lines up rows one behind the other. */
  #collect(
    rows: readonly { segments: readonly Segment[]; positions: Int32Array; tabular: Float32Array | null }[],
    events: EventVectors,
  ) {
    const inputs = new InputRows(this.#bundle, this.#tokens, events)
    const starts: number[] = []
    for (const { segments, tabular } of rows) {
      starts.push(inputs.length)
      inputs.add(segments, tabular)
    }
    const positions = new Int32Array(inputs.length)
    for (const [i, row] of rows.entries()) positions.set(row.positions, starts[i]!)
    return {
      feeds: { ...inputs.feeds(), ...this.#rotary.feeds(positions) },
      starts,
      positionCount: inputs.length,
    }
  }

  #packedFeeds(spans: readonly UserSpans[], positionCount: number): Tensors {
    const { config } = this.#bundle.backbone
    const prefixes = spans.map(({ prefix }) => prefix)
    const attention = { ...prefixFeeds(config, prefixes), ...blockFeeds(config, spans) }
    return { ...attention, ...this.#mergeFeed(positionCount, prefixes, spans) }
  }

  /** A backbone of one layer attends from last rows only, and its graph has nothing to merge. */
  #mergeFeed(positionCount: number, prefixes: readonly Span[], users: readonly UserSpans[]): Tensors {
    const { config } = this.#bundle.backbone
    return config.layerCount > 1 ? mergeFeed(config, positionCount, prefixes, users) : {}
  }

  async #run(
    pass: BackbonePass,
    feeds: Tensors,
    { states, signal }: Omit<PassOptions, 'form'>,
  ): Promise<PassResult[]> {
    const session = await this.#session(pass)
    const outputs = states ? [VECTOR_OUTPUT, STATE_OUTPUT] : [VECTOR_OUTPUT]
    const results = await session.run(feeds, { outputs, signal })
    this.#counts.backboneRuns++
    const vectors = rowsOf(results[VECTOR_OUTPUT]!)
    const final = states ? rowsOf(results[STATE_OUTPUT]!) : []
    return vectors.map((vector, i) => ({ vector, state: final[i] ?? new Float32Array(0) }))
  }

  /** @param sharedTimes how often each prefix would have been computed again by separate passes */
  #count(positionCount: number, users: readonly LaidOutUser[], sharedTimes: number): void {
    this.#counts.backboneComputed += positionCount
    for (const { prefix } of users) this.#counts.backboneShared += prefix.length * sharedTimes
  }

  #session(pass: BackbonePass): Promise<TensorSession> {
    const known = this.#sessions.get(pass)
    if (known) return known
    const { backbone, lora, manifest, modules, directory } = this.#bundle
    const spec: UserGraphSpec = {
      config: backbone.config,
      weights: mappedWeights(backbone.weights),
      loraRank: lora?.config.rank ?? 0,
      modules: { manifest, dimsOf: (name) => weightEntry(modules, name).shape },
    }
    const graph = userGraph(spec, pass, this.#runtime.form)
    const session = this.#runtime.open({ graph, directory, held: this.#held(pass), prepack: this.#prepack })
    this.#sessions.set(pass, session)
    return session
  }

  /** The prefix pass ends before the head and before most of the last layer: it has fewer inputs. */
  #held(pass: BackbonePass): Tensors {
    const held = heldTensors(this.#bundle)
    if (pass !== 'prefix') return held
    const last = this.#bundle.backbone.config.layerCount - 1
    const unused = (name: string) =>
      name.startsWith('head.') ||
      (name.startsWith(`lora.${last}.`) && !/\.(qkv\.down|self_attn\.[kv]_proj\.up)$/.test(name))
    return Object.fromEntries(Object.entries(held).filter(([name]) => !unused(name)))
  }
}

/** A text alone: positions from 0. */
function textRow(ids: Ids) {
  const segments: Segment[] = [{ kind: 'tokens', ids, start: 0, length: ids.length }]
  return { segments, positions: Int32Array.from(ids, (_, i) => i), tabular: null }
}

/** @param offset what is added to a row's own indices: where the row starts in the run */
function userSpans(row: RowLayout, prefixLength: number, offset: number): UserSpans {
  const blocks: Span[] = []
  let start = prefixLength
  for (const end of row.userIndices) {
    blocks.push({ start: offset + start, length: end + 1 - start })
    start = end + 1
  }
  return { prefix: { start: offset, length: prefixLength }, blocks }
}

function rowsOf({ data, dims }: Tensors[string]): Float32Array[] {
  const [count, width] = dims as [number, number]
  return Array.from({ length: count }, (_, i) => (data as Float32Array).slice(i * width, (i + 1) * width))
}

function chunked<T>(items: readonly T[], size: number): T[][] {
  return Array.from({ length: items.length / size }, (_, i) => items.slice(i * size, (i + 1) * size))
}
