/** Whoever opens a data directory again gets the horizon that it was made with, unless another is asked for. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { withKeptHorizon } from '../../src/cli/kept-horizon.ts'
import { loadSettings } from '../../src/config/load-settings.ts'
import type { CollectionInfo } from '../../src/vectors/vector-store.ts'

const storeOf = (horizons: (number | null)[]) => ({
  collections: async () =>
    horizons.map((horizonDays) => ({ name: 'freshet_main_tiny', horizonDays }) as CollectionInfo),
})

async function horizon(setting: unknown, horizons: (number | null)[], remembered?: number | null) {
  const flags = setting === undefined ? {} : { 'windows.horizonDays': setting }
  const { settings } = loadSettings({ file: null, env: {}, flags })
  const kept = { remembered, vectors: storeOf(horizons), model: 'tiny' as never }
  return (await withKeptHorizon(settings, kept)).windows.horizonDays
}

test('the horizon that a directory was made with is kept until another is asked for', async () => {
  assert.equal(await horizon(undefined, []), 'bundle', 'a new directory takes the bundle’s')
  assert.equal(await horizon(undefined, [null]), 'none')
  assert.equal(await horizon(undefined, [30]), 30)
  assert.equal(await horizon('bundle', [null]), 'bundle', 'what is asked for is never overruled')
  assert.equal(await horizon(60, [null]), 60)
})

test('what the directory remembers counts where the collections are gone, or on a server', async () => {
  assert.equal(await horizon(undefined, [], null), 'none')
  assert.equal(await horizon(undefined, [], 30), 30)
  assert.equal(await horizon('bundle', [], null), 'bundle')
  const { settings } = loadSettings({ file: null, env: {} })
  const kept = { remembered: undefined, vectors: null, model: 'tiny' as never }
  assert.equal((await withKeptHorizon(settings, kept)).windows.horizonDays, 'bundle')
})
