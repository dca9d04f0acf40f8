/** The Qwen2 backbone as an ONNX graph, one per pass; weights are mapped, everything trained is fed. */

import type { Qwen2Config } from '../model-configs.ts'
import { projectionShapes } from '../tensor-shapes.ts'
import { BlockAttention, type KeyValue, LastRowAttention, PrefixAttention } from './qwen2-attention.ts'
import type { TensorOps, WeightLocation } from './tensor-ops.ts'

/**
 * - `packed`: prefixes and blocks in one run, states of each block's last row.
 * - `prefix`: keys and values of each layer, nothing else.
 * - `suffix`: blocks over keys and values that were fed.
 * - `whole`: plain causal sequences, the state of each one's last row.
 * - `states`: plain causal sequences, all states.
 */
export type BackbonePass = 'packed' | 'prefix' | 'suffix' | 'whole' | 'states'

export interface BackboneSpec {
  config: Qwen2Config
  weights: WeightLocation
  /** 0: no LoRA. Otherwise its matrices are inputs, see lora-feeds.ts. */
  loraRank: number
}

/** Projections that read the same rows shrink them together: one thin product instead of two or three. */
export const LORA_GROUPS = {
  qkv: ['self_attn.q_proj', 'self_attn.k_proj', 'self_attn.v_proj'],
  o: ['self_attn.o_proj'],
  gateUp: ['mlp.gate_proj', 'mlp.up_proj'],
  down: ['mlp.down_proj'],
} as const
type LoraGroup = keyof typeof LORA_GROUPS

export const loraDownName = (layer: number, group: string) => `lora.${layer}.${group}.down`
export const loraUpName = (layer: number, projection: string) => `lora.${layer}.${projection}.up`

/** Rows of the other projections that shrink in the same product are zero. */
function loraUpDims({ config, loraRank }: BackboneSpec, projection: string): [number, number] {
  const group = Object.values(LORA_GROUPS).find((names: readonly string[]) => names.includes(projection))!
  return [loraRank * group.length, projectionShapes(config).get(projection)![0]]
}

/** Name of a layer's keys or values where a pass gives or takes them. */
export const keyValueName = (layer: number, part: 'key' | 'value') => `past.${layer}.${part}`

/** One pass over all layers; `run` gives the final states, or nothing for `prefix`. */
export class Qwen2Backbone {
  readonly #ops: TensorOps
  readonly #spec: BackboneSpec
  readonly #pass: BackbonePass
  readonly #cos: string
  readonly #sin: string

  constructor(ops: TensorOps, spec: BackboneSpec, pass: BackbonePass) {
    this.#ops = ops
    this.#spec = spec
    this.#pass = pass
    this.#cos = ops.input('cos', ['positions', spec.config.headSize / 2])
    this.#sin = ops.input('sin', ['positions', spec.config.headSize / 2])
  }

  /**
   * @param x [positions, hidden]
   * @returns after the final norm: [positions, hidden] of `states`, [lastRows, hidden] of the others; null for `prefix`
   */
  run(x: string): string | null {
    const { layerCount } = this.#spec.config
    const attention = this.#attention()
    const lastRows =
      this.#pass === 'states' || this.#pass === 'prefix' ? null : this.#ops.indices('last.rows', ['lastRows'])
    let states = x
    for (let layer = 0; layer < layerCount; layer++) {
      const isLast = layer === layerCount - 1
      const normed = this.#norm(states, `layers.${layer}.input_layernorm.weight`)
      const shrunk = this.#shrink(layer, 'qkv', normed)
      const own = this.#keyValue(layer, normed, shrunk)
      const past = attention.past(layer, own)
      if (this.#pass === 'prefix') this.#giveKeyValue(layer, past)
      if (this.#pass === 'prefix' && isLast) return null
      // The last layer is computed for the rows that are asked for; the others only give keys and values.
      const rows = isLast ? lastRows : null
      const query = this.#query(layer, normed, shrunk, rows)
      const attended = rows ? attention.last(query, own, past) : attention.all(query, own, past)
      states = this.#mix(layer, rows ? this.#ops.rows(states, rows) : states, attended)
    }
    return this.#norm(states, 'norm.weight')
  }

  #keyValue(layer: number, normed: string, shrunk: string | null): KeyValue {
    const { kvHeadCount, headSize } = this.#spec.config
    const key = this.#project(layer, 'self_attn.k_proj', normed, shrunk, true)
    const value = this.#project(layer, 'self_attn.v_proj', normed, shrunk, true)
    return { key: this.#rotate(key, kvHeadCount, null), value: this.#ops.reshape(value, [-1, headSize]) }
  }

  #query(layer: number, normed: string, shrunk: string | null, rows: string | null): string {
    const pick = (x: string) => (rows ? this.#ops.rows(x, rows) : x)
    const query = this.#project(layer, 'self_attn.q_proj', pick(normed), shrunk && pick(shrunk), true)
    return this.#rotate(query, this.#spec.config.headCount, rows)
  }

  /** @returns rows of one head each [n * heads, headSize] */
  #rotate(x: string, heads: number, rows: string | null): string {
    const { headSize } = this.#spec.config
    const table = (angles: string) =>
      this.#ops.reshape(rows ? this.#ops.rows(angles, rows) : angles, [1, -1, headSize / 2])
    return this.#ops.rotate(x, table(this.#cos), table(this.#sin), heads, headSize)
  }

  /** Output projection, residuals, and the gated MLP. */
  #mix(layer: number, states: string, attended: string): string {
    const ops = this.#ops
    const linear = (group: LoraGroup, projection: string, x: string) =>
      this.#project(layer, projection, x, this.#shrink(layer, group, x), false)
    const after = ops.add(states, linear('o', 'self_attn.o_proj', attended))
    const normed = this.#norm(after, `layers.${layer}.post_attention_layernorm.weight`)
    const shrunk = this.#shrink(layer, 'gateUp', normed)
    const gate = this.#project(layer, 'mlp.gate_proj', normed, shrunk, false)
    const up = this.#project(layer, 'mlp.up_proj', normed, shrunk, false)
    return ops.add(after, linear('down', 'mlp.down_proj', ops.multiply(ops.silu(gate), up)))
  }

