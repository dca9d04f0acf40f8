/** Writes the configuration files of a new bundle in the Hugging Face and PEFT layouts, so that their libraries load it. */

import { type BertConfig, LORA_TARGETS, type LoraConfig, type Qwen2Config } from './model-configs.ts'

type StoredAs = 'F32' | 'BF16'

const DTYPES: Readonly<Record<StoredAs, string>> = { F32: 'float32', BF16: 'bfloat16' }

/** @param eosId id of `<|endoftext|>` */
export function qwen2ConfigJson(config: Qwen2Config, eosId: number, storedAs: StoredAs): string {
  return json({
    architectures: ['Qwen2ForCausalLM'],
    attention_dropout: 0,
    bos_token_id: eosId,
    eos_token_id: eosId,
    head_dim: config.headSize,
    hidden_act: 'silu',
    hidden_size: config.hiddenSize,
    initializer_range: 0.02,
    intermediate_size: config.intermediateSize,
    max_position_embeddings: config.maxPositions,
    max_window_layers: config.layerCount,
    model_type: 'qwen2',
    num_attention_heads: config.headCount,
    num_hidden_layers: config.layerCount,
    num_key_value_heads: config.kvHeadCount,
    rms_norm_eps: config.rmsNormEps,
    rope_theta: config.ropeTheta,
    sliding_window: null,
    tie_word_embeddings: true,
    torch_dtype: DTYPES[storedAs],
    use_cache: true,
    use_sliding_window: false,
    vocab_size: config.vocabSize,
  })
}

export function tokenizerConfigJson(lengthMax: number): string {
  return json({
    tokenizer_class: 'Qwen2Tokenizer',
    eos_token: '<|endoftext|>',
    pad_token: '<|endoftext|>',
    bos_token: null,
    unk_token: null,
    model_max_length: lengthMax,
  })
}

export function bertConfigJson(config: BertConfig): string {
  return json({
    architectures: ['BertModel'],
    attention_probs_dropout_prob: 0.1,
    hidden_act: 'gelu',
    hidden_dropout_prob: 0.1,
    hidden_size: config.hiddenSize,
    initializer_range: 0.02,
    intermediate_size: config.intermediateSize,
    layer_norm_eps: config.layerNormEps,
    max_position_embeddings: config.maxPositions,
    model_type: 'bert',
    num_attention_heads: config.headCount,
    num_hidden_layers: config.layerCount,
    pad_token_id: 0,
    position_embedding_type: 'absolute',
    type_vocab_size: config.tokenTypeCount,
    vocab_size: config.vocabSize,
  })
}

export function loraConfigJson({ rank, alpha }: LoraConfig): string {
  return json({
    alpha_pattern: {},
    base_model_name_or_path: null,
    bias: 'none',
    fan_in_fan_out: false,
    inference_mode: true,
    init_lora_weights: true,
    lora_alpha: alpha,
    lora_dropout: 0,
    modules_to_save: null,
    peft_type: 'LORA',
    r: rank,
    rank_pattern: {},
    target_modules: LORA_TARGETS.toSorted(),
    task_type: 'CAUSAL_LM',
    use_dora: false,
    use_rslora: false,
  })
}

function json(value: Record<string, unknown>): string {
  return `${JSON.stringify(value, null, 2)}\n`
}
