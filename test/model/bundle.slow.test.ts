/** Holds what opening a bundle promises: the reference's bundles open, and none with a fault does. */

import assert from 'node:assert/strict'
import { cpSync, mkdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import fc from 'fast-check'
import { ConfigError } from '../../src/errors.ts'
import { openBundle, readWeight, weightEntry } from '../../src/model/bundle.ts'
import { manifestJson, parseManifest, specialRow } from '../../src/model/manifest.ts'
import { parseBertConfig, parseLoraConfig, parseQwen2Config } from '../../src/model/model-configs.ts'
import { SafetensorsFile } from '../../src/model/safetensors.ts'
import { writeSafetensors } from '../../src/model/safetensors-writer.ts'
import { type BundleCopy, copyBundle, GOLDEN } from './golden-bundle.ts'

async function refusal(path: string, verify = true): Promise<ConfigError> {
  try {
    const bundle = await openBundle(path, { verify })
    bundle.close()
  } catch (error) {
    assert.ok(error instanceof ConfigError, `expected a ConfigError, got ${error}`)
    return error
  }
  return assert.fail('the bundle opened')
}

test('both golden bundles verify, and say what their files say', async () => {
  const linear = await openBundle(join(GOLDEN, 'bundle-linear'), { verify: true })
  assert.equal(linear.dimensions, 16)
  assert.deepEqual(
    [...linear.encoders.keys()],
    ['encoders/paybill', 'encoders/miniprogram', 'encoders/app', 'encoders/search'],
  )
  assert.equal(linear.backbone.config.ropeTheta, 1e6)
  assert.equal(linear.backbone.config.headSize, 12)
  assert.equal(linear.lora?.config.scale, 2)
  assert.deepEqual(weightEntry(linear.backbone.weights, 'layers.2.self_attn.k_proj.weight').shape, [24, 48])
  assert.equal(readWeight(linear.modules, 'adapters.tabular.weight').length, 48 * 14)
  linear.close()

  const mlp = await openBundle(join(GOLDEN, 'bundle-mlp'), { verify: true })
  assert.equal(mlp.dimensions, 64)
  assert.equal(mlp.backbone.config.ropeTheta, 1e4)
  assert.equal(mlp.backbone.config.rmsNormEps, 1e-3)
  assert.equal(specialRow(mlp.manifest, '<USER>'), 5)
  assert.notEqual(mlp.contentHash, linear.contentHash)
  mlp.close()
})

test('one flipped byte anywhere in any file is found', async () => {
  using copy = copyBundle('bundle-linear')
  const manifest = parseManifest(readFileSync(join(copy.path, 'manifest.json'), 'utf8'), 'manifest.json')
  const files = [...manifest.files.keys()]
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...files), fc.nat(), fc.nat(7), async (file, at, bit) => {
      const path = join(copy.path, file)
      const original = readFileSync(path)
      const bytes = Buffer.from(original)
      const position = at % bytes.length
      bytes.writeUInt8(bytes.readUInt8(position) ^ (1 << bit), position)
      writeFileSync(path, bytes)
      assert.equal((await refusal(copy.path)).code, 'bundle-file-changed')
      writeFileSync(path, original)
    }),
    { seed: 5, numRuns: 25 },
  )
  const bundle = await openBundle(copy.path, { verify: true })
  bundle.close()
})

test('progress rises to the total over all files', async () => {
  const seen: number[] = []
  let total = 0
  const bundle = await openBundle(join(GOLDEN, 'bundle-mlp'), {
    verify: true,
    onProgress: ({ doneBytes, totalBytes }) => {
      seen.push(doneBytes)
      total = totalBytes
    },
  })
  bundle.close()
  assert.deepEqual(
    seen,
    [...seen].sort((a, b) => a - b),
  )
  assert.equal(seen.at(-1), total)
})

test('verification stops when it is told to', async () => {
  const opening = openBundle(join(GOLDEN, 'bundle-mlp'), { verify: true, signal: AbortSignal.abort() })
  await assert.rejects(opening, { name: 'AbortError' })
})

