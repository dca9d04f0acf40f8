/** Opening and closing models for ever must not grow the process: a service swaps versions for months. */

import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { openOnnxRuntime } from '../../src/drivers/onnx/onnx-runtime.ts'
import { openBundle } from '../../src/model/bundle.ts'
import { openBundleModel } from '../../src/model/bundle-model.ts'
import { initBundle } from '../../src/model/init-bundle.ts'
import type { TensorRuntime } from '../../src/model/tensor-session.ts'

const CYCLES = 100
/** The first cycles fill arenas and caches, in steps (340 to 400 MiB seen between the 10th and the 30th). */
const WARM_CYCLES = 30
/** What allocators do after that, up and down: 1.05 to 1.09 seen. A leak of the model's weights would add them every cycle. */
const GROWTH_MAX = 1.15

/** What the main thread no longer uses goes at once, so that what stays is what somebody holds. */
setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void

describe('models that come and go', () => {
  let directory = ''
  let runtime: TensorRuntime
  before(async () => {
    directory = mkdtempSync(join(tmpdir(), 'freshet-swap-'))
    await initBundle({ preset: 'small', directory: join(directory, 'small'), createdMs: 0 })
    runtime = await openOnnxRuntime({ threads: 1 })
  })
  after(async () => {
    await runtime.close()
    rmSync(directory, { recursive: true, force: true })
  })

  test(`resident memory is level after ${WARM_CYCLES} of ${CYCLES} cycles of opening, embedding and closing`, async (context) => {
    const sizes: number[] = []
    for (let cycle = 0; cycle < CYCLES; cycle++) {
      const bundle = await openBundle(join(directory, 'small'), { verify: false })
      const model = await openBundleModel(bundle, runtime)
      const events = { paybill: Array.from({ length: 50 }, (_, i) => `Paid at shop ${i}.`) }
      await model.embedUsers([{ events, tabular: null }], [null, 'What next?'])
      await model.close()
      collectGarbage()
      sizes.push(Math.round(process.memoryUsage().rss / 2 ** 20))
    }
    context.diagnostic(`MiB by cycle: ${sizes.join(' ')}`)
    const warm = sizes[WARM_CYCLES - 1]!
    const last = sizes.slice(-10)
    assert.ok(
      Math.min(...last) <= GROWTH_MAX * warm,
      `${warm} MiB after ${WARM_CYCLES} cycles, then ${last.join(', ')}`,
    )
  })
})
