/**
 * Random weights for a new bundle, laid out so that an untrained model already tells users and instructions apart.
 *
 * Plain Gaussian weights collapse: attention becomes an average over everything, and all users come out alike. So the
 * encoder starts as a bag of words in which frequent words weigh little, half of the backbone's heads look at what
 * stands just before (at `<USER>`: the instruction), the others pick by content, and the head is a random projection.
 */

import { type Manifest, USER_TOKEN } from './manifest.ts'
import type { BertConfig, LoraConfig, Qwen2Config } from './model-configs.ts'
import type { TensorToWrite } from './safetensors-writer.ts'
import { SeededRandom } from './seeded-random.ts'
import {
  BACKBONE_PREFIX,
  backboneShapes,
  encoderShapes,
  LORA_PREFIX,
  loraShapes,
  moduleShapes,
  type TensorShapes,
} from './tensor-shapes.ts'

export interface InitOptions {
  seed: number
  storedAs: 'F32' | 'BF16'
}

/**
 * Spread of a head's scores over the positions. Measured on `tiny`: at 0.5 users of random events come out alike (mean
 * cosine 0.83), at 1.7 a head picks so few events that two months of one user differ; between, little changes.
 */
const SCORE_SPREAD = 0.9
/** How far a local head prefers the nearest position over a far one, in units of its scores. */
const LOCAL_PREFERENCE = 5
/** Radians per position. Below: content is matched, and a shift by one changes nothing; between: the local preference. */
const CONTENT_FREQUENCY_MAX = 0.02
const LOCAL_FREQUENCY_MAX = 0.5
/** `<USER>` itself must not drown what it gathers. */
const USER_ROW_SCALE = 0.1
const MARKER_ROW_SCALE = 0.5

/** Tensors of `backbone/model.safetensors`. */
export function initialBackbone(config: Qwen2Config, options: InitOptions): TensorToWrite[] {
  const { headSize } = config
  const frequencies = Array.from(
    { length: headSize / 2 },
    (_, pair) => config.ropeTheta ** ((-2 * pair) / headSize),
  )
  const isContent = frequencies.map((frequency) => frequency < CONTENT_FREQUENCY_MAX)
  const isLocal = frequencies.map((frequency, i) => !isContent[i] && frequency < LOCAL_FREQUENCY_MAX)
  const contentSize = 2 * isContent.filter(Boolean).length
  const localPairs = isLocal.filter(Boolean).length
  const contentGain = Math.sqrt(SCORE_SPREAD * Math.sqrt(headSize / contentSize))
  const localBias = Math.sqrt((LOCAL_PREFERENCE * Math.sqrt(headSize)) / localPairs)
  /** Dimensions i and i + headSize / 2 of a head turn together. */
  const pairOf = (row: number) => row % (headSize / 2)

  return tensors(backboneShapes(config), BACKBONE_PREFIX, options, (name, shape, random) => {
    if (name.endsWith('norm.weight')) return ones(shape)
    if (name === 'embed_tokens.weight') return matrix(shape, 1, random)
    const gain = 1 / Math.sqrt(shape[1] ?? 1)
    if (/[qk]_proj\.weight$/.test(name)) {
      return matrix(shape, contentGain * gain, random, (row) => (isContent[pairOf(row)] ? 1 : 0))
    }
    if (/[qk]_proj\.bias$/.test(name)) {
      const isQuery = name.endsWith('q_proj.bias')
      return Float32Array.from({ length: shape[0]! }, (_, row) => {
        const isLocalHead = Math.floor(row / headSize) % 2 === 1
        const isFirstOfPair = row % headSize < headSize / 2
        return isFirstOfPair && isLocal[pairOf(row)] && (isLocalHead || !isQuery) ? localBias : 0
      })
    }
    if (name.endsWith('.bias')) return new Float32Array(shape[0]!)
    if (name.endsWith('o_proj.weight')) return matrix(shape, 1.5 * gain, random)
    return matrix(shape, (name.endsWith('down_proj.weight') ? 0.7 : 1) * gain, random)
  })
}

/** Tensors of `lora/adapter_model.safetensors`: B is 0, so that the LoRA changes nothing until it is trained. */
export function initialLora(config: Qwen2Config, lora: LoraConfig, options: InitOptions): TensorToWrite[] {
  const trained = { ...options, storedAs: 'F32' as const }
  return tensors(loraShapes(config, lora), LORA_PREFIX, trained, (name, shape, random) =>
    name.endsWith('lora_B.weight')
      ? new Float32Array(size(shape))
      : matrix(shape, 1 / Math.sqrt(shape[1]!), random),
  )
}

/** Tensors of `modules.safetensors`. */
export function initialModules(
  manifest: Manifest,
  widths: { headHidden: number; headOut: number },
  options: InitOptions,
): TensorToWrite[] {
  const shapes = moduleShapes(manifest, { ...widths, adapterHidden: () => manifest.dModel })
  const trained = { ...options, storedAs: 'F32' as const }
  const half = widths.headHidden / 2
  return tensors(shapes, '', trained, (name, shape, random) => {
    if (name.endsWith('norm.weight')) return ones(shape)
    if (name.endsWith('.bias')) return new Float32Array(size(shape))
    if (name === 'special_tokens.weight') {
      const userRow = manifest.specialTokens.indexOf(USER_TOKEN)
      return matrix(shape, 1, random, (row) => (row === userRow ? USER_ROW_SCALE : MARKER_ROW_SCALE))
    }
    const values = matrix(shape, 1 / Math.sqrt(shape[1]!), random)
    // relu(x) - relu(-x) = x: with mirrored rows and columns the head keeps angles, where relu alone would narrow them.
    if (name === 'head.fc1.weight') mirrorRows(values, half, shape[1]!)
    if (name === 'head.fc2.weight') mirrorColumns(values, half, shape[1]!)
    return values
  })
}