const onDisk: [name: string, code: string, damage: (copy: BundleCopy) => void][] = [
  [
    'without one of its files',
    'bundle-file-missing',
    ({ path }) => rmSync(join(path, 'lora/adapter_config.json')),
  ],
  [
    'with a file that nobody lists',
    'bundle-file-extra',
    ({ path }) => writeFileSync(join(path, 'backbone/notes.txt'), ''),
  ],
  ['without a manifest', 'bundle-missing', ({ path }) => rmSync(join(path, 'manifest.json'))],
  [
    'with a link that leaves its directory',
    'bundle-path',
    ({ path }) => {
      rmSync(join(path, 'modules.safetensors'))
      symlinkSync(join(GOLDEN, 'bundle-linear/modules.safetensors'), join(path, 'modules.safetensors'))
    },
  ],
  [
    'with a directory that is a link out of it',
    'bundle-path',
    ({ path }) => {
      rmSync(join(path, 'lora'), { recursive: true })
      symlinkSync(join(GOLDEN, 'bundle-linear/lora'), join(path, 'lora'))
    },
  ],
  ['with a broken link', 'bundle-path', ({ path }) => symlinkSync('nowhere', join(path, 'link'))],
  ['with a link that loops', 'bundle-path', ({ path }) => symlinkSync('.', join(path, 'loop'))],
]
for (const [name, code, damage] of onDisk) {
  test(`a bundle ${name} is refused, verified or not`, async () => {
    using copy = copyBundle('bundle-linear')
    damage(copy)
    for (const verify of [true, false]) assert.equal((await refusal(copy.path, verify)).code, code)
  })
}

test('a link to another file of the same bundle is a file', async () => {
  using copy = copyBundle('bundle-linear')
  rmSync(join(copy.path, 'encoders/paybill/tokenizer.json'))
  symlinkSync('../app/tokenizer.json', join(copy.path, 'encoders/paybill/tokenizer.json'))
  const bundle = await openBundle(copy.path, { verify: true })
  bundle.close()
})

const paths = ['../escape', '/etc/passwd', 'a/../../b', 'a\\b', 'a//b', './a', 'a/', '', 'C:/a', 'a\0b']
for (const bad of paths) {
  test(`the path ${JSON.stringify(bad)} is refused as an encoder and as a file`, async () => {
    using copy = copyBundle('bundle-linear')
    copy.edit('manifest.json', ['modalities', '0', 'encoder'], bad)
    assert.equal((await refusal(copy.path)).code, 'bundle-path')
    using other = copyBundle('bundle-linear')
    other.edit('manifest.json', ['files', bad], '0'.repeat(64))
    assert.equal((await refusal(other.path)).code, 'bundle-path')
  })
}

const manifests: [at: string, value: unknown, named?: string][] = [
  ['color', 'blue'],
  ['parent', undefined],
  ['id', 'Not A Name'],
  ['created', '2026-01-01'],
  ['created', '2026-13-01T00:00:00Z'],
  ['rendererVersion', 1.5],
  ['introText', null],
  ['modalities.0.slots', 0],
  ['modalities.1.maxTokens', 1],
  ['modalities.1.name', 'paybill'],
  ['modalities.5.slots', 2],
  ['modalities.5.encoder', 'encoders/app'],
  ['modalities.0.weight', 1],
  ['modalities', []],
  ['tabular', null],
  ['modalities.5', undefined, 'tabular'],
  ['tabular.std.2', 0, 'tabular.std'],
  ['tabular.mean.6', undefined, 'tabular.mean'],
  ['tabular.features.0', 'f2', 'tabular.features'],
  ['tabular.tokens', 0],
  ['specialTokens.0', '<start_weather>', 'specialTokens'],
  ['specialTokens.0', '<end_paybill>', 'specialTokens'],
  ['specialTokens.13', '<extra>', 'specialTokens'],
  ['horizonDays', 0],
  ['adapter', 'conv'],
  ['head', null],
  ['lora', 'other'],
  ['dModel', '48'],
  ['files', { 'modules.safetensors': 'ABC' }, 'files.modules.safetensors'],
]
for (const [at, value, named] of manifests) {
  test(`a manifest whose ${at} is ${JSON.stringify(value)} is refused at that key`, async () => {
    using copy = copyBundle('bundle-linear')
    copy.edit('manifest.json', at.split('.'), value)
    const error = await refusal(copy.path)
    assert.equal(error.code, 'bundle-manifest')
    assert.match(error.message, /^expected .+ got .+: /s)
    const key = named ?? at.replace(/\.(\d+)/g, '[$1]')
    assert.ok(error.message.includes(` for ${key} in `), error.message)
  })
}

