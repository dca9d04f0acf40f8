/** Holds what `model inspect` says to what the golden bundles are. */

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { openBundle } from '../../src/model/bundle.ts'
import { inspectBundle, summaryText } from '../../src/model/inspect-bundle.ts'
import { GOLDEN } from './golden-bundle.ts'

async function summaryOf(name: string) {
  const bundle = await openBundle(join(GOLDEN, name), { verify: true })
  const summary = inspectBundle(bundle)
  bundle.close()
  return summary
}

test('a summary counts every parameter and byte', async () => {
  const summary = await summaryOf('bundle-linear')
  // By hand from the configuration: per layer q, k, v with biases, o, three of the mlp, two norms; embedding; last norm.
  const layer = 48 * 48 + 48 + 2 * (24 * 48 + 24) + 48 * 48 + 3 * 48 * 96 + 2 * 48
  assert.equal(summary.backbone.parameters, 704 * 48 + 3 * layer + 48)
  assert.equal(summary.lora?.parameters, 3 * 4 * (2 * (48 + 48) + 2 * (48 + 24) + 3 * (48 + 96)))
  const sizes = summary.files.map(({ path }) => readFileSync(join(GOLDEN, 'bundle-linear', path)).length)
  assert.equal(
    summary.sizeBytes,
    sizes.reduce((sum, size) => sum + size, 0),
  )
  assert.equal(summary.encoders.length, 4)
  assert.deepEqual((await summaryOf('bundle-mlp')).encoders[0]!.storedAs, ['F16'])
})

test('the text names the model, its modalities, special tokens and every file with its hash', async () => {
  for (const name of ['bundle-linear', 'bundle-mlp']) {
    const summary = await summaryOf(name)
    const text = summaryText(summary)
    for (const { name: modality } of summary.modalities)
      assert.match(text, new RegExp(`^modality +${modality}: `, 'm'))
    for (const { path, sha256 } of summary.files) assert.ok(text.includes(`${sha256}  ${path} `))
    assert.ok(text.includes(summary.contentHash) && text.includes(summary.id) && text.includes('<USER>'))
    assert.doesNotMatch(text, /undefined|null|NaN/)
  }
})
