/** Names and shapes of every tensor of a bundle, from its configuration: what is checked on opening, and what `init` makes. */

import type { Manifest } from './manifest.ts'
import type { BertConfig, LoraConfig, Qwen2Config } from './model-configs.ts'

/** Name -> shape. Linear weights are [out, in], as Hugging Face stores them. */
export type TensorShapes = Map<string, readonly number[]>

/** What all stored names of each weights file begin with. An encoder may have `bert.` before its names. */
export const BACKBONE_PREFIX = 'model.'
export const LORA_PREFIX = 'base_model.model.model.'
export const ENCODER_PREFIXES = ['', 'bert.'] as const

/** The seven projections of one layer, by name inside the layer. */
export function projectionShapes(config: Qwen2Config): Map<string, readonly [out: number, input: number]> {
  const { hiddenSize, intermediateSize, headCount, kvHeadCount, headSize } = config
  return new Map([
    ['self_attn.q_proj', [headCount * headSize, hiddenSize]],
    ['self_attn.k_proj', [kvHeadCount * headSize, hiddenSize]],
    ['self_attn.v_proj', [kvHeadCount * headSize, hiddenSize]],
    ['self_attn.o_proj', [hiddenSize, headCount * headSize]],
    ['mlp.gate_proj', [intermediateSize, hiddenSize]],
    ['mlp.up_proj', [intermediateSize, hiddenSize]],
    ['mlp.down_proj', [hiddenSize, intermediateSize]],
  ])
}

/** Tensors of `backbone/model.safetensors`, without the prefix. */
export function backboneShapes(config: Qwen2Config): TensorShapes {
  const { hiddenSize } = config
  const shapes: TensorShapes = new Map([['embed_tokens.weight', [config.vocabSize, hiddenSize]]])
  for (let layer = 0; layer < config.layerCount; layer++) {
    shapes.set(`layers.${layer}.input_layernorm.weight`, [hiddenSize])
    for (const [name, shape] of projectionShapes(config)) {
      shapes.set(`layers.${layer}.${name}.weight`, shape)
      if (/[qkv]_proj$/.test(name)) shapes.set(`layers.${layer}.${name}.bias`, [shape[0]])
    }
    shapes.set(`layers.${layer}.post_attention_layernorm.weight`, [hiddenSize])
  }
  return shapes.set('norm.weight', [hiddenSize])
}

/** Tensors of `lora/adapter_model.safetensors`, without the prefix: A [rank, in] and B [out, rank]. */
export function loraShapes(config: Qwen2Config, lora: LoraConfig): TensorShapes {
  const shapes: TensorShapes = new Map()
  for (let layer = 0; layer < config.layerCount; layer++) {
    for (const [name, [out, input]] of projectionShapes(config)) {
      shapes.set(`layers.${layer}.${name}.lora_A.weight`, [lora.rank, input])
      shapes.set(`layers.${layer}.${name}.lora_B.weight`, [out, lora.rank])
    }
  }
  return shapes
}

/** Tensors of an encoder's `model.safetensors`, without the prefix; a pooler is not among them. */
export function encoderShapes(config: BertConfig): TensorShapes {
  const { hiddenSize, intermediateSize } = config
  const shapes: TensorShapes = new Map()
  const addNorm = (name: string) =>
    shapes.set(`${name}.weight`, [hiddenSize]).set(`${name}.bias`, [hiddenSize])
  const addLinear = (name: string, out: number, input: number) =>
    shapes.set(`${name}.weight`, [out, input]).set(`${name}.bias`, [out])
  shapes.set('embeddings.word_embeddings.weight', [config.vocabSize, hiddenSize])
  shapes.set('embeddings.position_embeddings.weight', [config.maxPositions, hiddenSize])
  shapes.set('embeddings.token_type_embeddings.weight', [config.tokenTypeCount, hiddenSize])
  addNorm('embeddings.LayerNorm')
  for (let layer = 0; layer < config.layerCount; layer++) {
    const at = `encoder.layer.${layer}`
    for (const name of ['query', 'key', 'value'])
      addLinear(`${at}.attention.self.${name}`, hiddenSize, hiddenSize)
    addLinear(`${at}.attention.output.dense`, hiddenSize, hiddenSize)
    addNorm(`${at}.attention.output.LayerNorm`)
    addLinear(`${at}.intermediate.dense`, intermediateSize, hiddenSize)
    addLinear(`${at}.output.dense`, hiddenSize, intermediateSize)
    addNorm(`${at}.output.LayerNorm`)
  }
  return shapes
}

/** Widths that a manifest leaves to the shapes of the tensors themselves. */
export interface ModuleWidths {
  /** Per text modality, k of the `mlp` adapter: `fc1.weight` is [k, dEncoder]. */
  adapterHidden: (modality: string) => number
  /** Of the `mlp` head: hidden width, and the length of the vectors. */
  headHidden: number
  headOut: number
}

/** Tensors of `modules.safetensors`. */
export function moduleShapes(manifest: Manifest, widths: ModuleWidths): TensorShapes {
  const { dModel, dEncoder, tabular } = manifest
  const shapes: TensorShapes = new Map()
  const addLinear = (name: string, out: number, input: number) =>
    shapes.set(`${name}.weight`, [out, input]).set(`${name}.bias`, [out])
  for (const { name } of manifest.modalities) {
    const at = `adapters.${name}`
    if (name === 'tabular') addLinear(at, tabular!.tokens * dModel, 2 * tabular!.features.length)
    else if (manifest.adapter === 'linear') addLinear(at, dModel, dEncoder)
    else {
      const hidden = widths.adapterHidden(name)
      shapes.set(`${at}.norm.weight`, [dEncoder]).set(`${at}.norm.bias`, [dEncoder])
      addLinear(`${at}.fc1`, hidden, dEncoder)
      addLinear(`${at}.fc2`, dModel, hidden)
    }
  }
  shapes.set('special_tokens.weight', [manifest.specialTokens.length, dModel])
  if (manifest.head === 'mlp') {
    addLinear('head.fc1', widths.headHidden, dModel)
    addLinear('head.fc2', widths.headOut, widths.headHidden)
  }
  return shapes
}