test('a manifest that was cut is refused as JSON', async () => {
  using copy = copyBundle('bundle-linear')
  writeFileSync(join(copy.path, 'manifest.json'), '{"id":')
  assert.equal((await refusal(copy.path)).code, 'bundle-manifest')
})

test('whatever stands under whichever key, a manifest or configuration is read or refused by name', () => {
  const documents: [path: string, parse: (json: string, where: string) => unknown][] = [
    ['manifest.json', parseManifest],
    ['backbone/config.json', parseQwen2Config],
    ['encoders/app/config.json', parseBertConfig],
    ['lora/adapter_config.json', parseLoraConfig],
  ]
  const values = fc.oneof(fc.jsonValue(), fc.constantFrom(-1, 1e300, 0.5, '', '__proto__', [null], {}))
  let refused = 0
  for (const [path, parse] of documents) {
    const original = JSON.parse(readFileSync(join(GOLDEN, 'bundle-linear', path), 'utf8')) as object
    const key = fc.oneof(
      fc.constantFrom(...Object.keys(original)),
      fc.constantFrom('__proto__', 'constructor'),
    )
    fc.assert(
      fc.property(key, values, (changed, value) => {
        const entries = Object.entries(original).filter(([name]) => name !== changed)
        const fields = [...entries, [changed, value]].map(
          ([name, one]) => `${JSON.stringify(name)}:${JSON.stringify(one)}`,
        )
        try {
          parse(`{${fields.join()}}`, path)
        } catch (error) {
          assert.ok(error instanceof ConfigError && error.code.startsWith('bundle-'), String(error))
          refused++
        }
      }),
      { seed: 47, numRuns: 300 },
    )
  }
  assert.ok(refused > 300, `only ${refused} of 1,200 were refused`)
})

test('a manifest is written as it was read', () => {
  for (const name of ['bundle-linear', 'bundle-mlp']) {
    const json = readFileSync(join(GOLDEN, name, 'manifest.json'), 'utf8')
    assert.deepEqual(JSON.parse(manifestJson(parseManifest(json, name))), JSON.parse(json))
  }
})

const configs: [file: string, code: string, at: string, value: unknown][] = [
  ['backbone/config.json', 'bundle-config', 'model_type', 'llama'],
  ['backbone/config.json', 'bundle-config', 'hidden_act', 'gelu'],
  ['backbone/config.json', 'bundle-config', 'rope_theta', undefined],
  ['backbone/config.json', 'bundle-config', 'rope_scaling', { type: 'yarn', factor: 4 }],
  ['backbone/config.json', 'bundle-config', 'rope_parameters', { rope_theta: 1e4 }],
  ['backbone/config.json', 'bundle-config', 'layer_types', ['full_attention', 'sliding_attention']],
  ['backbone/config.json', 'bundle-config', 'use_sliding_window', true],
  ['backbone/config.json', 'bundle-config', 'tie_word_embeddings', false],
  ['backbone/config.json', 'bundle-config', 'num_key_value_heads', 3],
  ['backbone/config.json', 'bundle-config', 'head_dim', 13],
  ['backbone/config.json', 'bundle-config', 'rms_norm_eps', 0],
  ['backbone/config.json', 'bundle-shape', 'head_dim', 16],
  ['backbone/config.json', 'bundle-shape', 'hidden_size', 64],
  ['backbone/config.json', 'bundle-shape', 'vocab_size', 700],
  ['backbone/config.json', 'bundle-shape', 'num_hidden_layers', 2],
  ['backbone/config.json', 'tensor-missing', 'num_hidden_layers', 4],
  ['backbone/config.json', 'bundle-context', 'max_position_embeddings', 32],
  ['encoders/app/config.json', 'bundle-config', 'hidden_act', 'relu'],
  ['encoders/app/config.json', 'bundle-config', 'num_attention_heads', 5],
  ['encoders/app/config.json', 'bundle-shape', 'intermediate_size', 32],
  ['lora/adapter_config.json', 'bundle-config', 'use_dora', true],
  ['lora/adapter_config.json', 'bundle-config', 'use_rslora', true],
  ['lora/adapter_config.json', 'bundle-config', 'target_modules', ['q_proj']],
  ['lora/adapter_config.json', 'bundle-config', 'rank_pattern', { q_proj: 2 }],
  ['lora/adapter_config.json', 'bundle-config', 'base_model_name_or_path', 'somebody/else'],
  ['lora/adapter_config.json', 'bundle-shape', 'r', 8],
]
for (const [file, code, at, value] of configs) {
  test(`${file} with ${at} ${JSON.stringify(value)} is refused, though its hash is right`, async () => {
    using copy = copyBundle('bundle-linear')
    copy.edit(file, [at], value)
    await copy.rehash(file)
    const error = await refusal(copy.path)
    assert.equal(error.code, code, error.message)
  })
}