  #shrink(layer: number, group: LoraGroup, x: string): string | null {
    const { loraRank, config } = this.#spec
    if (loraRank === 0) return null
    const [first] = LORA_GROUPS[group]
    const inSize = projectionShapes(config).get(first)![1]
    const width = loraRank * LORA_GROUPS[group].length
    const down = this.#ops.input(loraDownName(layer, group), [inSize, width])
    return this.#ops.matMul(x, down)
  }

  #project(layer: number, projection: string, x: string, shrunk: string | null, hasBias: boolean): string {
    const ops = this.#ops
    const at = `layers.${layer}.${projection}`
    const weight = ops.weight(this.#spec.weights, `${at}.weight`)
    const y = ops.linear(x, weight, hasBias ? ops.weight(this.#spec.weights, `${at}.bias`) : undefined)
    if (shrunk === null) return y
    return ops.addLowRank(
      y,
      shrunk,
      ops.input(loraUpName(layer, projection), loraUpDims(this.#spec, projection)),
    )
  }

  #norm(x: string, name: string): string {
    return this.#ops.rmsNorm(x, this.#ops.weight(this.#spec.weights, name), this.#spec.config.rmsNormEps)
  }

  #giveKeyValue(layer: number, { key, value }: KeyValue): void {
    const { kvHeadCount, headSize } = this.#spec.config
    const dims = ['users', kvHeadCount, 'prefix', headSize]
    this.#ops.output(keyValueName(layer, 'key'), key, dims)
    this.#ops.output(keyValueName(layer, 'value'), value, dims)
  }

  /** How this pass attends, as rows [n, heads * headSize] in the order of the positions. */
  #attention() {
    const ops = this.#ops
    const { config } = this.#spec
    const context = { ops, config }
    const wide = config.headCount * config.headSize
    const merge = (name: string, count: string) => {
      const index = ops.indices(name, [count, config.headCount])
      return (rows: string) => ops.reshape(ops.rows(rows, index), [-1, wide])
    }
    const hasPrefix = this.#pass !== 'suffix'
    const hasBlocks = this.#pass === 'packed' || this.#pass === 'suffix'
    const prefix = hasPrefix ? new PrefixAttention(context) : null
    const blocks = hasBlocks ? new BlockAttention(context) : null
    const lastRow = this.#pass === 'whole' ? new LastRowAttention(context, prefix!.col) : null
    // A backbone of one layer has nothing but last rows.
    const mergeAll = config.layerCount > 1 || this.#pass === 'states' ? merge('merge', 'positions') : null
    const mergeLast = hasBlocks || lastRow ? merge('last.merge', 'lastRows') : null
    return {
      past: (layer: number, own: KeyValue) => (prefix ? prefix.keyValue(own) : this.#fedKeyValue(layer)),
      all: (query: string, own: KeyValue, past: KeyValue) => {
        const rows = prefix ? [prefix.attend(query, past)] : []
        if (blocks) rows.push(blocks.attend(query, own, past))
        return mergeAll!(ops.concat(rows, 0))
      },
      last: (query: string, own: KeyValue, past: KeyValue) =>
        mergeLast!(blocks ? blocks.attendLast(query, own, past) : lastRow!.attend(query, past)),
    }
  }

  #fedKeyValue(layer: number): KeyValue {
    const { kvHeadCount, headSize } = this.#spec.config
    const dims = ['users', kvHeadCount, 'prefix', headSize]
    return {
      key: this.#ops.input(keyValueName(layer, 'key'), dims),
      value: this.#ops.input(keyValueName(layer, 'value'), dims),
    }
  }
}
