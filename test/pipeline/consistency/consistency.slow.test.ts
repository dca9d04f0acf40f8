/** The promise: any interleaving of workers, crashes, requests and changes comes to rest with the right vectors. */

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import fc from 'fast-check'
import { MUTANTS } from './mutants.ts'
import { loadPipeline } from './pipeline-modules.ts'
import { runScenario } from './scenario.ts'
import { type Scenario, scenarios } from './steps.ts'

/** About four seconds; `node test/tools/consistency.ts 1000000` runs as many as one has patience for. */
const RUNS = 1_500

test('whatever crashes, stalls, repeats or changes, every vector is right at rest', async () => {
  const modules = await loadPipeline()
  await fc.assert(
    fc.asyncProperty(scenarios, async (scenario) => {
      const { wrong, trace } = await runScenario(scenario, modules)
      assert.equal(wrong, null, trace.join('\n'))
    }),
    { numRuns: RUNS, seed: 20_261_124 },
  )
})

for (const mutant of MUTANTS) {
  test(`without rule ${mutant.rule} a kept scenario ends wrong, and with it right`, async () => {
    const file = new URL(`traces/${mutant.rule}.json`, import.meta.url)
    const { scenario } = JSON.parse(readFileSync(file, 'utf8')) as { scenario: Scenario }
    assert.equal((await runScenario(scenario, await loadPipeline())).wrong, null)
    assert.notEqual((await runScenario(scenario, await loadPipeline(mutant))).wrong, null)
  })
}
