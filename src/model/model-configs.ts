/** The three Hugging Face configuration files of a bundle: what we compute with, and refusal of what we don't compute. */

import { ConfigError } from '../errors.ts'
import { JsonFields, type Refuse, shown } from './json-fields.ts'

export interface Qwen2Config {
  hiddenSize: number
  layerCount: number
  headCount: number
  /** Divides `headCount`. */
  kvHeadCount: number
  /** Even; `hiddenSize / headCount` where the file doesn't say. */
  headSize: number
  intermediateSize: number
  rmsNormEps: number
  ropeTheta: number
  maxPositions: number
  vocabSize: number
}

export interface BertConfig {
  hiddenSize: number
  layerCount: number
  headCount: number
  intermediateSize: number
  layerNormEps: number
  maxPositions: number
  tokenTypeCount: number
  vocabSize: number
}

export interface LoraConfig {
  rank: number
  alpha: number
  /** `alpha / rank`: what B A x is multiplied by. */
  scale: number
}

/** Every projection of a layer that carries a LoRA (model-spec section 2.5). */
export const LORA_TARGETS = [
  'q_proj',
  'k_proj',
  'v_proj',
  'o_proj',
  'gate_proj',
  'up_proj',
  'down_proj',
] as const

const SIZE = { min: 1, max: 1 << 24 }

/** @throws {ConfigError} `bundle-config` */
export function parseQwen2Config(json: string, where: string): Qwen2Config {
  const fields = open(json, where)
  fields.oneOf('model_type', ['qwen2'])
  fields.oneOf('hidden_act', ['silu'])
  expectAbsentOr(fields, 'use_sliding_window', [false])
  expectAbsentOr(fields, 'tie_word_embeddings', [true])
  expectAbsentOr(fields, 'rope_scaling', [])
  // Newer libraries name each layer's kind of attention, whether or not a window is in use.
  if (fields.has('layer_types') && fields.texts('layer_types').some((type) => type !== 'full_attention')) {
    fields.refuse('layer_types', 'full_attention in every layer')
  }
  const hiddenSize = fields.integer('hidden_size', SIZE)
  const headCount = fields.integer('num_attention_heads', SIZE)
  const kvHeadCount = fields.integer('num_key_value_heads', { min: 1, max: headCount })
  if (headCount % kvHeadCount !== 0)
    fields.refuse('num_key_value_heads', `a divisor of num_attention_heads (${headCount})`)
  return {
    hiddenSize,
    layerCount: fields.integer('num_hidden_layers', SIZE),
    headCount,
    kvHeadCount,
    headSize: parseHeadSize(fields, hiddenSize, headCount),
    intermediateSize: fields.integer('intermediate_size', SIZE),
    rmsNormEps: fields.number('rms_norm_eps', { above: 0, max: 1 }),
    ropeTheta: parseRopeTheta(fields),
    maxPositions: fields.integer('max_position_embeddings', SIZE),
    vocabSize: fields.integer('vocab_size', SIZE),
  }
}

/** @throws {ConfigError} `bundle-config` */
export function parseBertConfig(json: string, where: string): BertConfig {
  const fields = open(json, where)
  fields.oneOf('model_type', ['bert'])
  fields.oneOf('hidden_act', ['gelu'])
  expectAbsentOr(fields, 'position_embedding_type', ['absolute'])
  expectAbsentOr(fields, 'is_decoder', [false])
  const hiddenSize = fields.integer('hidden_size', SIZE)
  const headCount = fields.integer('num_attention_heads', { min: 1, max: hiddenSize })
  if (hiddenSize % headCount !== 0)
    fields.refuse('num_attention_heads', `a divisor of hidden_size (${hiddenSize})`)
  return {
    hiddenSize,
    layerCount: fields.integer('num_hidden_layers', SIZE),
    headCount,
    intermediateSize: fields.integer('intermediate_size', SIZE),
    layerNormEps: fields.number('layer_norm_eps', { above: 0, max: 1 }),
    maxPositions: fields.integer('max_position_embeddings', SIZE),
    tokenTypeCount: fields.integer('type_vocab_size', SIZE),
    vocabSize: fields.integer('vocab_size', SIZE),
  }
}

/** Pure LoRA on all seven projections of every layer. @throws {ConfigError} `bundle-config` */
export function parseLoraConfig(json: string, where: string): LoraConfig {
  const fields = open(json, where)
  fields.oneOf('peft_type', ['LORA'])
  const targets = fields.texts('target_modules')
  if (targets.length !== LORA_TARGETS.length || !LORA_TARGETS.every((name) => targets.includes(name))) {
    fields.refuse('target_modules', `exactly ${LORA_TARGETS.join(', ')}`)
  }
  expectAbsentOr(fields, 'bias', ['none'])
  expectAbsentOr(fields, 'lora_dropout', [0])
  for (const key of ['use_rslora', 'use_dora', 'use_qalora', 'lora_bias', 'fan_in_fan_out']) {
    expectAbsentOr(fields, key, [false])
  }
  for (const key of [
    'modules_to_save',
    'layers_to_transform',
    'layer_replication',
    'base_model_name_or_path',
  ]) {
    expectAbsentOr(fields, key, [])
  }
  for (const key of ['rank_pattern', 'alpha_pattern']) {
    if (fields.has(key) && fields.fields(key).keys().length > 0) fields.refuse(key, 'an empty object')
  }
  const rank = fields.integer('r', { min: 1, max: 4_096 })
  const alpha = fields.number('lora_alpha', { above: 0 })
  return { rank, alpha, scale: alpha / rank }
}

function open(json: string, where: string): JsonFields {
  const refuse: Refuse = (field, expected, got) => {
    throw new ConfigError(
      'bundle-config',
      `expected ${expected} for ${field} in ${where}, got ${shown(got)}: use a model of the supported architecture`,
    )
  }
  try {
    return new JsonFields(JSON.parse(json), '', refuse)
  } catch (cause) {
    if (cause instanceof SyntaxError) return refuse('the document', 'JSON', cause.message)
    throw cause
  }
}

/** What a library leaves out or sets to null has its plain meaning; any other value would change the function. */
function expectAbsentOr(fields: JsonFields, key: string, allowed: readonly unknown[]): void {
  if (fields.has(key) && !allowed.includes(fields.value(key))) {
    fields.refuse(key, ['nothing', ...allowed.map((one) => JSON.stringify(one))].join(' or '))
  }
}

function parseHeadSize(fields: JsonFields, hiddenSize: number, headCount: number): number {
  if (!fields.has('head_dim') && hiddenSize % headCount !== 0) {
    fields.refuse('num_attention_heads', `a divisor of hidden_size (${hiddenSize}), or head_dim`)
  }
  const headSize = fields.has('head_dim') ? fields.integer('head_dim', SIZE) : hiddenSize / headCount
  if (headSize % 2 !== 0) fields.refuse('head_dim', `an even head size for rotary positions, not ${headSize}`)
  return headSize
}

/** At the top level (transformers 4) or inside `rope_parameters` (transformers 5); where both are, they must agree. */
function parseRopeTheta(fields: JsonFields): number {
  if (!fields.has('rope_parameters')) return fields.number('rope_theta', { above: 0 })
  const parameters = fields.fields('rope_parameters')
  expectAbsentOr(parameters, 'rope_type', ['default'])
  const theta = parameters.number('rope_theta', { above: 0 })
  if (fields.has('rope_theta') && fields.number('rope_theta') !== theta) {
    fields.refuse('rope_theta', `the value of rope_parameters.rope_theta (${theta})`)
  }
  return theta
}
