/** The plain backbone against Hugging Face's Qwen2Model: F32 and BF16 weights, long and batched sequences. */

import { after, before, describe, test } from 'node:test'
import { openOnnxRuntime } from '../../src/drivers/onnx/onnx-runtime.ts'
import type { TensorRuntime } from '../../src/model/tensor-session.ts'
import { checkQwen2, type Qwen2Cases } from './forward-cases.ts'
import { goldenFiles } from './golden-files.ts'

const cases = goldenFiles<Qwen2Cases>('backbones').flatMap(({ content }) => content.cases)
describe('the plain backbone', () => {
  const runtimes = new Map<'fused' | 'portable', TensorRuntime>()

  before(async () => {
    for (const graphs of ['fused', 'portable'] as const)
      runtimes.set(graphs, await openOnnxRuntime({ graphs }))
  })
  after(async () => {
    for (const runtime of runtimes.values()) await runtime.close()
  })

  for (const one of cases) {
    for (const graphs of ['fused', 'portable'] as const) {
      test(`${one.file}: ${graphs} graphs give the reference's last hidden states`, async () => {
        await checkQwen2(one, runtimes.get(graphs)!)
      })
    }
  }
})
