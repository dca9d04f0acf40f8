/** Any architecture that the specification allows, against the float64 reference: the golden bundles are only two of them. */

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import fc from 'fast-check'
import { openOnnxRuntime } from '../../src/drivers/onnx/onnx-runtime.ts'
import { TEXT_MODALITIES } from '../../src/events/behavior-event.ts'
import { openBundle } from '../../src/model/bundle.ts'
import { openBundleModel } from '../../src/model/bundle-model.ts'
import type { UserInput } from '../../src/model/embedding-model.ts'
import type { TensorRuntime } from '../../src/model/tensor-session.ts'
import { FORMS } from '../golden/forward-cases.ts'
import { type Architecture, makeBundle } from './made-bundle.ts'
import { ReferenceModel } from './reference-forward.ts'

/** Float32 against float64, states around 1 and vectors of length 1; 2.7e-5 and 8.5e-6 were the largest seen in 80 architectures. */
const TOLERANCE = { h: 1e-4, u: 3e-5 }

const architecture: fc.Arbitrary<Architecture> = fc.record({
  seed: fc.nat(),
  layers: fc.integer({ min: 1, max: 3 }),
  kvHeads: fc.integer({ min: 1, max: 3 }),
  group: fc.integer({ min: 1, max: 3 }),
  headSize: fc.constantFrom(2, 6, 8),
  loraRank: fc.constantFrom(0, 1, 3),
  encoderLayers: fc.integer({ min: 1, max: 2 }),
  encoderHeads: fc.constantFrom(1, 3, 4),
  adapter: fc.constantFrom('linear', 'mlp'),
  head: fc.constantFrom('mlp', 'none'),
  tabularTokens: fc.constantFrom(0, 1, 3),
  textModalities: fc.subarray([...TEXT_MODALITIES]),
  introText: fc.constantFrom('', 'One user.\n'),
  storedAs: fc.constantFrom('F32', 'BF16'),
})

const users: UserInput[] = [
  { events: {}, tabular: null },
  { events: { paybill: ['paid', 'paid', ''], search: ['map', 'music', 'home', 'form'] }, tabular: [3, null] },
  {
    events: { app: ['App opened: music.'], spm: ['page home'], miniprogram: ['用户打开了出行小程序'] },
    tabular: [null, null],
  },
]
const instructions = [null, 'Will they repay?', 'What will they need next week?']
const answers = ['yes', 'A train ticket.', '']

function assertNear(got: Float32Array, expected: ArrayLike<number>, tolerance: number, what: string): void {
  assert.equal(got.length, expected.length)
  const worst = got.reduce((max, value, i) => Math.max(max, Math.abs(value - expected[i]!)), 0)
  // Written so that NaN fails.
  assert.ok(worst <= tolerance, `${what}: ${worst} apart`)
}

async function checkArchitecture(shape: Architecture, runtime: TensorRuntime): Promise<void> {
  fc.pre(shape.textModalities.length > 0)
  using made = await makeBundle(shape)
  const bundle = await openBundle(made.path, { verify: true })
  const reference = new ReferenceModel(bundle)
  const model = await openBundleModel(bundle, runtime)
  try {
    for (const form of FORMS) {
      const rows = await model.embedUserStates(users, instructions, { form })
      for (const [i, user] of users.entries()) {
        for (const [j, text] of instructions.entries()) {
          const { h, u } = reference.embedUser(user, text)
          assertNear(rows[i]![j]!.state, h, TOLERANCE.h, `h of ${form}, user ${i}, instruction ${j}`)
          assertNear(rows[i]![j]!.vector, u, TOLERANCE.u, `u of ${form}, user ${i}, instruction ${j}`)
        }
      }
    }
    const embedded = await model.embedTextStates(answers)
    for (const [i, text] of answers.entries()) {
      const { h, u } = reference.embedText(text)
      assertNear(embedded[i]!.state, h, TOLERANCE.h, `h of answer ${text}`)
      assertNear(embedded[i]!.vector, u, TOLERANCE.u, `u of answer ${text}`)
    }
  } finally {
    await model.close()
  }
}

describe('architectures', () => {
  const runtimes: TensorRuntime[] = []
  before(async () => {
    for (const graphs of ['fused', 'portable'] as const)
      runtimes.push(await openOnnxRuntime({ threads: 1, graphs }))
  })
  after(async () => {
    for (const runtime of runtimes) await runtime.close()
  })

  test('layers, heads, groups, ranks, adapters, heads and types of any kind give the reference vectors in every form', async () => {
    let run = 0
    await fc.assert(
      fc.asyncProperty(architecture, async (shape) => await checkArchitecture(shape, runtimes[run++ % 2]!)),
      { seed: 5, numRuns: 16 },
    )
  })
})
