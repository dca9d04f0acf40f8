/** The float16 form of the graphs, which only CUDA is offered: the CPU library runs it too, with casts, so its types and shapes are tested. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openOnnxRuntime } from '../../src/drivers/onnx/onnx-runtime.ts'
import type { TensorRuntime } from '../../src/model/tensor-session.ts'
import { type EmbedCases, FORMS, withModel } from './forward-cases.ts'
import { goldenFiles, isOwnSet } from './golden-files.ts'

/** float16 keeps 11 bits (5e-4) of each state; 4e-3 was the largest difference seen, 20 times less than between two users. */
const TOLERANCE = 1e-2

// Only our set: the tolerance was measured on it, and no file states one.
for (const { name, content } of isOwnSet ? goldenFiles<EmbedCases>('embed') : []) {
  test(`${name}: float16 graphs come as near to the reference as float16 can`, async () => {
    const cpu = await openOnnxRuntime({ threads: 1 })
    const half: TensorRuntime = {
      provider: 'cpu',
      precision: 'fp16',
      workers: 1,
      form: { kind: 'fused', compute: 'f16' },
      open: (source) => cpu.open(source),
      close: () => cpu.close(),
    }
    try {
      await withModel(half, content.bundle, {}, async (model) => {
        for (const form of FORMS) {
          const rows = await model.embedUsers(content.users, content.instructions, { form })
          for (const [i, row] of rows.entries()) {
            for (const [j, vector] of row.entries()) {
              const { u } = content.expected.users[i]!.results[j]!
              const worst = vector.reduce((max, value, k) => Math.max(max, Math.abs(value - u[k]!)), 0)
              assert.ok(worst <= TOLERANCE, `${form}, user ${i}, instruction ${j}: ${worst} apart`)
            }
          }
        }
      })
    } finally {
      await half.close()
    }
  })
}
