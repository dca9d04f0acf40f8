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
const backbones = goldenFiles<Qwen2Cases>(/^qwen2-hf.*\.json$/).flatMap(({ content }) => content.cases)
for (const one of isShort ? backbones.slice(0, 1) : backbones) await done(one.file, checkQwen2(one, runtime))

const answers = goldenFiles<AnswerCases>(/^answers-.*\.json$/)
for (const { name, content } of isShort ? [] : goldenFiles<EmbedCases>(/^embed-.*\.json$/)) {
  // Few, large runs: every new shape costs the driver a compilation.
  await withModel(runtime, content.bundle, { batchTokensMax: 4_096 }, async (model) => {
    for (const form of FORMS) await done(`${name}: ${form}`, checkEmbed(content, model, form))
    for (const file of answers) {
      if (file.content.bundle === content.bundle) await done(file.name, checkAnswers(file.content, model))
    }
  })
}
await runtime.close()
