/** Opens a model bundle: reads its manifest and configurations, checks every file and shape, and gives typed access. */

import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { ConfigError } from '../errors.ts'
import { bundleDirectory, compareFiles, type VerifyOptions, verifyHashes } from './bundle-files.ts'
import { filesHash, type Manifest, parseManifest } from './manifest.ts'
import {
  type BertConfig,
  type LoraConfig,
  parseBertConfig,
  parseLoraConfig,
  parseQwen2Config,
  type Qwen2Config,
} from './model-configs.ts'
import { SafetensorsFile, type TensorEntry } from './safetensors.ts'
import {
  BACKBONE_PREFIX,
  backboneShapes,
  ENCODER_PREFIXES,
  encoderShapes,
  LORA_PREFIX,
  loraShapes,
  moduleShapes,
  type TensorShapes,
} from './tensor-shapes.ts'

/** A weights file of a bundle, addressed by names without the file's common prefix. */
export interface BundleWeights {
  /** Path inside the bundle, with `/`: the location of ONNX external data. */
  location: string
  file: SafetensorsFile
  prefix: string
}

interface BundleBackbone {
  config: Qwen2Config
  /** Names as in `backboneShapes`. */
  weights: BundleWeights
  tokenizerPath: string
}

export interface BundleEncoder {
  /** Inside the bundle, e.g. `encoders/paybill`; its identity when modalities share it. */
  directory: string
  config: BertConfig
  /** Names as in `encoderShapes`. */
  weights: BundleWeights
  tokenizerPath: string
  /** sha256 over the hashes of its files: part of the key of every cached event vector. */
  contentHash: string
}

export interface BundleLora {
  config: LoraConfig
  /** Names as in `loraShapes`. */
  weights: BundleWeights
}

export interface Bundle {
  /** Absolute, symbolic links resolved. */
  directory: string
  manifest: Manifest
  /** sha256 over the manifest's file hashes: the same weights, the same string. */
  contentHash: string
  /** Length of the vectors. */
  dimensions: number
  backbone: BundleBackbone
  /** By directory; `manifest.modalities[].encoder` names them. */
  encoders: ReadonlyMap<string, BundleEncoder>
  /** Names as in `moduleShapes`. */
  modules: BundleWeights
  lora: BundleLora | null
  close(): void
}

export interface OpenBundleOptions extends VerifyOptions {
  /** Hash every file; without it only names, sizes and shapes are checked. */
  verify: boolean
}

/** Manifests and configurations are small; a tokenizer is not read here. */
const JSON_SIZE_BYTES_MAX = 4_000_000

/**
 * Opens a bundle. Close it: it holds its weights files open.
 *
 * @throws {ConfigError} `bundle-missing`, `bundle-manifest`, `bundle-config`, `bundle-path`, `bundle-file-missing`,
 *   `bundle-file-extra`, `bundle-file-changed`, `bundle-shape`, `bundle-context`, and those of safetensors files
 */
export async function openBundle(path: string, options: OpenBundleOptions): Promise<Bundle> {
  const directory = await bundleDirectory(path)
  const manifestPath = join(directory, 'manifest.json')
  const manifest = parseManifest(await readJson(manifestPath), manifestPath)
  const sizes = await compareFiles(directory, manifest.files)
  if (options.verify) await verifyHashes(directory, manifest.files, sizes, options)

  const opened: SafetensorsFile[] = []
  const close = () => {
    for (const file of opened) file.close()
  }
  try {
    const parts = await openParts(new Files(directory, manifest, opened), manifest)
    return { directory, manifest, contentHash: filesHash(manifest.files), ...parts, close }
  } catch (error) {
    close()
    throw error
  }
}

/** Where a tensor lies, by its name without the prefix. @throws {ConfigError} `tensor-missing` */
export function weightEntry({ file, prefix }: BundleWeights, name: string): TensorEntry {
  return file.entry(prefix + name)
}

