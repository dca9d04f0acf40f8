/** Makes small bundles of any architecture that the specification allows, with weights that matter in every tensor. */

import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { Modality } from '../../src/events/behavior-event.ts'
import { hashFile } from '../../src/model/bundle-files.ts'
import { bertConfigJson, loraConfigJson, qwen2ConfigJson } from '../../src/model/config-files.ts'
import type { ModelId } from '../../src/model/embedding-model.ts'
import { type Manifest, manifestJson, specialTokenNames } from '../../src/model/manifest.ts'
import { writeSafetensors } from '../../src/model/safetensors-writer.ts'
import { SeededRandom } from '../../src/model/seeded-random.ts'
import {
  BACKBONE_PREFIX,
  backboneShapes,
  encoderShapes,
  LORA_PREFIX,
  loraShapes,
  moduleShapes,
  type TensorShapes,
} from '../../src/model/tensor-shapes.ts'
import { GOLDEN } from './golden-bundle.ts'

export interface Architecture {
  seed: number
  layers: number
  kvHeads: number
  /** Query heads per key head. */
  group: number
  headSize: number
  /** 0: no LoRA. */
  loraRank: number
  encoderLayers: number
  encoderHeads: number
  adapter: 'linear' | 'mlp'
  head: 'mlp' | 'none'
  /** 0: no tabular modality. */
  tabularTokens: number
  textModalities: readonly Exclude<Modality, 'tabular'>[]
  introText: string
  storedAs: 'F32' | 'BF16'
}

const HIDDEN = 24
const ENCODER_HIDDEN = 24
const SLOTS = 3

/** @returns the bundle's directory, removed on disposal */
export async function makeBundle(architecture: Architecture): Promise<{ path: string } & Disposable> {
  const path = mkdtempSync(join(tmpdir(), 'freshet-made-'))
  const manifest = manifestOf(architecture)
  writeBackbone(path, architecture)
  writeEncoder(path, architecture)
  const widths = { adapterHidden: () => 20, headHidden: 18, headOut: 10 }
  writeTensors(join(path, 'modules.safetensors'), '', moduleShapes(manifest, widths), architecture)
  const files = new Map<string, string>()
  const listed = [
    'backbone/config.json',
    'backbone/model.safetensors',
    'backbone/tokenizer.json',
    'modules.safetensors',
  ]
  listed.push(...['config.json', 'model.safetensors', 'tokenizer.json'].map((name) => `encoders/one/${name}`))
  if (architecture.loraRank > 0) listed.push('lora/adapter_config.json', 'lora/adapter_model.safetensors')
  for (const name of listed) files.set(name, await hashFile(join(path, name)))
  writeFileSync(join(path, 'manifest.json'), manifestJson({ ...manifest, files }))
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) }
}

function manifestOf(architecture: Architecture): Manifest {
  const { textModalities, tabularTokens } = architecture
  const modalities = textModalities.map((name, i) => {
    return {
      name: name as Modality,
      slots: SLOTS,
      maxTokens: 6 + i,
      encoder: 'encoders/one' as string | null,
    }
  })
  const tabular = { name: 'tabular' as Modality, slots: 1, maxTokens: null, encoder: null }
  const listed = tabularTokens > 0 ? [...modalities, tabular] : modalities
  return {
    id: 'made' as ModelId,
    parent: null,
    created: '2026-01-01T00:00:00Z',
    rendererVersion: 1,
    introText: architecture.introText,
    modalities: listed,
    horizonDays: 90,
    adapter: architecture.adapter,
    head: architecture.head,
    tabular:
      tabularTokens > 0
        ? { features: ['a', 'b'], mean: [1, -2], std: [2, 0.5], tokens: tabularTokens }
        : null,
    dModel: HIDDEN,
    dEncoder: ENCODER_HIDDEN,
    specialTokens: specialTokenNames(listed).toReversed(),
    lora: architecture.loraRank > 0 ? 'lora' : null,
    files: new Map(),
  } as Manifest
}

function writeBackbone(path: string, architecture: Architecture): void {
  const { layers, kvHeads, group, headSize, loraRank, storedAs } = architecture
  const config = {
    hiddenSize: HIDDEN,
    layerCount: layers,
    headCount: kvHeads * group,
    kvHeadCount: kvHeads,
    headSize,
    intermediateSize: 40,
    rmsNormEps: 1e-5,
    ropeTheta: 10_000,
    maxPositions: 512,
    vocabSize: 704,
  }
  mkdirSync(join(path, 'backbone'))
  writeFileSync(join(path, 'backbone/config.json'), qwen2ConfigJson(config, 700, storedAs))
  copyFileSync(join(GOLDEN, 'bundle-linear/backbone/tokenizer.json'), join(path, 'backbone/tokenizer.json'))
  writeTensors(
    join(path, 'backbone/model.safetensors'),
    BACKBONE_PREFIX,
    backboneShapes(config),
    architecture,
  )
  if (loraRank === 0) return
  const lora = { rank: loraRank, alpha: 6, scale: 6 / loraRank }
  mkdirSync(join(path, 'lora'))
  writeFileSync(join(path, 'lora/adapter_config.json'), loraConfigJson(lora))
  writeTensors(
    join(path, 'lora/adapter_model.safetensors'),
    LORA_PREFIX,
    loraShapes(config, lora),
    architecture,
  )
}

function writeEncoder(path: string, architecture: Architecture): void {
  const { encoderLayers, encoderHeads } = architecture
  const config = {
    hiddenSize: ENCODER_HIDDEN,
    layerCount: encoderLayers,
    headCount: encoderHeads,
    intermediateSize: 36,
    layerNormEps: 1e-12,
    maxPositions: 16,
    tokenTypeCount: 2,
    vocabSize: 560,
  }
  mkdirSync(join(path, 'encoders/one'), { recursive: true })
  writeFileSync(join(path, 'encoders/one/config.json'), bertConfigJson(config))
  copyFileSync(
    join(GOLDEN, 'bundle-linear/encoders/app/tokenizer.json'),
    join(path, 'encoders/one/tokenizer.json'),
  )
  writeTensors(join(path, 'encoders/one/model.safetensors'), 'bert.', encoderShapes(config), architecture)
}

/** Gains around 1, everything else around 0: large enough to be missed, small enough that rounding is not amplified a thousandfold. */
function writeTensors(
  path: string,
  prefix: string,
  shapes: TensorShapes,
  { seed, storedAs }: Architecture,
): void {
  mkdirSync(dirname(path), { recursive: true })
  const tensors = [...shapes].map(([name, shape]) => {
    const random = new SeededRandom(seed, name)
    const size = shape.reduce((product, dim) => product * dim, 1)
    const isGain = /norm.*weight$/i.test(name)
    const width = 0.9 / Math.sqrt(shape.at(-1)!)
    const next = () =>
      (isGain ? 1 : 0) + (2 * random.uniform() - 1) * (isGain || shape.length === 1 ? 0.3 : width)
    return {
      name: prefix + name,
      shape,
      dtype: storedAs,
      values: () => Float32Array.from({ length: size }, next),
    }
  })
  writeSafetensors(path, tensors)
}
