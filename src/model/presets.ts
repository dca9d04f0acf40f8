/** The model sizes that `model init` makes, and what all of them have in common. */

import type { ManifestModality, ManifestTabular } from './manifest.ts'
import type { BertConfig, Qwen2Config } from './model-configs.ts'

export type PresetName = 'tiny' | 'small' | 'qwen2.5-0.5b'
export const PRESET_NAMES: readonly PresetName[] = ['tiny', 'small', 'qwen2.5-0.5b']

export interface Preset {
  /** Tells a language model what follows. To random weights it is a constant that makes users alike: then empty. */
  introText: string
  /** `vocabSize` is that of our own tokenizers, unless the preset brings its own. */
  backbone: Omit<Qwen2Config, 'vocabSize'>
  /** Rows of the embedding table; null: as many as our tokenizer has tokens, rounded up to 64. */
  vocabSize: number | null
  encoder: Omit<BertConfig, 'vocabSize'>
  loraRank: number
  loraAlpha: number
  headHidden: number
  headOut: number
  storedAs: 'F32' | 'BF16'
}

/** One encoder for all text modalities: each event text then has one vector whichever way it came, and the file is small. */
export const SHARED_ENCODER = 'encoders/shared'

/** Model-spec section 1: slots and encoder tokens by modality. */
export const MODALITIES: readonly ManifestModality[] = [
  { name: 'paybill', slots: 250, maxTokens: 50, encoder: SHARED_ENCODER },
  { name: 'miniprogram', slots: 150, maxTokens: 17, encoder: SHARED_ENCODER },
  { name: 'spm', slots: 150, maxTokens: 20, encoder: SHARED_ENCODER },
  { name: 'app', slots: 100, maxTokens: 15, encoder: SHARED_ENCODER },
  { name: 'search', slots: 10, maxTokens: 12, encoder: SHARED_ENCODER },
  { name: 'tabular', slots: 1, maxTokens: null, encoder: null },
]

export const HORIZON_DAYS = 90

/**
 * Activity counters, named so that any producer can fill them, with rough statistics of an active user (guess: replace
 * both by those of your data). Counters are what an embedding of texts is worst at (model-spec section 7).
 */
const FEATURES: readonly [name: string, mean: number, std: number][] = [
  ['paybill_1d', 1, 2],
  ['paybill_7d', 7, 8],
  ['paybill_30d', 30, 30],
  ['miniprogram_1d', 1, 2],
  ['miniprogram_7d', 7, 8],
  ['miniprogram_30d', 30, 30],
  ['spm_1d', 2, 5],
  ['spm_7d', 14, 20],
  ['spm_30d', 60, 60],
  ['app_1d', 1, 3],
  ['app_7d', 7, 10],
  ['app_30d', 30, 30],
  ['search_1d', 0.5, 1],
  ['search_7d', 3, 5],
  ['search_30d', 12, 15],
  ['active_days_30d', 15, 9],
  ['days_since_last_event', 3, 7],
  ['night_share_30d', 0.1, 0.15],
  ['weekend_share_30d', 0.29, 0.15],
]

export const TABULAR: ManifestTabular = {
  features: FEATURES.map(([name]) => name),
  mean: FEATURES.map(([, mean]) => mean),
  std: FEATURES.map(([, , std]) => std),
  tokens: 1,
}

/** The shape of MiniLM-L6 encoders. */
const MINILM: Preset['encoder'] = {
  hiddenSize: 384,
  layerCount: 6,
  headCount: 12,
  intermediateSize: 1_536,
  layerNormEps: 1e-12,
  maxPositions: 128,
  tokenTypeCount: 2,
}

export const PRESETS: Readonly<Record<PresetName, Preset>> = {
  /** The one that ships: seconds to make, a vector in milliseconds on one core. */
  tiny: {
    introText: '',
    backbone: {
      hiddenSize: 128,
      layerCount: 4,
      headCount: 4,
      kvHeadCount: 2,
      headSize: 32,
      intermediateSize: 384,
      rmsNormEps: 1e-6,
      ropeTheta: 1e6,
      maxPositions: 4_096,
    },
    vocabSize: null,
    encoder: {
      ...MINILM,
      hiddenSize: 64,
      layerCount: 2,
      headCount: 4,
      intermediateSize: 128,
      maxPositions: 64,
    },
    loraRank: 8,
    loraAlpha: 16,
    headHidden: 128,
    headOut: 64,
    storedAs: 'F32',
  },
  /** The shape of the benchmarks. */
  small: {
    introText: '',
    backbone: {
      hiddenSize: 256,
      layerCount: 6,
      headCount: 4,
      kvHeadCount: 2,
      headSize: 64,
      intermediateSize: 1_024,
      rmsNormEps: 1e-6,
      ropeTheta: 1e6,
      maxPositions: 4_096,
    },
    vocabSize: null,
    encoder: MINILM,
    loraRank: 8,
    loraAlpha: 16,
    headHidden: 256,
    headOut: 128,
    storedAs: 'F32',
  },
  /** The real shape, for measurements, and as a frame into which published weights are put. */
  'qwen2.5-0.5b': {
    introText: 'The following are the recent behaviours of one user, oldest first.\n',
    backbone: {
      hiddenSize: 896,
      layerCount: 24,
      headCount: 14,
      kvHeadCount: 2,
      headSize: 64,
      intermediateSize: 4_864,
      rmsNormEps: 1e-6,
      ropeTheta: 1e6,
      maxPositions: 32_768,
    },
    vocabSize: 151_936,
    encoder: MINILM,
    loraRank: 64,
    loraAlpha: 32,
    headHidden: 512,
    headOut: 128,
    storedAs: 'BF16',
  },
}
