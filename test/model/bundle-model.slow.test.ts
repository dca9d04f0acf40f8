/** The promises of the model: who else is in the batch, in which form and in which order changes nothing; and what it costs. */

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import fc from 'fast-check'
import { openOnnxRuntime } from '../../src/drivers/onnx/onnx-runtime.ts'
import { openEventVectorCache } from '../../src/drivers/sqlite/event-vector-cache.ts'
import { TEXT_MODALITIES } from '../../src/events/behavior-event.ts'
import { openBundle } from '../../src/model/bundle.ts'
import { type BundleModel, type BundleModelOptions, openBundleModel } from '../../src/model/bundle-model.ts'
import type { TokenCounts, UserInput } from '../../src/model/embedding-model.ts'
import type { TensorRuntime } from '../../src/model/tensor-session.ts'
import { FORMS } from '../golden/forward-cases.ts'
import { GOLDEN } from './golden-bundle.ts'

/** Float32 sums in another order: 2.1e-6 was the largest seen in 2,400 draws, on vectors of length 1. */
const SAME = 5e-6
/** What the specification asks of the three forms. */
const FORMS_AGREE = 1e-4

const word = fc.constantFrom(
  'paid',
  'opened',
  'page',
  'music',
  '用户',
  'map',
  'a few yuan',
  'form',
  'home',
  '',
)
const text = fc.array(word, { maxLength: 6 }).map((words) => words.join(' '))
const events = fc.record(
  Object.fromEntries(TEXT_MODALITIES.map((name) => [name, fc.array(text, { maxLength: 8 })])),
  {
    requiredKeys: [],
  },
)
const feature = fc.option(fc.float({ min: -10, max: 10, noNaN: true }), { freq: 4 })
const tabular = fc.option(fc.array(feature, { minLength: 7, maxLength: 7 }))
const user: fc.Arbitrary<UserInput> = fc.record({ events, tabular }) as fc.Arbitrary<UserInput>
const instruction = fc.option(
  fc.constantFrom('Will they repay?', 'What will they need next?', '', 'Age', '他们喜欢什么？'),
  {
    freq: 5,
  },
)
const instructions = fc.array(instruction, { minLength: 1, maxLength: 6 })

function assertNear(got: Float32Array, expected: Float32Array, tolerance: number, what: string): void {
  assert.equal(got.length, expected.length)
  const worst = got.reduce((max, value, i) => Math.max(max, Math.abs(value - expected[i]!)), 0)
  assert.ok(worst <= tolerance, `${what}: ${worst} apart`)
}

async function modelOf(
  runtime: TensorRuntime,
  name: string,
  options: BundleModelOptions = {},
): Promise<BundleModel> {
  return await openBundleModel(await openBundle(`${GOLDEN}${name}`, { verify: false }), runtime, options)
}

/** What `use` added to the counts. */
async function spent(model: BundleModel, use: () => Promise<unknown>): Promise<TokenCounts> {
  const before = model.counts()
  await use()
  const after = model.counts()
  const names = Object.keys(after) as (keyof TokenCounts)[]
  return Object.fromEntries(names.map((name) => [name, after[name] - before[name]])) as unknown as TokenCounts
}

