/** A BERT encoder as an ONNX graph without padding: all texts' tokens in one row for every product, apart only to attend. */

import type { BertConfig } from '../model-configs.ts'
import { type GraphForm, TensorOps, type WeightLocation } from './tensor-ops.ts'

export interface EncoderSpec {
  config: BertConfig
  weights: WeightLocation
}

/** Name of the output: the last hidden state of each text's first token, [texts, hidden]. */
export const CLS_OUTPUT = 'cls'

/** @returns the bytes of a model with the inputs of `encoderFeeds` */
export function encoderGraph(spec: EncoderSpec, form: GraphForm): Uint8Array {
  const { config } = spec
  const ops = new TensorOps(form)
  const layers = new EncoderLayers(ops, spec)
  let states = layers.embed()
  for (let layer = 0; layer < config.layerCount; layer++) states = layers.apply(layer, states)
  ops.output(CLS_OUTPUT, states, ['texts', config.hiddenSize])
  return ops.graph.finish()
}

class EncoderLayers {
  readonly #ops: TensorOps
  readonly #spec: EncoderSpec
  readonly #query: string
  readonly #merge: string
  readonly #mask: string
  readonly #firstRows: string
  readonly #firstQuery: string

  constructor(ops: TensorOps, spec: EncoderSpec) {
    const { headCount, layerCount } = spec.config
    this.#ops = ops
    this.#spec = spec
    this.#query = ops.indices('attend.rows', ['texts', headCount, 'width'])
    const col = ops.coordinates('attend.col', ['width'])
    this.#mask = ops.mask(ops.coordinates('attend.last', ['texts', 1, 1, 1]), col)
    this.#merge = layerCount > 1 ? ops.indices('attend.merge', ['tokens', headCount]) : ''
    this.#firstRows = ops.indices('first.rows', ['texts'])
    this.#firstQuery = ops.indices('first.query', ['texts', headCount, 1])
  }

  embed(): string {
    const ops = this.#ops
    const table = (name: string, index: string) =>
      ops.embed(this.#spec.weights, `embeddings.${name}_embeddings.weight`, index)
    const words = table('word', ops.indices('token.ids', ['tokens']))
    const places = table('position', ops.indices('token.positions', ['tokens']))
    const typed = ops.add(ops.add(words, table('token_type', ops.graph.ints([0]))), places)
    return this.#norm(typed, 'embeddings.LayerNorm')
  }

  /** The last layer is computed for first tokens only. */
  apply(layer: number, states: string): string {
    const ops = this.#ops
    const isLast = layer === this.#spec.config.layerCount - 1
    const at = `encoder.layer.${layer}`
    const wanted = isLast ? ops.rows(states, this.#firstRows) : states
    const attended = this.#attend(at, states, wanted, isLast)
    const mixed = ops.add(wanted, this.#linear(`${at}.attention.output.dense`, attended))
    const normed = this.#norm(mixed, `${at}.attention.output.LayerNorm`)
    const wide = ops.gelu(this.#linear(`${at}.intermediate.dense`, normed))
    return this.#norm(ops.add(normed, this.#linear(`${at}.output.dense`, wide)), `${at}.output.LayerNorm`)
  }

  #attend(at: string, states: string, wanted: string, isLast: boolean): string {
    const ops = this.#ops
    const { hiddenSize, headCount } = this.#spec.config
    const headSize = hiddenSize / headCount
    const heads = (name: string, x: string) =>
      ops.reshape(this.#linear(`${at}.attention.self.${name}`, x), [-1, headSize])
    const query = ops.rows(heads('query', wanted), isLast ? this.#firstQuery : this.#query)
    const key = ops.rows(heads('key', states), this.#query)
    const value = ops.rows(heads('value', states), this.#query)
    const scores = ops.scores(4, query, key, 1 / Math.sqrt(headSize))
    const attended = ops.matMul(ops.softmax(ops.add(scores, this.#mask)), value)
    // First tokens alone stand as [texts, heads, 1, headSize]: already in order.
    const rows = isLast ? attended : ops.rows(ops.reshape(attended, [-1, headSize]), this.#merge)
    return ops.reshape(rows, [-1, hiddenSize])
  }

  #linear(name: string, x: string): string {
    const { weights } = this.#spec
    return this.#ops.linear(
      x,
      this.#ops.weight(weights, `${name}.weight`),
      this.#ops.weight(weights, `${name}.bias`),
    )
  }

  #norm(x: string, name: string): string {
    const { weights, config } = this.#spec
    const gain = this.#ops.weight(weights, `${name}.weight`)
    return this.#ops.layerNorm(x, gain, this.#ops.weight(weights, `${name}.bias`), config.layerNormEps)
  }
}
