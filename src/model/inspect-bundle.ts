/** Says what is in a bundle: sizes, parameters, modalities, special tokens, LoRA and hashes, as a value and as text. */

import { statSync } from 'node:fs'
import { join } from 'node:path'
import type { Bundle, BundleWeights } from './bundle.ts'
import type { ManifestModality } from './manifest.ts'
import type { BertConfig, Qwen2Config } from './model-configs.ts'

interface WeightsSummary {
  parameters: number
  sizeBytes: number
  /** Stored types, e.g. `F32`. */
  storedAs: readonly string[]
}

export interface BundleSummary {
  id: string
  parent: string | null
  created: string
  directory: string
  contentHash: string
  rendererVersion: number
  introText: string
  horizonDays: number
  /** Length of the vectors. */
  dimensions: number
  dModel: number
  dEncoder: number
  adapter: string
  head: string
  modalities: readonly ManifestModality[]
  tabular: { features: readonly string[]; tokens: number } | null
  specialTokens: readonly string[]
  backbone: WeightsSummary & { config: Qwen2Config }
  encoders: readonly (WeightsSummary & { directory: string; contentHash: string; config: BertConfig })[]
  modules: WeightsSummary
  lora: (WeightsSummary & { rank: number; alpha: number }) | null
  /** Over all weights. */
  parameters: number
  /** Over all files. */
  sizeBytes: number
  files: readonly { path: string; sizeBytes: number; sha256: string }[]
}

/** @param bundle open; its files' hashes are those of the manifest, true once it was opened with `verify` */
export function inspectBundle(bundle: Bundle): BundleSummary {
  const { manifest, directory } = bundle
  const files = [...manifest.files].map(([path, sha256]) => ({
    path,
    sizeBytes: statSync(join(directory, path)).size,
    sha256,
  }))
  const backbone = { ...summarise(bundle.backbone.weights), config: bundle.backbone.config }
  const encoders = [...bundle.encoders.values()].map(({ weights, ...encoder }) => ({
    ...summarise(weights),
    directory: encoder.directory,
    contentHash: encoder.contentHash,
    config: encoder.config,
  }))
  const modules = summarise(bundle.modules)
  const lora = bundle.lora && {
    ...summarise(bundle.lora.weights),
    rank: bundle.lora.config.rank,
    alpha: bundle.lora.config.alpha,
  }
  const weights = [backbone, ...encoders, modules, ...(lora ? [lora] : [])]
  return {
    id: manifest.id,
    parent: manifest.parent,
    created: manifest.created,
    directory,
    contentHash: bundle.contentHash,
    rendererVersion: manifest.rendererVersion,
    introText: manifest.introText,
    horizonDays: manifest.horizonDays,
    dimensions: bundle.dimensions,
    dModel: manifest.dModel,
    dEncoder: manifest.dEncoder,
    adapter: manifest.adapter,
    head: manifest.head,
    modalities: manifest.modalities,
    tabular: manifest.tabular && { features: manifest.tabular.features, tokens: manifest.tabular.tokens },
    specialTokens: manifest.specialTokens,
    backbone,
    encoders,
    modules,
    lora,
    parameters: total(weights.map(({ parameters }) => parameters)),
    sizeBytes: total(files.map(({ sizeBytes }) => sizeBytes)),
    files,
  }
}

/** The summary as `model inspect` prints it, lines of at most some hundred characters, without a final newline. */
export function summaryText(summary: BundleSummary): string {
  const { backbone, lora, tabular } = summary
  const { config } = backbone
  const heads = `${config.headCount} heads over ${config.kvHeadCount} of size ${config.headSize}`
  const rows: [string, string][] = [
    ['model', summary.id + (summary.parent === null ? '' : `, trained from ${summary.parent}`)],
    ['made', summary.created],
    [
      'directory',
      `${summary.directory} (${bytes(summary.sizeBytes)}, ${count(summary.parameters)} parameters)`,
    ],
    ['content', summary.contentHash],
    ['vectors', `${summary.dimensions} numbers; head ${summary.head}, adapters ${summary.adapter}`],
    ['window', `${summary.horizonDays} days, renderer version ${summary.rendererVersion}`],
    ['intro', summary.introText === '' ? 'none' : JSON.stringify(summary.introText)],
    [
      'backbone',
      `${config.layerCount} layers of ${config.hiddenSize}, ${heads}, mlp ${config.intermediateSize}`,
    ],
    ['', `${count(config.vocabSize)} tokens, ${count(config.maxPositions)} positions, ${weights(backbone)}`],
    ['lora', lora === null ? 'none' : `rank ${lora.rank}, alpha ${lora.alpha}, ${weights(lora)}`],
    ['modules', weights(summary.modules)],
    ...summary.encoders.map((encoder): [string, string] => [
      'encoder',
      `${encoder.directory}: ${encoder.config.layerCount} layers of ${encoder.config.hiddenSize}, ${count(encoder.config.vocabSize)} tokens, ${weights(encoder)}`,
    ]),
    ...summary.modalities.map((one): [string, string] => [
      'modality',
      one.encoder === null
        ? `${one.name}: ${tabular!.features.length} features in ${tabular!.tokens} position(s)`
        : `${one.name}: ${one.slots} slots, ${one.maxTokens} tokens, ${one.encoder}`,
    ]),
    ['features', tabular === null ? 'none' : tabular.features.join(', ')],
    ['special', summary.specialTokens.join(' ')],
    ...summary.files.map((file): [string, string] => [
      'file',
      `${file.sha256}  ${file.path} (${bytes(file.sizeBytes)})`,
    ]),
  ]
  return rows.map(([label, text]) => `${label.padEnd(10)} ${text}`).join('\n')
}

function summarise({ file }: BundleWeights): WeightsSummary {
  const entries = [...file.tensors.values()]
  const sizes = entries.map(({ shape }) => shape.reduce((product, size) => product * size, 1))
  return {
    parameters: total(sizes),
    sizeBytes: file.sizeBytes,
    storedAs: [...new Set(entries.map(({ dtype }) => dtype))].sort(),
  }
}

function weights({ parameters, sizeBytes, storedAs }: WeightsSummary): string {
  return `${count(parameters)} parameters in ${storedAs.join(' and ')} (${bytes(sizeBytes)})`
}

/** Thousands set apart, the same in every locale. */
function count(value: number): string {
  return String(value).replace(/\B(?=(\d{3})+$)/g, ',')
}

function bytes(value: number): string {
  if (value < 1_000) return `${value} B`
  if (value < 1_000_000) return `${(value / 1_000).toFixed(1)} kB`
  return value < 1_000_000_000
    ? `${(value / 1_000_000).toFixed(1)} MB`
    : `${(value / 1_000_000_000).toFixed(2)} GB`
}

function total(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0)
}