for (const name of ['bundle-linear', 'bundle-mlp'] as const) {
  describe(`the model of ${name}`, () => {
    let runtime: TensorRuntime
    let model: BundleModel
    let small: BundleModel
    before(async () => {
      runtime = await openOnnxRuntime({ threads: 1 })
      model = await modelOf(runtime, name)
      // One user a run: nothing of it can depend on batch mates or padding.
      small = await modelOf(runtime, name, { batchTokensMax: 1 })
    })
    after(async () => {
      await model.close()
      await small.close()
      await runtime.close()
    })

    test('batch mates and padding change nothing', async () => {
      await fc.assert(
        fc.asyncProperty(
          fc.array(user, { minLength: 2, maxLength: 6 }),
          instructions,
          async (users, texts) => {
            const together = await model.embedUsers(users, texts)
            const alone = await small.embedUsers(users, texts)
            for (const [i, row] of together.entries()) {
              for (const [j, vector] of row.entries())
                assertNear(vector, alone[i]![j]!, SAME, `user ${i}, instruction ${j}`)
            }
          },
        ),
        { seed: 1, numRuns: 25 },
      )
    })

    test('adding, removing or re-ordering other instructions changes nothing', async () => {
      await fc.assert(
        fc.asyncProperty(user, instructions, fc.nat(), async (one, texts, pick) => {
          const chosen = texts[pick % texts.length]!
          const [all] = await model.embedUsers([one], texts)
          const [reversed] = await model.embedUsers([one], texts.toReversed())
          const [[alone]] = (await model.embedUsers([one], [chosen])) as [[Float32Array]]
          assertNear(all![pick % texts.length]!, alone, SAME, 'with others')
          assertNear(reversed![texts.length - 1 - (pick % texts.length)]!, alone, SAME, 'in another order')
        }),
        { seed: 2, numRuns: 25 },
      )
    })

    test('packed, prefix and suffix, and separate passes agree', async () => {
      await fc.assert(
        fc.asyncProperty(
          fc.array(user, { minLength: 1, maxLength: 3 }),
          instructions,
          async (users, texts) => {
            const [packed, ...others] = await Promise.all(
              FORMS.map((form) => model.embedUsers(users, texts, { form })),
            )
            for (const other of others) {
              for (const [i, row] of other.entries()) {
                for (const [j, vector] of row.entries())
                  assertNear(vector, packed![i]![j]!, FORMS_AGREE, `user ${i}`)
              }
            }
          },
        ),
        { seed: 3, numRuns: 15 },
      )
    })

    test('vectors have length 1, and different instructions give different vectors', async () => {
      const texts = [null, 'Will they repay?', 'What will they need next?']
      const [row] = await model.embedUsers(
        [{ events: { app: ['App opened: music.'] }, tabular: null }],
        texts,
      )
      for (const vector of row!) {
        assert.equal(vector.length, model.dimensions)
        const norm = Math.hypot(...vector)
        assert.ok(Math.abs(norm - 1) < 1e-6, `norm ${norm}`)
      }
      const apart = row![1]!.reduce((sum, value, i) => sum + (value - row![2]![i]!) ** 2, 0)
      assert.ok(apart > 1e-4)
    })

    test('more than 32 instructions are split over rows, and each vector is the one it has alone', async () => {
      const texts = Array.from({ length: 70 }, (_, i) => (i === 40 ? null : `Question ${i}?`))
      const users: UserInput[] = [
        { events: { search: ['map'] }, tabular: null },
        { events: {}, tabular: null },
      ]
      let rows: Float32Array[][] = []
      const counts = await spent(model, async () => {
        rows = await model.embedUsers(users, texts)
      })
      for (const j of [0, 31, 32, 40, 69]) {
        const alone = await small.embedUsers(users, [texts[j]!])
        for (const i of [0, 1]) assertNear(rows[i]![j]!, alone[i]![0]!, SAME, `instruction ${j}`)
      }
      const prefixes = users.reduce((sum, one) => sum + model.positions(one, []), 0)
      // Three rows a user: 32, 32 and 6 instructions share a prefix each.
      assert.equal(counts.backboneShared, prefixes * (70 - 3))
      const blocks = model.positions(users[0]!, texts) - model.positions(users[0]!, [])
      assert.equal(counts.backboneComputed, 3 * prefixes + 2 * blocks)
    })

    test('calls at the same time give what they give one after the other, and encode each text once', async () => {
      const fresh = await modelOf(runtime, name)
      const users = Array.from(
        { length: 5 },
        (_, i): UserInput => ({
          events: { app: ['App opened: music.', `page ${i % 2}`], search: ['map'] },
          tabular: null,
        }),
      )
      const rows = await Promise.all(users.map((one) => fresh.embedUsers([one], [null, 'Age'])))
      // Four texts: music, page 0, page 1, and map of another modality.
      assert.equal(fresh.counts().eventsEncoded, 4)
      for (const [i, one] of users.entries()) {
        const [expected] = await model.embedUsers([one], [null, 'Age'])
        for (const [j, vector] of expected!.entries()) assertNear(rows[i]![0]![j]!, vector, SAME, `call ${i}`)
      }
      await fresh.close()
    })

    test('several workers give what one gives, each vector at its place', async () => {
      const two = await openOnnxRuntime({ threads: 1, workers: 2 })
      const shared = await modelOf(two, name, { batchTokensMax: 60 })
      const users = Array.from({ length: 12 }, (_, i): UserInput => {
        return { events: { app: Array.from({ length: i % 4 }, (_, j) => `page ${i + j}`) }, tabular: null }
      })
      const texts = Array.from({ length: 40 }, (_, i) => `Question ${i}?`)
      const [rows, expected] = [await shared.embedUsers(users, texts), await small.embedUsers(users, texts)]
      for (const [i, row] of rows.entries()) {
        for (const [j, vector] of row.entries()) assertNear(vector, expected[i]![j]!, SAME, `user ${i}, ${j}`)
      }
      await shared.close()
      await two.close()
    })

    test('an aborted call ends with its reason, and a call that waited for its texts still gets them', async () => {
      const fresh = await modelOf(runtime, name)
      const one: UserInput = { events: { app: ['App opened: map.'] }, tabular: null }
      const controller = new AbortController()
      const aborted = fresh.embedUsers([one], [null], { signal: controller.signal })
      const other = fresh.embedUsers([one], [null])
      controller.abort()
      await assert.rejects(aborted, { name: 'AbortError' })
      const [[expected]] = (await model.embedUsers([one], [null])) as [[Float32Array]]
      assertNear((await other)[0]![0]!, expected, SAME, 'the waiting call')
      await fresh.close()
    })

    test('a text alone, and among longer ones, has the same vector', async () => {
      const texts = ['yes', '', 'They will buy a train ticket and a hotel room soon.', '是', 'yes']
      const together = await model.embedTexts(texts)
      for (const [i, one] of texts.entries()) {
        assertNear((await small.embedTexts([one]))[0]!, together[i]!, SAME, one)
      }
      assert.deepEqual(together[0], together[4])
      assert.deepEqual(await model.embedTexts([]), [])
    })
  })
}