const shapes: [name: string, code: string, ...edits: [at: string, value: unknown][]][] = [
  ['a dModel that is not that of the backbone', 'bundle-shape', ['dModel', 64]],
  ['a dEncoder that is not that of its encoders', 'bundle-shape', ['dEncoder', 64]],
  ['more encoder tokens than positions', 'bundle-shape', ['modalities.0.maxTokens', 25]],
  ['two tabular positions where the weights have one', 'bundle-shape', ['tabular.tokens', 2]],
  ['another kind of adapter', 'tensor-missing', ['adapter', 'mlp']],
  ['no head where the weights have one', 'bundle-shape', ['head', 'none']],
  [
    'an encoder whose files are not listed',
    'bundle-file-missing',
    ['modalities.0.encoder', 'encoders/other'],
  ],
  [
    'a feature less than its weights',
    'bundle-shape',
    ['tabular.features.6', undefined],
    ['tabular.mean.6', undefined],
    ['tabular.std.6', undefined],
  ],
]
for (const [name, code, ...edits] of shapes) {
  test(`a manifest with ${name} is refused`, async () => {
    using copy = copyBundle('bundle-linear')
    for (const [at, value] of edits) copy.edit('manifest.json', at.split('.'), value)
    const error = await refusal(copy.path)
    assert.equal(error.code, code, error.message)
  })
}

test('an encoder of another width than dEncoder is named', async () => {
  using copy = copyBundle('bundle-linear')
  copy.edit('manifest.json', ['dEncoder'], 64)
  assert.match((await refusal(copy.path)).message, /hidden_size 64 \(dEncoder\) in encoders\/paybill, got 32/)
})

test('an encoder whose names begin with bert. and which has a pooler opens to the same values', async () => {
  using copy = copyBundle('bundle-linear')
  const location = 'encoders/app/model.safetensors'
  const path = join(copy.path, location)
  const before = await openBundle(copy.path, { verify: true })
  const name = 'encoder.layer.0.output.dense.weight'
  const expected = readWeight(before.encoders.get('encoders/app')!.weights, name)
  before.close()
  const original = SafetensorsFile.open(path)
  const tensors = [...original.tensors.values()].map(({ name, shape }) => {
    const values = original.read(name)
    return { name: `bert.${name}`, shape, dtype: 'F32' as const, values: () => values }
  })
  original.close()
  const pooler = {
    name: 'bert.pooler.dense.bias',
    shape: [32],
    dtype: 'F32' as const,
    values: () => new Float32Array(32),
  }
  writeSafetensors(path, [...tensors, pooler])
  await copy.rehash(location)
  const bundle = await openBundle(copy.path, { verify: true })
  assert.deepEqual(readWeight(bundle.encoders.get('encoders/app')!.weights, name), expected)
  bundle.close()
})

test('a bundle that was moved, or is reached by a link, is the same bundle', async () => {
  using copy = copyBundle('bundle-mlp')
  mkdirSync(join(copy.path, 'inner'))
  cpSync(join(GOLDEN, 'bundle-mlp'), join(copy.path, 'inner/a'), { recursive: true })
  renameSync(join(copy.path, 'inner/a'), join(copy.path, 'inner/b'))
  symlinkSync('b', join(copy.path, 'inner/c'))
  const bundle = await openBundle(join(copy.path, 'inner/c'), { verify: true })
  const original = await openBundle(join(GOLDEN, 'bundle-mlp'), { verify: false })
  assert.equal(bundle.contentHash, original.contentHash)
  bundle.close()
  original.close()
})
