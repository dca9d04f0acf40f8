/** Holds a runtime's forward pass to the reference: event vectors, states and user vectors, answers, and the plain backbone. */

import assert from 'node:assert/strict'
import type { TextModality } from '../../src/events/behavior-event.ts'
import { mergeFeed, prefixFeeds } from '../../src/model/attention-feeds.ts'
import { openBundle } from '../../src/model/bundle.ts'
import { type BundleModel, type BundleModelOptions, openBundleModel } from '../../src/model/bundle-model.ts'
import { mappedWeights } from '../../src/model/bundle-tensors.ts'
import type { PassForm, UserInput } from '../../src/model/embedding-model.ts'
import { STATE_OUTPUT, userGraph } from '../../src/model/graphs/user-graph.ts'
import { parseQwen2Config } from '../../src/model/model-configs.ts'
import { RotaryTable } from '../../src/model/rotary.ts'
import { SafetensorsFile } from '../../src/model/safetensors.ts'
import type { TensorRuntime } from '../../src/model/tensor-session.ts'
import { GOLDEN_DIR, goldenPath } from './golden-files.ts'

export interface EmbedCases {
  bundle: string
  tolerance: { cls: number; h: number; u: number }
  users: ({ id: string } & UserInput)[]
  instructions: (string | null)[]
  expected: {
    events: { modality: TextModality; text: string; cls: number[] }[]
    users: { prefixLength: number; results: { length: number; h: number[]; u: number[] }[] }[]
  }
}

export interface AnswerCases {
  bundle: string
  tolerance: { h: number; u: number }
  answers: { text: string; h: number[]; u: number[] }[]
}

export interface Qwen2Cases {
  cases: {
    config: object
    file: string
    shape: [number, number, number]
    inputIds: number[][] | null
    inputsEmbeds: string | null
    expected: string
    tolerance: number
  }[]
}

export const FORMS: readonly PassForm[] = ['packed', 'prefix-suffix', 'separate']

/** Users one by one, in pairs, and as many as a run takes. */
export const BATCH_LIMITS = [1, 120, 4_096]

export async function withModel(
  runtime: TensorRuntime,
  bundle: string,
  options: BundleModelOptions,
  use: (model: BundleModel) => Promise<void>,
): Promise<void> {
  const model = await openBundleModel(
    await openBundle(goldenPath(bundle), { verify: true }),
    runtime,
    options,
  )
  try {
    await use(model)
  } finally {
    await model.close()
  }
}

/** Stages in the order of computation, so that the first failure names the one at fault. */
export async function checkEmbed(
  { users, instructions, expected, tolerance }: EmbedCases,
  model: BundleModel,
  form: PassForm,
): Promise<void> {
  for (const [i, user] of users.entries()) {
    const { prefixLength, results } = expected.users[i]!
    const lengths = instructions.map((text) => model.positions(user, [text]))
    assert.deepEqual(
      lengths,
      results.map(({ length }) => length),
      user.id,
    )
    assert.equal(model.positions(user, []), prefixLength, user.id)
  }
  for (const [modality, events] of Map.groupBy(expected.events, (event) => event.modality)) {
    const texts = events.map(({ text }) => text)
    const vectors = await model.encodeEvents(modality, texts)
    for (const [i, { text, cls }] of events.entries()) {
      assertNear(vectors[i]!, cls, tolerance.cls, `cls of ${modality}: ${text}`)
    }
  }
  const embedded = await model.embedUserStates(users, instructions, { form })
  for (const [i, user] of users.entries()) {
    for (const [j, { h, u }] of expected.users[i]!.results.entries()) {
      const { state, vector } = embedded[i]![j]!
      assertNear(state, h, tolerance.h, `h of ${user.id} under ${instructions[j]}`)
      assertNear(vector, u, tolerance.u, `u of ${user.id} under ${instructions[j]}`)
    }
  }
}

export async function checkAnswers({ answers, tolerance }: AnswerCases, model: BundleModel): Promise<void> {
  const embedded = await model.embedTextStates(answers.map(({ text }) => text))
  for (const [i, { text, h, u }] of answers.entries()) {
    assertNear(embedded[i]!.state, h, tolerance.h, `h of ${text}`)
    assertNear(embedded[i]!.vector, u, tolerance.u, `u of ${text}`)
  }
}

/** The backbone without LoRA, adapters or head: all states of plain sequences. */
export async function checkQwen2(test: Qwen2Cases['cases'][number], runtime: TensorRuntime): Promise<void> {
  const config = parseQwen2Config(JSON.stringify(test.config), test.file)
  using file = SafetensorsFile.open(goldenPath(test.file))
  const weights = mappedWeights({ location: test.file, file, prefix: 'model.' })
  const graph = userGraph({ config, weights, loraRank: 0, modules: null }, 'states', runtime.form)
  const session = await runtime.open({ graph, directory: GOLDEN_DIR, held: {}, prepack: true })
  try {
    const [count, length, width] = test.shape
    const rows = test.inputIds
      ? file.readRows('model.embed_tokens.weight', test.inputIds.flat())
      : file.read(test.inputsEmbeds!)
    const positionCount = count * length
    const sequences = Array.from({ length: count }, (_, i) => ({ start: i * length, length }))
    const positions = Int32Array.from({ length: positionCount }, (_, i) => i % length)
    const feeds = {
      rows: { data: rows as Float32Array<ArrayBuffer>, dims: [positionCount, width] },
      order: { data: Int32Array.from({ length: positionCount }, (_, i) => i), dims: [positionCount] },
      ...new RotaryTable(config).feeds(positions),
      ...prefixFeeds(config, sequences),
      ...mergeFeed(config, positionCount, sequences, []),
    }
    const outputs = await session.run(feeds, { outputs: [STATE_OUTPUT] })
    assertNear(
      outputs[STATE_OUTPUT]!.data as Float32Array,
      file.read(test.expected),
      test.tolerance,
      test.file,
    )
  } finally {
    await session.release()
  }
}

/** Largest absolute difference within the tolerance that the golden file states. */
function assertNear(
  got: ArrayLike<number>,
  expected: ArrayLike<number>,
  tolerance: number,
  what: string,
): void {
  assert.equal(got.length, expected.length, what)
  for (let i = 0; i < expected.length; i++) {
    const difference = Math.abs(got[i]! - expected[i]!)
    // Written so that NaN fails.
    if (!(difference <= tolerance)) {
      assert.fail(`${what}: number ${i} is ${got[i]}, expected ${expected[i]} within ${tolerance}`)
    }
  }
}
