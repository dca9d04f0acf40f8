/** The whole model in float64 and plain loops: what the ONNX graphs compute, said a second time, slowly and on purpose simply. */

import { type Bundle, type BundleWeights, readWeight } from '../../src/model/bundle.ts'
import type { UserInput } from '../../src/model/embedding-model.ts'
import { layoutPrefix, layoutRow, type Segment } from '../../src/model/sequence.ts'
import { standardise } from '../../src/model/tabular-input.ts'
import { openBackboneTokenizer, openEncoderTokenizer } from '../../src/model/tokenizer.ts'

type Vector = Float64Array
type Read = (name: string) => Vector

export interface ReferenceResult {
  /** Final-norm hidden state, [dModel]. */
  h: Vector
  /** L2-normalised, [dimensions]. */
  u: Vector
}

/** One user under one instruction, one text, one event: no sharing, no packing, no batching. */
export class ReferenceModel {
  readonly #bundle: Bundle
  readonly #backbone: Read
  readonly #modules: Read
  readonly #lora: Read | null
  readonly #tokenizer
  readonly #encoderTokenizers = new Map<string, ReturnType<typeof openEncoderTokenizer>>()
  readonly #encoders = new Map<string, Read>()

  constructor(bundle: Bundle) {
    this.#bundle = bundle
    this.#backbone = reader(bundle.backbone.weights)
    this.#modules = reader(bundle.modules)
    this.#lora = bundle.lora === null ? null : reader(bundle.lora.weights)
    this.#tokenizer = openBackboneTokenizer(bundle.backbone.tokenizerPath, bundle.backbone.config.vocabSize)
    for (const [directory, { weights, tokenizerPath, config }] of bundle.encoders) {
      this.#encoders.set(directory, reader(weights))
      this.#encoderTokenizers.set(directory, openEncoderTokenizer(tokenizerPath, config.vocabSize))
    }
  }

