/** Makes a new model bundle: a preset's shape, seeded random weights, tokenizers of our own, and a manifest over all of it. */

import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import { ConfigError, FreshetError } from '../errors.ts'
import { NAME_PATTERN } from '../instructions/instruction.ts'
import { hashFile } from './bundle-files.ts'
import { bertConfigJson, loraConfigJson, qwen2ConfigJson, tokenizerConfigJson } from './config-files.ts'
import type { ModelId } from './embedding-model.ts'
import {
  type InitOptions,
  initialBackbone,
  initialEncoder,
  initialLora,
  initialModules,
} from './initial-weights.ts'
import { type Manifest, manifestJson, specialTokenNames } from './manifest.ts'
import { HORIZON_DAYS, MODALITIES, PRESETS, type PresetName, SHARED_ENCODER, TABULAR } from './presets.ts'
import { RENDERER_VERSION } from './renderer.ts'
import { writeSafetensors } from './safetensors-writer.ts'
import { openBackboneTokenizer } from './tokenizer.ts'
import { backboneTokenizerFile, encoderTokenizerFile } from './tokenizer-files.ts'

export interface InitBundleOptions {
  preset: PresetName
  /** Must not exist, or be empty. */
  directory: string
  /** The same seed and the same other options give the same bytes. Default 1. */
  seed?: number
  /** `[a-z0-9-]{1,40}`. Default: the preset and the seed. */
  id?: string
  /** Time of making, for the manifest; the caller's clock. */
  createdMs: number
  /** A `tokenizer.json` to take instead of training one; `qwen2.5-0.5b` needs the published one. */
  tokenizerPath?: string
  /** Feature names of the tabular modality, with mean 0 and deviation 1, instead of the preset's. */
  features?: readonly string[]
}

export interface InitBundleResult {
  directory: string
  id: ModelId
}

/** Rows of the embedding table come in multiples of this, which devices like. */
const VOCAB_MULTIPLE = 64

/**
 * Makes a bundle. It appears under its name when it is whole, or not at all.
 *
 * @throws {ConfigError} `bundle-exists`, `bundle-id`, `bundle-not-written`, `init-tokenizer`, `tokenizer-unreadable`,
 *   `tokenizer-token-missing`, `tokenizer-vocabulary`
 */
export async function initBundle(options: InitBundleOptions): Promise<InitBundleResult> {
  const directory = resolve(options.directory)
  const id = bundleId(options)
  checkFree(directory)
  const partial = join(dirname(directory), `.${basename(directory)}.partial-${process.pid}`)
  try {
    mkdirSync(join(partial, 'backbone'), { recursive: true })
    mkdirSync(join(partial, SHARED_ENCODER), { recursive: true })
    mkdirSync(join(partial, 'lora'))
    const manifest = writeParts(partial, id, options)
    const files = await hashFiles(partial)
    writeFileSync(join(partial, 'manifest.json'), manifestJson({ ...manifest, files }), { flush: true })
    // An empty directory in the way is the one case that rename leaves to us on every platform.
    rmdirIfThere(directory)
    renameSync(partial, directory)
  } catch (cause) {
    if (cause instanceof FreshetError) throw cause
    throw new ConfigError(
      'bundle-not-written',
      `expected to write a bundle of the preset ${options.preset} to ${directory}, got ${(cause as Error).message}: make room or give permission, then try again`,
      { cause },
    )
  } finally {
    rmSync(partial, { recursive: true, force: true })
  }
  return { directory, id }
}

function writeParts(root: string, id: ModelId, options: InitBundleOptions): Manifest {
  const preset = PRESETS[options.preset]
  const init: InitOptions = { seed: options.seed ?? 1, storedAs: preset.storedAs }

  const tokenizer = backboneTokenizer(root, options, preset.vocabSize)
  const backbone = { ...preset.backbone, vocabSize: tokenizer.vocabSize }
  writeFileSync(
    join(root, 'backbone/config.json'),
    qwen2ConfigJson(backbone, tokenizer.eosId, preset.storedAs),
  )
  writeFileSync(join(root, 'backbone/tokenizer_config.json'), tokenizerConfigJson(backbone.maxPositions))
  writeSafetensors(join(root, 'backbone/model.safetensors'), initialBackbone(backbone, init))

  const words = encoderTokenizerFile()
  const encoder = { ...preset.encoder, vocabSize: words.vocabSize }
  const { vocab } = JSON.parse(words.json).model as { vocab: Record<string, number> }
  const special = { silentIds: [vocab['[PAD]']!, vocab['[CLS]']!], sepId: vocab['[SEP]']! }
  writeFileSync(join(root, SHARED_ENCODER, 'tokenizer.json'), words.json)
  writeFileSync(join(root, SHARED_ENCODER, 'config.json'), bertConfigJson(encoder))
  const encoderTensors = initialEncoder(encoder, { wordCounts: words.wordCounts, ...special }, init)
  writeSafetensors(join(root, SHARED_ENCODER, 'model.safetensors'), encoderTensors)

  const lora = { rank: preset.loraRank, alpha: preset.loraAlpha, scale: preset.loraAlpha / preset.loraRank }
  writeFileSync(join(root, 'lora/adapter_config.json'), loraConfigJson(lora))
  writeSafetensors(join(root, 'lora/adapter_model.safetensors'), initialLora(backbone, lora, init))

  const manifest: Manifest = {
    id,
    parent: null,
    created: new Date(options.createdMs).toISOString(),
    rendererVersion: RENDERER_VERSION,
    introText: preset.introText,
    modalities: MODALITIES,
    horizonDays: HORIZON_DAYS,
    adapter: 'linear',
    head: 'mlp',
    tabular: tabularOf(options.features),
    dModel: backbone.hiddenSize,
    dEncoder: encoder.hiddenSize,
    specialTokens: specialTokenNames(MODALITIES),
    lora: 'lora',
    files: new Map(),
  }
  writeSafetensors(join(root, 'modules.safetensors'), initialModules(manifest, preset, init))
  return manifest
}

