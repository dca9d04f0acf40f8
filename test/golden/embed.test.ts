/** Golden users: every form, every batching and both forms of the graphs meet the reference. */

import { after, before, describe, test } from 'node:test'
import { openOnnxRuntime } from '../../src/drivers/onnx/onnx-runtime.ts'
import type { TensorRuntime } from '../../src/model/tensor-session.ts'
import { BATCH_LIMITS, checkEmbed, type EmbedCases, FORMS, withModel } from './forward-cases.ts'
import { goldenFiles } from './golden-files.ts'

const files = goldenFiles<EmbedCases>('embed')
describe('golden users', () => {
  const runtimes = new Map<'fused' | 'portable', TensorRuntime>()

  before(async () => {
    for (const graphs of ['fused', 'portable'] as const)
      runtimes.set(graphs, await openOnnxRuntime({ graphs }))
  })
  after(async () => {
    for (const runtime of runtimes.values()) await runtime.close()
  })

  for (const file of files) {
    for (const graphs of ['fused', 'portable'] as const) {
      for (const form of FORMS) {
        test(`${file.name}: ${form} passes of ${graphs} graphs meet the reference, in every batching`, async () => {
          for (const batchTokensMax of BATCH_LIMITS) {
            await withModel(runtimes.get(graphs)!, file.content.bundle, { batchTokensMax }, (model) =>
              checkEmbed(file.content, model, form),
            )
          }
        })
      }
    }
  }
})
