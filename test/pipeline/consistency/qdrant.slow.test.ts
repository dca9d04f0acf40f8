/** The same promise with the Qdrant driver in place of maps: every answer goes over the protocol, to the double. */

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { after, before, describe, test } from 'node:test'
import fc from 'fast-check'
import { type QdrantDouble, startQdrantDouble } from '../../drivers/qdrant/double/qdrant-double.ts'
import { DRIVER_MUTANTS } from './mutants.ts'
import { loadPipeline, loadQdrant, type Mutant, type PipelineModules } from './pipeline-modules.ts'
import { QdrantSink } from './qdrant-sink.ts'
import { runScenario } from './scenario.ts'
import { type Scenario, scenarios } from './steps.ts'

/** About half a minute; `node test/tools/consistency.ts 5000 --qdrant` runs more. */
const RUNS = 80

describe('the consistency model over the Qdrant driver', () => {
  let double: QdrantDouble
  let modules: PipelineModules
  let runs = 0

  before(async () => {
    double = await startQdrantDouble()
    modules = await loadPipeline()
  })
  after(() => double.close())

  async function run(scenario: Scenario, mutant?: Mutant) {
    const sink = await QdrantSink.begin(double.url, `run${runs++}-`, await loadQdrant(mutant))
    try {
      return await runScenario(scenario, modules, sink)
    } finally {
      await sink.close()
    }
  }

  test('whatever crashes, stalls, repeats or changes, every vector on the server is right at rest', async () => {
    await fc.assert(
      fc.asyncProperty(scenarios, async (scenario) => {
        const { wrong, trace } = await run(scenario)
        assert.equal(wrong, null, trace.join('\n'))
      }),
      { numRuns: RUNS, seed: 20_261_126 },
    )
  })

  for (const [mutant, trace] of DRIVER_MUTANTS) {
    test(`without the driver's ${mutant.rule} a kept scenario ends wrong, and with it right`, async () => {
      const file = new URL(`traces/${trace}.json`, import.meta.url)
      const { scenario } = JSON.parse(readFileSync(file, 'utf8')) as { scenario: Scenario }
      assert.equal((await run(scenario)).wrong, null)
      assert.notEqual((await run(scenario, mutant)).wrong, null)
    })
  }
})