/** Writes `backbone/tokenizer.json`: the caller's, byte for byte, or our own. */
function backboneTokenizer(
  root: string,
  { preset, tokenizerPath }: InitBundleOptions,
  presetVocabSize: number | null,
): { vocabSize: number; eosId: number } {
  const path = join(root, 'backbone/tokenizer.json')
  if (tokenizerPath !== undefined) {
    writeFileSync(path, readTokenizer(tokenizerPath))
    // Opened first: it refuses what is no tokenizer, before its ids are counted.
    const { eosId } = openBackboneTokenizer(path, presetVocabSize ?? Number.POSITIVE_INFINITY)
    return { vocabSize: presetVocabSize ?? roundUp(highestId(path) + 1), eosId }
  }
  if (presetVocabSize !== null) {
    throw new ConfigError(
      'init-tokenizer',
      `expected the path of a published tokenizer.json for the preset ${preset}, got none: name the file that belongs to Qwen2.5`,
    )
  }
  const own = backboneTokenizerFile()
  writeFileSync(path, own.json)
  const vocabSize = roundUp(own.vocabSize)
  return { vocabSize, eosId: openBackboneTokenizer(path, vocabSize).eosId }
}

function readTokenizer(path: string): Uint8Array {
  try {
    return readFileSync(path)
  } catch (cause) {
    throw new ConfigError(
      'init-tokenizer',
      `expected a readable tokenizer.json at ${path}, got ${(cause as Error).message}: correct the path`,
      { cause },
    )
  }
}

function highestId(path: string): number {
  const json = JSON.parse(readFileSync(path, 'utf8')) as {
    model?: { vocab?: Record<string, number> }
    added_tokens?: { id: number }[]
  }
  const ids = [...Object.values(json.model?.vocab ?? {}), ...(json.added_tokens ?? []).map(({ id }) => id)]
  return ids.reduce((highest, id) => Math.max(highest, id), 0)
}

function tabularOf(features: readonly string[] | undefined): Manifest['tabular'] {
  if (features === undefined) return TABULAR
  return { features, mean: features.map(() => 0), std: features.map(() => 1), tokens: TABULAR.tokens }
}

function bundleId({ id, preset, seed }: InitBundleOptions): ModelId {
  const name = id ?? `${preset.replaceAll('.', '-')}-${seed ?? 1}`
  if (NAME_PATTERN.test(name)) return name as ModelId
  throw new ConfigError(
    'bundle-id',
    `expected an id of 1 to 40 of a-z, 0-9 and -, got ${JSON.stringify(name)}: choose another`,
  )
}

function checkFree(directory: string): void {
  let entries: string[]
  try {
    entries = readdirSync(directory)
  } catch (error) {
    // Nothing there, or a parent that is no directory: the writing will tell.
    if (!existsSync(directory)) return
    entries = [(error as Error).message]
  }
  if (entries.length === 0) return
  throw new ConfigError(
    'bundle-exists',
    `expected a new or empty directory at ${directory}, got something else there (${entries[0]}): choose another, or delete it`,
  )
}

function rmdirIfThere(directory: string): void {
  try {
    rmdirSync(directory)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  }
}

async function hashFiles(root: string): Promise<Map<string, string>> {
  const files = new Map<string, string>()
  for (const entry of readdirSync(root, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue
    const path = join(entry.parentPath, entry.name)
    files.set(path.slice(root.length + 1).replaceAll('\\', '/'), await hashFile(path))
  }
  return files
}

function roundUp(count: number): number {
  return Math.ceil(count / VOCAB_MULTIPLE) * VOCAB_MULTIPLE
}
