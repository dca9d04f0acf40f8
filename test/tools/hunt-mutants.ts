/** Finds a scenario that tells each mutant from the code, and keeps it: `node test/tools/hunt-mutants.ts RUNS [RULE…]`. */

import { existsSync, writeFileSync } from 'node:fs'
import fc from 'fast-check'
import { MUTANTS } from '../pipeline/consistency/mutants.ts'
import { loadPipeline } from '../pipeline/consistency/pipeline-modules.ts'
import { runScenario } from '../pipeline/consistency/scenario.ts'
import { named, scenarios } from '../pipeline/consistency/steps.ts'

const [runs = '2000', ...rules] = process.argv.slice(2)
const clean = await loadPipeline()
for (const mutant of MUTANTS) {
  const file = new URL(`../pipeline/consistency/traces/${mutant.rule}.json`, import.meta.url)
  if (rules.length > 0 ? !rules.includes(mutant.rule) : existsSync(file)) continue
  const modules = await loadPipeline(mutant)
  // The shrunk scenario must be right with the rule in place, or it would show another fault.
  const property = fc.asyncProperty(scenarios, async (scenario) => {
    const { wrong } = await runScenario(scenario, modules)
    if (wrong !== null && (await runScenario(scenario, clean)).wrong === null) throw new Error(wrong)
  })
  const result = await fc.check(property, { numRuns: Number(runs), endOnFailure: false })
  if (!result.failed) {
    console.log(`${mutant.rule}: survived ${result.numRuns} runs`)
    continue
  }
  const [scenario] = result.counterexample!
  const { wrong } = await runScenario(scenario, modules)
  console.log(
    `${mutant.rule}: run ${result.numRuns}, ${scenario.steps.length} steps: ${wrong?.split('\n')[0]}`,
  )
  writeFileSync(
    file,
    `${JSON.stringify({ rule: mutant.rule, wrong: wrong?.split('\n')[0], scenario: named(scenario) })}\n`,
  )
}
