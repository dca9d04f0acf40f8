/** A bundle's tensors as graphs take them: mapped weights by place in their file, trained tensors as inputs that are held. */

import type { Bundle, BundleLora, BundleWeights } from './bundle.ts'
import { readWeight, weightEntry } from './bundle.ts'
import { LORA_GROUPS, loraDownName, loraUpName } from './graphs/qwen2-graph.ts'
import type { WeightLocation } from './graphs/tensor-ops.ts'
import type { Qwen2Config } from './model-configs.ts'
import type { ElementType } from './onnx-writer.ts'
import type { Tensors } from './tensor-session.ts'

const ELEMENT: Readonly<Record<string, ElementType>> = { F32: 'f32', F16: 'f16', BF16: 'bf16' }

/** Mapping only: the runtime reads the bytes itself, from `weights.location` below the bundle's directory. */
export function mappedWeights(weights: BundleWeights): WeightLocation {
  return (name) => {
    const { offsetBytes, lengthBytes, dtype, shape } = weightEntry(weights, name)
    return { path: weights.location, offset: offsetBytes, lengthBytes, type: ELEMENT[dtype]!, dims: shape }
  }
}

/** Everything that training changes, under the names that the user graph's inputs have; special rows are fed as rows. */
export function heldTensors({ modules, lora, backbone }: Bundle): Tensors {
  const held: Tensors = lora === null ? {} : loraTensors(backbone.config, lora)
  for (const name of modules.file.tensors.keys()) {
    if (name === SPECIAL_ROWS) continue
    held[name] = { data: floats(modules, name), dims: weightEntry(modules, name).shape }
  }
  return held
}

/** Name in modules.safetensors of the rows that stand for markers and `<USER>`, [specialTokens, dModel]. */
export const SPECIAL_ROWS = 'special_tokens.weight'

/**
 * LoRA in the graph's orientation, from PEFT's A [rank, in] and B [out, rank]: projections that read the same rows stand side by side in
 * `down` [in, k * rank]; `up` [k * rank, out] has the scale in it, and zeros where another projection's columns are.
 */
function loraTensors(config: Qwen2Config, lora: BundleLora): Tensors {
  const tensors: Tensors = {}
  for (let layer = 0; layer < config.layerCount; layer++) {
    for (const [group, projections] of Object.entries(LORA_GROUPS)) {
      const shrinks = projections.map((name) => floats(lora.weights, `layers.${layer}.${name}.lora_A.weight`))
      tensors[loraDownName(layer, group)] = sideBySide(shrinks, lora.config.rank)
      for (const [place, name] of projections.entries()) {
        const growth = floats(lora.weights, `layers.${layer}.${name}.lora_B.weight`)
        tensors[loraUpName(layer, name)] = padded(growth, lora.config, place, projections.length)
      }
    }
  }
  return tensors
}

/** @param shrinks each [rank, in] @returns [in, shrinks * rank] */
function sideBySide(shrinks: readonly Float32Array[], rank: number): Tensors[string] {
  const inSize = shrinks[0]!.length / rank
  const width = shrinks.length * rank
  const data = new Float32Array(inSize * width)
  for (const [place, shrink] of shrinks.entries()) {
    for (let r = 0; r < rank; r++) {
      for (let i = 0; i < inSize; i++) data[i * width + place * rank + r] = shrink[r * inSize + i]!
    }
  }
  return { data, dims: [inSize, width] }
}

/** @param growth [out, rank] @returns [places * rank, out], scaled, zero but for the rows of `place` */
function padded(
  growth: Float32Array,
  { rank, scale }: BundleLora['config'],
  place: number,
  places: number,
): Tensors[string] {
  const outSize = growth.length / rank
  const data = new Float32Array(places * rank * outSize)
  for (let r = 0; r < rank; r++) {
    const row = (place * rank + r) * outSize
    for (let o = 0; o < outSize; o++) data[row + o] = growth[o * rank + r]! * scale
  }
  return { data, dims: [places * rank, outSize] }
}

function floats(weights: BundleWeights, name: string): Float32Array<ArrayBuffer> {
  return readWeight(weights, name) as Float32Array<ArrayBuffer>
}
