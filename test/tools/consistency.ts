/** Runs the consistency model at length, with all rules or with one taken out: `node test/tools/consistency.ts RUNS [RULE] [SEED] [--qdrant]`. */

import { writeFileSync } from 'node:fs'
import fc from 'fast-check'
import { startQdrantDouble } from '../drivers/qdrant/double/qdrant-double.ts'
import { MUTANTS } from '../pipeline/consistency/mutants.ts'
import { loadPipeline, loadQdrant } from '../pipeline/consistency/pipeline-modules.ts'
import { QdrantSink } from '../pipeline/consistency/qdrant-sink.ts'
import { runScenario } from '../pipeline/consistency/scenario.ts'
import { type Scenario, scenarios } from '../pipeline/consistency/steps.ts'

const overQdrant = process.argv.includes('--qdrant')
const words = process.argv.slice(2).filter((word) => word !== '--qdrant')
const [runs = '1000', rule = '', seed = String(Date.now() & 0x7fffffff), out = ''] = words
const mutant = MUTANTS.find((known) => known.rule === rule)
if (rule !== '' && mutant === undefined)
  throw new Error(`expected one of ${MUTANTS.map((m) => m.rule).join(', ')}, got ${rule}`)
const modules = await loadPipeline(mutant)
const double = overQdrant ? await startQdrantDouble() : undefined
const driver = await loadQdrant()
let sinks = 0

async function run(scenario: Scenario) {
  const sink = double === undefined ? undefined : await QdrantSink.begin(double.url, `run${sinks++}-`, driver)
  try {
    return await runScenario(scenario, modules, sink)
  } finally {
    await sink?.close()
  }
}

const startMs = Date.now()
const result = await fc.check(
  fc.asyncProperty(scenarios, async (scenario) => {
    const { wrong } = await run(scenario)
    if (wrong !== null) throw new Error(wrong)
  }),
  { numRuns: Number(runs), seed: Number(seed) },
)
const perSecond = Math.round((1_000 * result.numRuns) / (Date.now() - startMs))
if (!result.failed)
  console.log(`${rule || 'all rules'}: 0 wrong of ${result.numRuns} (seed ${seed}, ${perSecond}/s)`)
else {
  const [scenario] = result.counterexample!
  const { wrong, trace } = await run(scenario)
  console.log(`${rule || 'all rules'}: wrong after ${result.numRuns} runs (seed ${seed}): ${wrong}`)
  console.log(trace.join('\n'))
  const text = JSON.stringify({ rule, wrong, ...scenario })
  if (out === '') console.log(text)
  else writeFileSync(out, `${text}\n`)
  process.exitCode = 1
}
await double?.close()
