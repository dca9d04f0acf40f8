/**
 * Causal grouped-query attention without the masked part: users share nothing, a user's blocks share only the prefix,
 * so blocks attend to the prefix and to themselves, and no score between two blocks is ever computed.
 */

import type { Qwen2Config } from '../model-configs.ts'
import type { TensorOps } from './tensor-ops.ts'

/** Keys, rotated, and values: rows of one head each [n * kvHeads, headSize], or prefixes [users, kvHeads, prefix, headSize]. */
export interface KeyValue {
  key: string
  value: string
}

/** What one attention layer needs besides its rows; the same for all layers. */
export interface AttentionContext {
  ops: TensorOps
  config: Qwen2Config
}

const scaleOf = (config: Qwen2Config) => 1 / Math.sqrt(config.headSize)

/** Index inputs through which prefixes attend to themselves. */
export class PrefixAttention {
  readonly #context: AttentionContext
  readonly #query: string
  readonly #key: string
  readonly #mask: string
  /** The column of each key: 0, 1, ... */
  readonly col: string

  constructor(context: AttentionContext) {
    const { ops, config } = context
    this.#context = context
    this.col = ops.coordinates('prefix.col', ['prefix'])
    this.#query = ops.indices('prefix.query', ['users', config.kvHeadCount, 'groupPrefix'])
    this.#key = ops.indices('prefix.key', ['users', config.kvHeadCount, 'prefix'])
    // Padding lies to the right of every real position, so that causality hides it.
    this.#mask = ops.mask(ops.coordinates('prefix.row', ['groupPrefix', 1]), this.col)
  }

  /** @returns rows [users * kvHeads * group * prefix, headSize] */
  attend(query: string, { key, value }: KeyValue): string {
    const { ops, config } = this.#context
    const scores = ops.scores(4, ops.rows(query, this.#query), key, scaleOf(config))
    const weights = ops.softmax(ops.add(scores, this.#mask))
    return ops.reshape(ops.matMul(weights, value), [-1, config.headSize])
  }

  /** @param rows of one head each, [n * kvHeads, headSize] */
  keyValue({ key, value }: KeyValue): KeyValue {
    const { ops } = this.#context
    return { key: ops.rows(key, this.#key), value: ops.rows(value, this.#key) }
  }
}

/** Index inputs through which blocks attend to their user's prefix and to themselves. */
export class BlockAttention {
  readonly #context: AttentionContext
  readonly #query: string
  readonly #key: string
  readonly #mask: string
  readonly #lastQuery: string
  readonly #lastMask: string
  readonly #apart: string
  readonly #together: string
  readonly #widths: string

  constructor(context: AttentionContext) {
    const { ops, config } = context
    const kv = config.kvHeadCount
    this.#context = context
    this.#query = ops.indices('block.query', ['users', kv, 'blocks', 'groupBlock'])
    this.#key = ops.indices('block.key', ['users', kv, 'blocks', 'block'])
    // Columns: prefix then own block. A prefix column is below every row, or, where it is padding, beyond every row.
    const col = ops.coordinates('block.col', ['users', 1, 1, 1, 'prefixBlock'])
    this.#mask = ops.mask(ops.coordinates('block.row', ['groupBlock', 1]), col)
    this.#lastQuery = ops.indices('last.query', ['users', kv, 'blocks', config.headCount / kv])
    this.#lastMask = ops.mask(ops.coordinates('last.row', ['users', 1, 'blocks', 1, 1]), col)
    this.#apart = ops.sizes('block.apart', 5) // [users, kvHeads, blocks, -1, prefix]
    this.#together = ops.sizes('block.together', 4) // [users, kvHeads, -1, prefix]
    this.#widths = ops.sizes('block.widths', 2) // [prefix, block]
  }

  /**
   * @param query, own rows of one head each
   * @returns rows [users * kvHeads * blocks * group * block, headSize]
   */
  attend(query: string, own: KeyValue, prefix: KeyValue): string {
    return this.#attend(query, own, prefix, this.#query, this.#mask)
  }

  /** The same for the last row of each block only: query [users * blocks * heads, headSize]. */
  attendLast(query: string, own: KeyValue, prefix: KeyValue): string {
    return this.#attend(query, own, prefix, this.#lastQuery, this.#lastMask)
  }

  #attend(query: string, own: KeyValue, prefix: KeyValue, queryIndex: string, mask: string): string {
    const { ops, config } = this.#context
    const scale = scaleOf(config)
    const { graph } = ops
    const apart = ops.rows(query, queryIndex)
    // All blocks meet the prefix in one large product.
    const together = ops.reshape(apart, [0, 0, -1, config.headSize])
    const withPrefix = ops.reshapeTo(ops.scores(4, together, prefix.key, scale), this.#apart)
    const withOwn = ops.scores(5, apart, ops.rows(own.key, this.#key), scale)
    const weights = ops.softmax(ops.add(ops.concat([withPrefix, withOwn], -1), mask))
    const [onPrefix, onOwn] = graph.nodes('Split', [weights, this.#widths], 2, { axis: -1 })
    const fromPrefix = ops.matMul(ops.reshapeTo(onPrefix!, this.#together), prefix.value)
    const fromOwn = ops.matMul(onOwn!, ops.rows(own.value, this.#key))
    const flat = (x: string) => ops.reshape(x, [-1, config.headSize])
    return ops.add(flat(fromPrefix), flat(fromOwn))
  }
}

/** The last row of each sequence against the whole sequence; for passes without blocks. */
export class LastRowAttention {
  readonly #context: AttentionContext
  readonly #query: string
  readonly #mask: string

  /** @param col PrefixAttention.col */
  constructor(context: AttentionContext, col: string) {
    const { ops, config } = context
    const group = config.headCount / config.kvHeadCount
    this.#context = context
    this.#query = ops.indices('last.query', ['users', config.kvHeadCount, group])
    this.#mask = ops.mask(ops.coordinates('last.row', ['users', 1, 1, 1]), col)
  }

  /** @returns rows [users * heads, headSize] */
  attend(query: string, { key, value }: KeyValue): string {
    const { ops, config } = this.#context
    const scores = ops.scores(4, ops.rows(query, this.#query), key, scaleOf(config))
    const weights = ops.softmax(ops.add(scores, this.#mask))
    return ops.reshape(ops.matMul(weights, value), [-1, config.headSize])
  }
}