/** A tensor as float32. @throws {ConfigError} `tensor-missing`, `tensor-not-float` */
export function readWeight({ file, prefix }: BundleWeights, name: string): Float32Array {
  return file.read(prefix + name)
}

type Parts = Pick<Bundle, 'dimensions' | 'backbone' | 'encoders' | 'modules' | 'lora'>

async function openParts(files: Files, manifest: Manifest): Promise<Parts> {
  const backbone = await openBackbone(files, manifest)
  const encoders = new Map<string, BundleEncoder>()
  for (const { encoder } of manifest.modalities) {
    if (encoder !== null && !encoders.has(encoder)) encoders.set(encoder, await openEncoder(files, encoder))
  }
  for (const { name, encoder, maxTokens } of manifest.modalities) {
    const config = encoder === null ? undefined : encoders.get(encoder)?.config
    if (config && maxTokens! > config.maxPositions) {
      throw shapeError(
        `at most ${config.maxPositions} maxTokens, the positions of ${encoder}, for ${name}`,
        `${maxTokens}`,
      )
    }
    if (config && config.hiddenSize !== manifest.dEncoder) {
      throw shapeError(`hidden_size ${manifest.dEncoder} (dEncoder) in ${encoder}`, `${config.hiddenSize}`)
    }
  }
  const modules = files.weights('modules.safetensors', [''], 'special_tokens.weight')
  const widths = {
    adapterHidden: (modality: string) => outSize(modules, `adapters.${modality}.fc1.weight`),
    headHidden: manifest.head === 'mlp' ? outSize(modules, 'head.fc1.weight') : 0,
    headOut: manifest.head === 'mlp' ? outSize(modules, 'head.fc2.weight') : 0,
  }
  checkShapes(modules, moduleShapes(manifest, widths), () => false)
  const lora = manifest.lora === null ? null : await openLora(files, backbone.config)
  const dimensions = manifest.head === 'mlp' ? widths.headOut : manifest.dModel
  return { dimensions, backbone, encoders, modules, lora }
}

async function openBackbone(files: Files, manifest: Manifest): Promise<BundleBackbone> {
  const config = await files.config('backbone/config.json', parseQwen2Config)
  if (config.hiddenSize !== manifest.dModel) {
    throw shapeError(
      `hidden_size ${manifest.dModel} (dModel) in backbone/config.json`,
      `${config.hiddenSize}`,
    )
  }
  const slots = manifest.modalities.reduce((sum, { slots }) => sum + slots, 0)
  const least = slots - 1 + (manifest.tabular?.tokens ?? 1) + manifest.specialTokens.length
  if (least > config.maxPositions) {
    throw new ConfigError(
      'bundle-context',
      `expected slots that fit max_position_embeddings (${config.maxPositions}), got a full user of at least ${least} positions: lower the slots, or use a backbone of a longer context`,
    )
  }
  const weights = files.weights('backbone/model.safetensors', [BACKBONE_PREFIX], 'embed_tokens.weight')
  // Old exports carry the rotary frequencies as a buffer; everything else that we don't know would be a lost weight.
  checkShapes(weights, backboneShapes(config), (name) => name.endsWith('.rotary_emb.inv_freq'))
  return { config, weights, tokenizerPath: files.path('backbone/tokenizer.json') }
}

async function openEncoder(files: Files, directory: string): Promise<BundleEncoder> {
  const config = await files.config(`${directory}/config.json`, parseBertConfig)
  const weights = files.weights(
    `${directory}/model.safetensors`,
    ENCODER_PREFIXES,
    'embeddings.word_embeddings.weight',
  )
  // Poolers, pretraining heads and position buffers of published encoders take no part in the [CLS] state.
  const ignored = /^(pooler\.|cls\.|embeddings\.(position|token_type)_ids$)/
  checkShapes(weights, encoderShapes(config), (name) => ignored.test(name))
  const tokenizerPath = files.path(`${directory}/tokenizer.json`)
  return { directory, config, weights, tokenizerPath, contentHash: files.hash(`${directory}/`) }
}