  embedUser(input: UserInput, instruction: string | null): ReferenceResult {
    const { manifest } = this.#bundle
    const prefix = layoutPrefix(manifest, this.#tokenizer.ids(manifest.introText), input)
    const ids = instruction === null ? [] : this.#tokenizer.instructionIds(instruction)
    const row = layoutRow(manifest, prefix, [ids])
    return this.#finish(row.segments.flatMap((segment) => this.#inputs(segment, input)))
  }

  embedText(text: string): ReferenceResult {
    return this.#finish(this.#tokenRows(this.#tokenizer.answerIds(text)))
  }

  /** The last hidden state of [CLS]. */
  encode(modality: string, text: string): Vector {
    const { encoder, maxTokens } = this.#bundle.manifest.modalities.find(({ name }) => name === modality)!
    const ids = this.#encoderTokenizers.get(encoder!)!.ids(text, maxTokens!)
    return bert(this.#encoders.get(encoder!)!, this.#bundle.encoders.get(encoder!)!.config, ids)
  }

  #inputs(segment: Segment, input: UserInput): Vector[] {
    const { dModel, tabular } = this.#bundle.manifest
    switch (segment.kind) {
      case 'tokens':
        return this.#tokenRows(segment.ids)
      case 'special':
        return [rowOf(this.#modules('special_tokens.weight'), segment.row, dModel)]
      case 'events':
        return segment.texts.map((text) => this.#adapt(segment.modality, this.encode(segment.modality, text)))
      case 'tabular': {
        const features = Float64Array.from(standardise(tabular!, input.tabular!))
        const out = linear(this.#modules, 'adapters.tabular', features)
        return Array.from({ length: segment.length }, (_, j) => rowOf(out, j, dModel))
      }
    }
  }

  #tokenRows(ids: readonly number[]): Vector[] {
    const table = this.#backbone('embed_tokens.weight')
    return ids.map((id) => rowOf(table, id, this.#bundle.manifest.dModel))
  }

  #adapt(modality: string, cls: Vector): Vector {
    const at = `adapters.${modality}`
    if (this.#bundle.manifest.adapter === 'linear') return linear(this.#modules, at, cls)
    const normed = layerNorm(this.#modules, `${at}.norm`, cls, 1e-6)
    return linear(this.#modules, `${at}.fc2`, linear(this.#modules, `${at}.fc1`, normed).map(gelu))
  }

  #finish(inputs: Vector[]): ReferenceResult {
    const h = this.#qwen2(inputs)
    let u = h
    if (this.#bundle.manifest.head === 'mlp') {
      const hidden = linear(this.#modules, 'head.fc1', h).map((x) => Math.max(0, x))
      u = linear(this.#modules, 'head.fc2', hidden)
    }
    const norm = Math.max(Math.hypot(...u), 1e-12)
    return { h, u: u.map((x) => x / norm) }
  }

  #qwen2(inputs: Vector[]): Vector {
    const { config } = this.#bundle.backbone
    const { headCount, kvHeadCount, headSize, rmsNormEps } = config
    let x = inputs
    for (let layer = 0; layer < config.layerCount; layer++) {
      const at = `layers.${layer}`
      const project = (name: string, v: Vector) => this.#project(`${at}.${name}`, v)
      const normed = x.map((v) => rmsNorm(this.#backbone(`${at}.input_layernorm.weight`), v, rmsNormEps))
      const q = normed.map((v, i) => rope(project('self_attn.q_proj', v), i, headSize, config.ropeTheta))
      const k = normed.map((v, i) => rope(project('self_attn.k_proj', v), i, headSize, config.ropeTheta))
      const v = normed.map((row) => project('self_attn.v_proj', row))
      const group = headCount / kvHeadCount
      x = x.map((row, i) => {
        const mixed = attend(q[i]!, k.slice(0, i + 1), v, headCount, (head) => Math.floor(head / group))
        return add(row, project('self_attn.o_proj', mixed))
      })
      x = x.map((row) => {
        const n = rmsNorm(this.#backbone(`${at}.post_attention_layernorm.weight`), row, rmsNormEps)
        const up = project('mlp.up_proj', n)
        const gated = project('mlp.gate_proj', n).map((g, i) => (g / (1 + Math.exp(-g))) * up[i]!)
        return add(row, project('mlp.down_proj', gated))
      })
    }
    return rmsNorm(this.#backbone('norm.weight'), x.at(-1)!, rmsNormEps)
  }

  #project(name: string, x: Vector): Vector {
    const y = linear(this.#backbone, name, x)
    if (this.#lora === null) return y
    const low = matmul(this.#lora(`${name}.lora_A.weight`), x)
    const delta = matmul(this.#lora(`${name}.lora_B.weight`), low)
    return y.map((value, i) => value + this.#bundle.lora!.config.scale * delta[i]!)
  }
}

export function cosine(a: Vector, b: Vector): number {
  return dot(a, b) / (Math.hypot(...a) * Math.hypot(...b))
}

function bert(
  read: Read,
  config: { layerCount: number; headCount: number; layerNormEps: number },
  ids: number[],
): Vector {
  const { headCount, layerNormEps: eps } = config
  const width = read('embeddings.LayerNorm.weight').length
  const row = (name: string, i: number) => rowOf(read(`embeddings.${name}_embeddings.weight`), i, width)
  let x = ids.map((id, i) => {
    const sum = add(add(row('word', id), row('position', i)), row('token_type', 0))
    return layerNorm(read, 'embeddings.LayerNorm', sum, eps)
  })
  for (let layer = 0; layer < config.layerCount; layer++) {
    const at = `encoder.layer.${layer}`
    const [q, k, v] = ['query', 'key', 'value'].map((name) =>
      x.map((t) => linear(read, `${at}.attention.self.${name}`, t)),
    )
    x = x.map((token, i) => {
      const mixed = attend(q![i]!, k!, v!, headCount, (head) => head)
      const attended = add(token, linear(read, `${at}.attention.output.dense`, mixed))
      const middle = layerNorm(read, `${at}.attention.output.LayerNorm`, attended, eps)
      const hidden = linear(read, `${at}.intermediate.dense`, middle).map(gelu)
      const out = add(middle, linear(read, `${at}.output.dense`, hidden))
      return layerNorm(read, `${at}.output.LayerNorm`, out, eps)
    })
  }
  return x[0]!
}

/** One query over all keys given; `kvHead` names the key and value head that a query head uses. */
function attend(
  q: Vector,
  keys: Vector[],
  values: Vector[],
  headCount: number,
  kvHead: (head: number) => number,
): Vector {
  const size = q.length / headCount
  const out = new Float64Array(q.length)
  for (let head = 0; head < headCount; head++) {
    const query = q.subarray(head * size, (head + 1) * size)
    const from = kvHead(head) * size
    const scores = keys.map((key) => dot(query, key.subarray(from, from + size)) / Math.sqrt(size))
    const top = Math.max(...scores)
    const weights = scores.map((score) => Math.exp(score - top))
    const total = weights.reduce((sum, weight) => sum + weight, 0)
    for (const [j, weight] of weights.entries()) {
      for (let d = 0; d < size; d++) out[head * size + d]! += (weight / total) * values[j]![from + d]!
    }
  }
  return out
}

/** Rotates dimensions d and d + size / 2 of each head together, as Hugging Face does. */
function rope(x: Vector, position: number, size: number, theta: number): Vector {
  const out = new Float64Array(x)
  for (let from = 0; from < x.length; from += size) {
    for (let d = 0; d < size / 2; d++) {
      const angle = position * theta ** ((-2 * d) / size)
      const [a, b] = [x[from + d]!, x[from + d + size / 2]!]
      out[from + d] = a * Math.cos(angle) - b * Math.sin(angle)
      out[from + d + size / 2] = b * Math.cos(angle) + a * Math.sin(angle)
    }
  }
  return out
}

function rmsNorm(weight: Vector, x: Vector, eps: number): Vector {
  const scale = 1 / Math.sqrt(dot(x, x) / x.length + eps)
  return x.map((value, i) => value * scale * weight[i]!)
}

function layerNorm(read: Read, name: string, x: Vector, eps: number): Vector {
  const [weight, bias] = [read(`${name}.weight`), read(`${name}.bias`)]
  const mean = x.reduce((sum, value) => sum + value, 0) / x.length
  const variance = x.reduce((sum, value) => sum + (value - mean) ** 2, 0) / x.length
  return x.map((value, i) => ((value - mean) / Math.sqrt(variance + eps)) * weight[i]! + bias[i]!)
}

function gelu(x: number): number {
  return (x / 2) * (1 + erf(x / Math.SQRT2))
}

/** By its series near 0, where it cancels least, and by the continued fraction of erfc beyond: 1e-13 everywhere. */
function erf(x: number): number {
  const z = Math.abs(x)
  if (z > 2.5) {
    let tail = z
    for (let n = 60; n >= 1; n--) tail = z + n / 2 / tail
    return Math.sign(x) * (1 - Math.exp(-z * z) / (Math.sqrt(Math.PI) * tail))
  }
  let term = x
  let sum = x
  for (let n = 1; Math.abs(term) > 1e-17; n++) {
    term *= (-x * x) / n
    sum += term / (2 * n + 1)
  }
  return (2 / Math.sqrt(Math.PI)) * sum
}

function linear(read: Read, name: string, x: Vector): Vector {
  const y = matmul(read(`${name}.weight`), x)
  return /o_proj|gate_proj|up_proj|down_proj/.test(name) ? y : add(y, read(`${name}.bias`))
}

function matmul(weight: Vector, x: Vector): Vector {
  const out = new Float64Array(weight.length / x.length)
  for (let row = 0; row < out.length; row++) {
    let sum = 0
    for (let i = 0; i < x.length; i++) sum += weight[row * x.length + i]! * x[i]!
    out[row] = sum
  }
  return out
}

function dot(a: Vector, b: Vector): number {
  let sum = 0
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!
  return sum
}

function add(a: Vector, b: Vector): Vector {
  return a.map((value, i) => value + b[i]!)
}

function rowOf(table: Vector, row: number, width: number): Vector {
  return table.slice(row * width, (row + 1) * width)
}

function reader(weights: BundleWeights): Read {
  const kept = new Map<string, Vector>()
  return (name) => {
    const tensor = kept.get(name) ?? Float64Array.from(readWeight(weights, name))
    kept.set(name, tensor)
    return tensor
  }
}
