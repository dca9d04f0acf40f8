/**
 * Runs the golden forward cases on webgpu, in a process of its own: the driver's state and its environment stay here.
 * Exit code 0: all met the reference. 3: no adapter here. Anything else: a case failed, and standard error says which.
 */

import assert from 'node:assert/strict'
import { openOnnxRuntime } from '../../src/drivers/onnx/onnx-runtime.ts'
import { ConfigError } from '../../src/errors.ts'
import type { TensorRuntime } from '../../src/model/tensor-session.ts'
import {
  type AnswerCases,
  checkAnswers,
  checkEmbed,
  checkQwen2,
  type EmbedCases,
  FORMS,
  type Qwen2Cases,
  withModel,
} from '../golden/forward-cases.ts'
import { goldenFiles } from '../golden/golden-files.ts'

const NO_ADAPTER = 3

async function runtimeOrExit(): Promise<TensorRuntime> {
  try {
    return await openOnnxRuntime({ provider: 'webgpu' })
  } catch (error) {
    if (!(error instanceof ConfigError) || error.code !== 'provider-unavailable') throw error
    process.stderr.write(`${error.message}\n`)
    process.exit(NO_ADAPTER)
  }
}

async function done(what: string, check: Promise<void>): Promise<void> {
  await check
  process.stdout.write(`${what}\n`)
}

const isShort = process.argv.includes('--short')
const runtime = await runtimeOrExit()
await done(
  'a second holder of webgpu is refused',
  assert.rejects(openOnnxRuntime({ provider: 'webgpu' }), { code: 'webgpu-held' }),
)
const backbones = goldenFiles<Qwen2Cases>('backbones').flatMap(({ content }) => content.cases)
for (const one of isShort ? backbones.slice(0, 1) : backbones) await done(one.file, checkQwen2(one, runtime))

const users = isShort ? [] : goldenFiles<EmbedCases>('embed')
const answers = isShort ? [] : goldenFiles<AnswerCases>('answers')
for (const bundle of new Set([...users, ...answers].map(({ content }) => content.bundle))) {
  const ofBundle = <T extends { content: { bundle: string } }>(files: T[]) =>
    files.filter(({ content }) => content.bundle === bundle)
  // Few, large runs: every new shape costs the driver a compilation.
  await withModel(runtime, bundle, { batchTokensMax: 4_096 }, async (model) => {
    for (const { name, content } of ofBundle(users))
      for (const form of FORMS) await done(`${name}: ${form}`, checkEmbed(content, model, form))
    for (const { name, content } of ofBundle(answers)) await done(name, checkAnswers(content, model))
  })
}
await runtime.close()