describe('what the model spends', () => {
  let runtime: TensorRuntime
  before(async () => {
    runtime = await openOnnxRuntime({ threads: 1 })
  })
  after(async () => {
    await runtime.close()
  })

  const window = Array.from({ length: 5 }, (_, i) => `App opened: number ${i}.`)
  const userOf = (app: readonly string[], paybill: readonly string[]): UserInput => ({
    events: { app, paybill },
    tabular: null,
  })

  test('one new event costs one event encoding and one packed pass, however many instructions', async () => {
    const model = await modelOf(runtime, 'bundle-linear')
    const texts = [null, 'Will they repay?', 'What will they need next?']
    const before = userOf(['map'], window)
    await model.embedUsers([before], texts)
    const next = userOf(['map'], [...window, 'Paid tens of yuan.'])
    const counts = await spent(model, () => model.embedUsers([next], texts))
    assert.equal(counts.eventsEncoded, 1)
    assert.equal(counts.eventsCached, 6)
    assert.ok(counts.encodeMs > 0 && counts.backboneMs > 0)
    assert.equal(counts.backboneRuns, 1)
    assert.equal(counts.backboneComputed, model.positions(next, texts))
    assert.equal(counts.backboneShared, 2 * model.positions(next, []))
    assert.ok(counts.encoderComputed >= 3 && counts.encoderComputed <= 16)
    const again = await spent(model, () => model.embedUsers([next], texts))
    assert.equal(again.eventsEncoded + again.encoderComputed, 0)
    await model.close()
  })

  test('a text of many users, and of modalities that share encoder and limit, is encoded once', async () => {
    const model = await modelOf(runtime, 'bundle-linear')
    const users = [userOf(['map', 'map'], ['map']), userOf(['map'], [])]
    // App and paybill have encoders of their own.
    assert.equal((await spent(model, () => model.embedUsers(users, [null]))).eventsEncoded, 2)
    await model.close()
  })

  test('separate passes compute what the packed pass shares', async () => {
    const model = await modelOf(runtime, 'bundle-linear')
    const one = userOf(['map'], window)
    const texts = [null, 'Will they repay?', 'What will they need next?']
    const packed = await spent(model, () => model.embedUsers([one], texts))
    const suffix = await spent(model, () => model.embedUsers([one], texts, { form: 'prefix-suffix' }))
    const separate = await spent(model, () => model.embedUsers([one], texts, { form: 'separate' }))
    assert.equal(separate.backboneComputed, packed.backboneComputed + packed.backboneShared)
    assert.equal(separate.backboneShared, 0)
    assert.equal(suffix.backboneComputed, packed.backboneComputed)
    assert.equal(suffix.backboneShared, packed.backboneShared)
    assert.equal(suffix.backboneRuns, 2)
    await model.close()
  })

  test('a cache on disk spares a new process every encoding, and gives the same vectors', async () => {
    const { cache } = openEventVectorCache({ path: ':memory:', sizeBytesMax: 1e6 })
    const one = userOf(['map'], window)
    const first = await modelOf(runtime, 'bundle-linear', { cache })
    let expected: Float32Array[] | undefined
    const paid = await spent(first, async () => {
      expected = (await first.embedUsers([one], [null]))[0]
    })
    await first.close()
    const second = await modelOf(runtime, 'bundle-linear', { cache })
    const counts = await spent(second, async () =>
      assert.deepEqual((await second.embedUsers([one], [null]))[0], expected),
    )
    assert.deepEqual([counts.eventsEncoded, counts.eventsCached], [0, 6])
    // The very tokens that the first process paid for, though the second did not tokenise them.
    assert.ok(paid.encoderComputed > 0)
    assert.deepEqual([counts.encoderComputed, counts.encoderCached], [0, paid.encoderComputed])
    await second.close()
    // Another bundle has other encoders: none of its keys may hit.
    const other = await modelOf(runtime, 'bundle-mlp', { cache })
    assert.equal((await spent(other, () => other.embedUsers([one], [null]))).eventsCached, 0)
    await other.close()
    cache.close()
  })
})

