/** Shows that a new bundle is whole, small, reproducible byte for byte, and refuses to overwrite anything. */

import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { ConfigError } from '../../src/errors.ts'
import { openBundle } from '../../src/model/bundle.ts'
import { type InitBundleOptions, initBundle } from '../../src/model/init-bundle.ts'
import { openBackboneTokenizer, openEncoderTokenizer } from '../../src/model/tokenizer.ts'
import { GOLDEN } from './golden-bundle.ts'

let root: string

const options = (name: string, more: Partial<InitBundleOptions> = {}): InitBundleOptions => {
  return { preset: 'tiny', directory: join(root, name), createdMs: 0, ...more }
}

function filesOf(directory: string): Map<string, Buffer> {
  const entries = readdirSync(directory, { recursive: true, withFileTypes: true }).filter((entry) =>
    entry.isFile(),
  )
  const paths = entries.map((entry) => join(entry.parentPath, entry.name)).sort()
  return new Map(paths.map((path) => [path.slice(directory.length), readFileSync(path)]))
}

const codeOf = (code: string) => (error: unknown) => error instanceof ConfigError && error.code === code

describe('a new bundle', () => {
  before(() => {
    root = mkdtempSync(join(tmpdir(), 'freshet-init-'))
  })
  after(() => rmSync(root, { recursive: true, force: true }))

  test('tiny verifies, fits 8 MB, has all six modalities and a horizon of 90 days', async () => {
    const { directory, id } = await initBundle(options('whole'))
    const sizeBytes = [...filesOf(directory).keys()].reduce(
      (sum, path) => sum + statSync(directory + path).size,
      0,
    )
    assert.ok(sizeBytes <= 8_000_000, `${sizeBytes} bytes`)
    const bundle = await openBundle(directory, { verify: true })
    bundle.close()
    assert.equal(id, 'tiny-1')
    assert.equal(bundle.manifest.id, id)
    assert.equal(bundle.manifest.modalities.length, 6)
    assert.equal(bundle.manifest.horizonDays, 90)
    assert.equal(bundle.manifest.dModel, 128)
    assert.equal(bundle.dimensions, 64)
  })

  test('the same seed gives the same bytes, another seed other weights under the same tokenizers', async () => {
    const files = async (name: string, seed: number) =>
      filesOf((await initBundle(options(name, { seed, id: 'm' }))).directory)
    const [first, again, other] = [await files('a', 7), await files('b', 7), await files('c', 8)]
    assert.deepEqual(again, first)
    const changed = [...first.keys()].filter((path) => !first.get(path)!.equals(other.get(path)!))
    const weights = [
      '/backbone/model.safetensors',
      '/encoders/shared/model.safetensors',
      '/lora/adapter_model.safetensors',
    ]
    assert.deepEqual(changed, [...weights, '/manifest.json', '/modules.safetensors'])
  })

  test('our tokenizers know common words whole, have ids for any script, and end answers', async () => {
    const { directory } = await initBundle(options('words'))
    const bundle = await openBundle(directory, { verify: false })
    bundle.close()
    const { tokenizerPath, config } = bundle.backbone
    const backbone = openBackboneTokenizer(tokenizerPath, config.vocabSize)
    assert.equal(backbone.ids(' what will the customer need next?').length, 7)
    assert.ok(backbone.instructionIds('预测该用户下周会不会缴纳电费？').length > 10)
    assert.equal(backbone.answerIds('').at(-1), backbone.eosId)
    const { tokenizerPath: path, config: bert } = bundle.encoders.get('encoders/shared')!
    const encoder = openEncoderTokenizer(path, bert.vocabSize)
    assert.equal(encoder.ids('paid hundreds of yuan', 50).length, 6)
    const unknown = 1
    for (const text of [
      '支付宝 出行',
      'Öl für Émile',
      'Москва',
      '서울',
      'たべもの',
      'iphone 15',
      '€5 (sale!)',
    ]) {
      assert.ok(!encoder.ids(text, 50).includes(unknown), text)
    }
  })

  test('a directory that holds anything is left alone; an empty one is filled', async () => {
    const full = join(root, 'full')
    mkdirSync(full)
    writeFileSync(join(full, 'mine.txt'), 'precious')
    await assert.rejects(initBundle(options('full')), codeOf('bundle-exists'))
    await assert.rejects(initBundle(options('full/mine.txt')), codeOf('bundle-exists'))
    assert.deepEqual(readdirSync(full), ['mine.txt'])
    mkdirSync(join(root, 'empty'))
    await initBundle(options('empty'))
  })

  test('what can not be written leaves nothing behind', async () => {
    writeFileSync(join(root, 'file'), '')
    await assert.rejects(initBundle(options('file/below')), codeOf('bundle-not-written'))
    await assert.rejects(
      initBundle(options('bad-tokenizer', { tokenizerPath: join(root, 'file') })),
      codeOf('tokenizer-unreadable'),
    )
    await assert.rejects(
      initBundle(options('no-tokenizer', { tokenizerPath: join(root, 'absent') })),
      codeOf('init-tokenizer'),
    )
    await assert.rejects(initBundle(options('real', { preset: 'qwen2.5-0.5b' })), codeOf('init-tokenizer'))
    await assert.rejects(initBundle(options('id', { id: 'Not A Name' })), codeOf('bundle-id'))
    const left = readdirSync(root).filter(
      (name) => name.includes('partial') || name.startsWith('bad') || name === 'real',
    )
    assert.deepEqual(left, [])
  })

  test('a tokenizer that is given is taken byte for byte, and features are those that are named', async () => {
    const tokenizerPath = join(GOLDEN, 'bundle-linear/backbone/tokenizer.json')
    const { directory } = await initBundle(options('given', { tokenizerPath, features: ['age', 'visits'] }))
    assert.deepEqual(readFileSync(join(directory, 'backbone/tokenizer.json')), readFileSync(tokenizerPath))
    const bundle = await openBundle(directory, { verify: true })
    bundle.close()
    assert.equal(bundle.backbone.config.vocabSize, 704)
    assert.deepEqual(bundle.manifest.tabular?.features, ['age', 'visits'])
  })
})
