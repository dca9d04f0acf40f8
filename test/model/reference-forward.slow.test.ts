/** Holds our float64 reference to the golden values: an independent reading of the formulas, without ONNX. */

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { openBundle } from '../../src/model/bundle.ts'
import type { UserInput } from '../../src/model/embedding-model.ts'
import { GOLDEN } from './golden-bundle.ts'
import { ReferenceModel } from './reference-forward.ts'

interface Embed {
  users: UserInput[]
  instructions: (string | null)[]
  expected: {
    events: { modality: string; text: string; cls: number[] }[]
    users: { results: { h: number[]; u: number[] }[] }[]
  }
}

interface Answers {
  answers: { text: string; h: number[]; u: number[] }[]
}

/**
 * Both sides are float64; the files print nine digits of values up to 4, and the reference computes the angles of rotary
 * positions in float32, which moves h by some 1e-6.
 */
const TOLERANCE = { cls: 1e-7, h: 2e-5, u: 4e-6 }

function near(got: ArrayLike<number>, expected: readonly number[], tolerance: number, what: string): void {
  assert.equal(got.length, expected.length)
  const worst = expected.reduce((max, value, i) => Math.max(max, Math.abs(value - got[i]!)), 0)
  assert.ok(worst <= tolerance, `${what}: off by ${worst}`)
}

for (const name of ['linear', 'mlp']) {
  test(`event vectors, users and answers of bundle-${name} are the golden ones`, async () => {
    const read = <T>(kind: string) =>
      JSON.parse(readFileSync(join(GOLDEN, `${kind}-${name}.json`), 'utf8')) as T
    const bundle = await openBundle(join(GOLDEN, `bundle-${name}`), { verify: false })
    const model = new ReferenceModel(bundle)
    const { users, instructions, expected } = read<Embed>('embed')
    for (const { modality, text, cls } of expected.events) {
      near(model.encode(modality, text), cls, TOLERANCE.cls, `${modality}: ${text}`)
    }
    for (const [i, user] of users.entries()) {
      for (const [j, instruction] of instructions.entries()) {
        const { h, u } = model.embedUser(user, instruction)
        near(h, expected.users[i]!.results[j]!.h, TOLERANCE.h, `h of user ${i} under ${instruction}`)
        near(u, expected.users[i]!.results[j]!.u, TOLERANCE.u, `u of user ${i} under ${instruction}`)
      }
    }
    for (const { text, h, u } of read<Answers>('answers').answers) {
      const got = model.embedText(text)
      near(got.h, h, TOLERANCE.h, `h of ${text}`)
      near(got.u, u, TOLERANCE.u, `u of ${text}`)
    }
    bundle.close()
  })
}