describe('what the model refuses', () => {
  let runtime: TensorRuntime
  before(async () => {
    runtime = await openOnnxRuntime({ threads: 1 })
  })
  after(async () => {
    await runtime.close()
  })

  test('a bundle whose full users would not fit', async () => {
    await assert.rejects(modelOf(runtime, 'bundle-linear', { positionsMax: 30 }), {
      code: 'positions-max',
      name: 'ConfigError',
    })
  })

  test('an instruction that does not fit behind the prefix, and a text that is too long', async () => {
    const model = await modelOf(runtime, 'bundle-linear', { positionsMax: 64 })
    const long = 'word '.repeat(200)
    await assert.rejects(model.embedUsers([{ events: {}, tabular: null }], [long]), {
      code: 'text-too-long',
      status: 400,
    })
    await assert.rejects(model.embedTexts([long]), { code: 'text-too-long' })
    await model.close()
  })

  test('a control token in an instruction or an answer, and features of the wrong number', async () => {
    const model = await modelOf(runtime, 'bundle-linear')
    const nobody: UserInput = { events: {}, tabular: null }
    await assert.rejects(model.embedUsers([nobody], ['end<|endoftext|>']), {
      code: 'instruction-control-token',
    })
    await assert.rejects(model.embedTexts(['<|endoftext|>']), { code: 'instruction-control-token' })
    await assert.rejects(model.embedUsers([{ events: {}, tabular: [1, 2] }], [null]), {
      code: 'tabular-input',
    })
    await model.close()
  })
})