/**
 * Tensors of an encoder.
 *
 * @param wordCounts [vocabSize], how often each token is a word of the samples
 * @param silentIds tokens whose embedding is zero: [CLS] gathers the others' values and brings none of its own
 * @param sepId gets the least weight of all
 */
export function initialEncoder(
  config: BertConfig,
  {
    wordCounts,
    silentIds,
    sepId,
  }: { wordCounts: readonly number[]; silentIds: readonly number[]; sepId: number },
  options: InitOptions,
): TensorToWrite[] {
  const { hiddenSize } = config
  const headSize = hiddenSize / config.headCount
  const gain = 1 / Math.sqrt(hiddenSize)
  return tensors(encoderShapes(config), '', options, (name, shape, random) => {
    if (name.endsWith('LayerNorm.weight')) return ones(shape)
    if (name === 'embeddings.word_embeddings.weight') {
      const values = matrix(shape, 1, random)
      // Dimension 0 says how telling a word is: 2 where it was never seen, falling with the logarithm of its count.
      for (const [id, count] of wordCounts.entries()) values[id * hiddenSize] = 2 - 0.6 * Math.log1p(count)
      values[sepId * hiddenSize] = -4
      for (const id of silentIds) values.fill(0, id * hiddenSize, (id + 1) * hiddenSize)
      return values
    }
    // Position 0 is [CLS]: silent, too. The order of words counts a little.
    if (name === 'embeddings.position_embeddings.weight')
      return matrix(shape, 0.15, random, (row) => (row === 0 ? 0 : 1))
    if (name === 'embeddings.token_type_embeddings.weight') return new Float32Array(size(shape))
    const isFirstOfHead = (row: number) => row % headSize === 0
    if (name.endsWith('query.bias')) {
      return Float32Array.from({ length: shape[0]! }, (_, row) =>
        isFirstOfHead(row) ? Math.sqrt(headSize) : 0,
      )
    }
    if (name.endsWith('.bias')) return new Float32Array(shape[0]!)
    if (name.endsWith('query.weight'))
      return matrix(shape, 0.7 * gain, random, (row) => (isFirstOfHead(row) ? 0 : 1))
    if (name.endsWith('key.weight')) {
      const values = matrix(shape, 0.7 * gain, random, (row) => (isFirstOfHead(row) ? 0 : 1))
      for (let row = 0; row < hiddenSize; row += headSize) values[row * hiddenSize] = 1
      return values
    }
    if (name.endsWith('value.weight')) {
      const values = matrix(shape, gain, random)
      for (let row = 0; row < hiddenSize; row++) values[row * hiddenSize] = 0
      return values
    }
    if (name.endsWith('attention.output.dense.weight')) return matrix(shape, 1.5 * gain, random)
    return matrix(shape, (name.endsWith('.output.dense.weight') ? 0.8 : 1) / Math.sqrt(shape[1]!), random)
  })
}

type Fill = (name: string, shape: readonly number[], random: SeededRandom) => Float32Array

/** Each tensor is drawn from a stream of its own name: adding one leaves the others as they were. */
function tensors(
  shapes: TensorShapes,
  prefix: string,
  { seed, storedAs }: InitOptions,
  fill: Fill,
): TensorToWrite[] {
  return [...shapes].map(([name, shape]) => ({
    name: prefix + name,
    shape,
    dtype: storedAs,
    values: () => fill(name, shape, new SeededRandom('weights', seed, name)),
  }))
}

/** Uniform numbers of mean 0: no logarithm or cosine, whose last bit is not the same on every platform. */
function matrix(
  shape: readonly number[],
  deviation: number,
  random: SeededRandom,
  scaleOfRow: (row: number) => number = () => 1,
): Float32Array {
  const values = new Float32Array(size(shape))
  const width = shape[1] ?? 1
  const span = 2 * Math.sqrt(3) * deviation
  for (let row = 0; row < shape[0]!; row++) {
    const scale = span * scaleOfRow(row)
    for (let i = row * width; i < (row + 1) * width; i++) values[i] = (random.uniform() - 0.5) * scale
  }
  return values
}

function mirrorRows(values: Float32Array, half: number, width: number): void {
  for (let i = 0; i < half * width; i++) values[half * width + i] = -values[i]!
}

function mirrorColumns(values: Float32Array, half: number, width: number): void {
  for (let row = 0; row < values.length / width; row++) {
    for (let i = 0; i < half; i++) values[row * width + half + i] = -values[row * width + i]!
  }
}

function ones(shape: readonly number[]): Float32Array {
  return new Float32Array(size(shape)).fill(1)
}

function size(shape: readonly number[]): number {
  return shape.reduce((product, length) => product * length, 1)
}
