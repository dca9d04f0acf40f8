/** Prints the README's table of measurements from bench/results/*.json; nothing is in the README that this does not print. */

import { readdirSync, readFileSync } from 'node:fs'
import { pathToFileURL } from 'node:url'
import { type BenchResult, keepsTarget, type Ratio } from './result.ts'

const RESULTS = new URL('results/', import.meta.url)

/** Three significant digits, thousands apart: more would claim more than we know. */
function figure(value: number): string {
  if (!Number.isFinite(value)) return String(value)
  const rounded = Number(value.toPrecision(3))
  return Math.abs(rounded) >= 1_000 ? rounded.toLocaleString('en-US') : String(rounded)
}

function targetWords(ratio: Ratio): string {
  const { target } = ratio
  if (target === null) return ''
  const words = 'atLeast' in target ? `at least ${target.atLeast}` : `at most ${target.atMost}`
  return keepsTarget(ratio) ? words : `${words}: **missed**`
}

function under({ conditions, settings }: BenchResult): string {
  const packages = Object.entries(conditions.packages).map(([name, version]) => `${name} ${version}`)
  const sizes = Object.entries(settings).map(([name, value]) => `${name} ${value}`)
  return [
    `commit ${conditions.commit.slice(0, 10)}${conditions.dirty ? ' with changes' : ''}`,
    `Node ${conditions.node}`,
    `${conditions.cpuModel}, ${conditions.cores} cores`,
    `load ${conditions.loadAverage1m}`,
    ...packages,
    ...sizes,
  ].join('; ')
}

/** The whole Markdown text: one table for all benches, ratios first, then each bench's conditions. */
export function table(results: readonly BenchResult[]): string {
  const lines = ['| bench | what | median | spread | target |', '|---|---|---:|---|---|']
  for (const result of results) {
    for (const ratio of result.ratios) {
      const range = `${figure(ratio.min)} to ${figure(ratio.max)}`
      lines.push(
        `| ${result.bench} | ${ratio.name} | ${figure(ratio.median)} | ${range} | ${targetWords(ratio)} |`,
      )
    }
    for (const one of result.measurements) {
      const range = `${figure(one.min)} to ${figure(one.max)}`
      lines.push(`| ${result.bench} | ${one.name} | ${figure(one.median)} ${one.unit} | ${range} | |`)
    }
  }
  lines.push('')
  for (const result of results) lines.push(`- **${result.bench}**: ${result.question} (${under(result)})`)
  return `${lines.join('\n')}\n`
}

/** Every result in bench/results, by name. */
function readResults(directory: URL = RESULTS): BenchResult[] {
  return readdirSync(directory)
    .filter((name) => name.endsWith('.json') && !name.endsWith('.tmp.json'))
    .sort()
    .map((name) => JSON.parse(readFileSync(new URL(name, directory), 'utf8')) as BenchResult)
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) process.stdout.write(table(readResults()))
