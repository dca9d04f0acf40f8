/** Shows that an untrained model is no constant: users, instructions and single events make visible differences. */

import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { TEXT_MODALITIES } from '../../src/events/behavior-event.ts'
import { openBundle } from '../../src/model/bundle.ts'
import type { UserInput } from '../../src/model/embedding-model.ts'
import { initBundle } from '../../src/model/init-bundle.ts'
import { sampleEventTexts } from '../../src/model/sample-texts.ts'
import { SeededRandom } from '../../src/model/seeded-random.ts'
import { cosine, ReferenceModel } from './reference-forward.ts'

const texts = sampleEventTexts()
const perModality = texts.length / TEXT_MODALITIES.length
const INSTRUCTIONS = ['What will they need next?', 'Will the customer repay the loan on time?']

function randomUser(index: number): UserInput {
  const random = new SeededRandom('collapse', index)
  const draw = (modality: number) => texts[modality * perModality + random.integer(0, perModality - 1)]!
  const windows = TEXT_MODALITIES.map((name, i) => [
    name,
    Array.from({ length: random.integer(0, 8) }, () => draw(i)),
  ])
  return { events: Object.fromEntries(windows), tabular: null }
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length
}

for (const seed of [1, 2]) {
  test(`tiny of seed ${seed}: users, instructions and one more event are told apart, and a vector moves rather than jumps`, async () => {
    const root = mkdtempSync(join(tmpdir(), 'freshet-weights-'))
    try {
      const { directory } = await initBundle({
        preset: 'tiny',
        directory: join(root, 'm'),
        seed,
        createdMs: 0,
      })
      const bundle = await openBundle(directory, { verify: false })
      const model = new ReferenceModel(bundle)
      const users = [0, 1, 2, 3].map(randomUser)
      const vectors = users.map((user) => INSTRUCTIONS.map((text) => model.embedUser(user, text).u))

      const pairs = vectors.flatMap((a, i) => vectors.slice(0, i).map((b) => [a, b] as const))
      for (const i of INSTRUCTIONS.keys()) {
        const likeness = mean(pairs.map(([a, b]) => cosine(a[i]!, b[i]!)))
        assert.ok(likeness < 0.85, `users under instruction ${i}: mean cosine ${likeness}`)
      }
      const ofOneUser = mean(vectors.map(([a, b]) => cosine(a!, b!)))
      assert.ok(ofOneUser < 0.9, `instructions of one user: mean cosine ${ofOneUser}`)

      const [user] = users
      const more = {
        ...user!,
        events: { ...user!.events, search: [...(user!.events.search ?? []), texts.at(-1)!] },
      }
      const moved = cosine(model.embedUser(more, INSTRUCTIONS[0]!).u, vectors[0]![0]!)
      assert.ok(moved < 1 - 1e-4 && moved > 0.5, `one more event: cosine ${moved}`)
      bundle.close()
    } finally {
      rmSync(root, { recursive: true, force: true })
    }
  })
}
