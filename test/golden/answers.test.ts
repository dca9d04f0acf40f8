/** Golden answers: texts alone through the backbone meet the reference, one by one and together. */

import { after, before, describe, test } from 'node:test'
import { openOnnxRuntime } from '../../src/drivers/onnx/onnx-runtime.ts'
import type { TensorRuntime } from '../../src/model/tensor-session.ts'
import { type AnswerCases, BATCH_LIMITS, checkAnswers, withModel } from './forward-cases.ts'
import { goldenFiles } from './golden-files.ts'

const files = goldenFiles<AnswerCases>('answers')
describe('golden answers', () => {
  let runtime: TensorRuntime

  before(async () => {
    runtime = await openOnnxRuntime()
  })
  after(async () => {
    await runtime.close()
  })

  for (const file of files) {
    test(`${file.name}: the answer tower meets the reference, in every batching`, async () => {
      for (const batchTokensMax of BATCH_LIMITS) {
        await withModel(runtime, file.content.bundle, { batchTokensMax }, (model) =>
          checkAnswers(file.content, model),
        )
      }
    })
  }
})