async function openLora(files: Files, backbone: Qwen2Config): Promise<BundleLora> {
  const config = await files.config('lora/adapter_config.json', parseLoraConfig)
  const weights = files.weights(
    'lora/adapter_model.safetensors',
    [LORA_PREFIX],
    'layers.0.self_attn.q_proj.lora_A.weight',
  )
  checkShapes(weights, loraShapes(backbone, config), () => false)
  return { config, weights }
}

/** Opens files of one bundle that its manifest lists. */
class Files {
  readonly #directory: string
  readonly #manifest: Manifest
  readonly #opened: SafetensorsFile[]

  constructor(directory: string, manifest: Manifest, opened: SafetensorsFile[]) {
    this.#directory = directory
    this.#manifest = manifest
    this.#opened = opened
  }

  path(location: string): string {
    if (!this.#manifest.files.has(location)) {
      throw new ConfigError(
        'bundle-file-missing',
        `expected ${location} under files in the manifest of ${this.#directory}, got no such entry: make the bundle again`,
      )
    }
    return join(this.#directory, location)
  }

  async config<T>(location: string, parse: (json: string, where: string) => T): Promise<T> {
    const path = this.path(location)
    return parse(await readJson(path), path)
  }

  /** @param probe a tensor that every such file has: it tells which prefix is in use */
  weights(location: string, prefixes: readonly string[], probe: string): BundleWeights {
    const file = SafetensorsFile.open(this.path(location))
    this.#opened.push(file)
    const prefix = prefixes.find((candidate) => file.tensors.has(candidate + probe)) ?? prefixes[0]!
    return { location, file, prefix }
  }

  hash(prefix: string): string {
    return filesHash(this.#manifest.files, prefix)
  }
}

/** Every tensor of `shapes` in its shape and as floats; and no other, unless it may be ignored. */
function checkShapes(
  { location, file, prefix }: BundleWeights,
  shapes: TensorShapes,
  mayIgnore: (name: string) => boolean,
): void {
  for (const [name, shape] of shapes) {
    const entry = file.entry(prefix + name)
    if (entry.shape.length !== shape.length || entry.shape.some((size, axis) => size !== shape[axis])) {
      throw shapeError(`[${shape}] for ${prefix}${name} in ${location}`, `[${entry.shape}]`)
    }
    if (!['F32', 'F16', 'BF16'].includes(entry.dtype)) {
      throw shapeError(`F32, F16 or BF16 for ${prefix}${name} in ${location}`, entry.dtype)
    }
  }
  for (const stored of file.tensors.keys()) {
    const name = stored.startsWith(prefix) ? stored.slice(prefix.length) : stored
    if (!(stored.startsWith(prefix) && shapes.has(name)) && !mayIgnore(name)) {
      throw shapeError(`no tensor but those of its configuration in ${location}`, stored)
    }
  }
}

function outSize({ file }: BundleWeights, name: string): number {
  const { shape } = file.entry(name)
  if (shape.length === 2 && shape[0]! > 0) return shape[0]!
  throw shapeError(`a matrix for ${name} in modules.safetensors`, `[${shape}]`)
}

function shapeError(expected: string, got: string): ConfigError {
  return new ConfigError(
    'bundle-shape',
    `expected ${expected}, got ${got}: weights, configuration and manifest are not of one model, make the bundle again`,
  )
}

async function readJson(path: string): Promise<string> {
  const { size } = await stat(path)
  if (size > JSON_SIZE_BYTES_MAX) {
    throw new ConfigError(
      'bundle-config',
      `expected at most ${JSON_SIZE_BYTES_MAX} bytes in ${path}, got ${size}: this is not the file that its name says`,
    )
  }
  return await readFile(path, 'utf8')
}
