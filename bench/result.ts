/** The form of a bench's result: measurements with spread, ratios with their targets, written as JSON. */

import { mkdirSync, writeFileSync } from 'node:fs'
import type { Conditions } from './conditions.ts'

/** Median and spread of repeated samples; the unit is in the measurement's own field. */
export interface Spread {
  median: number
  min: number
  max: number
  repetitions: number
}

export interface Measurement extends Spread {
  /** What was measured, in words that fit a table's cell. */
  name: string
  /** e.g. `events/s`, `ms`, `MiB`. */
  unit: string
}

/** A ratio of interleaved runs, paired repetition by repetition, so that a noisy neighbour touches both sides. */
export interface Ratio extends Spread {
  name: string
  /** What the ratio must be; null: reported only. */
  target: { atLeast: number } | { atMost: number } | null
}

export interface BenchResult {
  /** Name of the file in bench/ and of its result. */
  bench: string
  /** The question that the bench answers, one sentence. */
  question: string
  conditions: Conditions
  /** Sizes and settings: batch sizes, model shape, event counts. */
  settings: Record<string, string | number | boolean | null>
  measurements: Measurement[]
  /** In the result only: more than a table should hold. */
  others?: Measurement[]
  ratios: Ratio[]
}

const RESULTS = new URL('results/', import.meta.url)

/** @throws {RangeError} when there is no sample */
export function spread(samples: readonly number[]): Spread {
  if (samples.length === 0) throw new RangeError('spread of no samples: measure at least once')
  const sorted = [...samples].sort((a, b) => a - b)
  const upper = sorted.length >> 1
  const median = sorted.length % 2 === 1 ? sorted[upper]! : (sorted[upper - 1]! + sorted[upper]!) / 2
  return { median, min: sorted[0]!, max: sorted.at(-1)!, repetitions: sorted.length }
}

export function measurement(name: string, unit: string, samples: readonly number[]): Measurement {
  return { name, unit, ...spread(samples) }
}

/**
 * Pairs the samples by repetition.
 *
 * @param above samples of the numerator, one a repetition
 * @param below samples of the denominator, same length
 */
export function ratio(
  name: string,
  above: readonly number[],
  below: readonly number[],
  target: Ratio['target'],
): Ratio {
  if (above.length !== below.length)
    throw new RangeError(`${name}: ${above.length} samples over ${below.length}`)
  return { name, target, ...spread(above.map((value, i) => value / below[i]!)) }
}

/** Whether the median of a ratio keeps its target; true where there is none. */
export function keepsTarget({ median, target }: Ratio): boolean {
  if (target === null) return true
  return 'atLeast' in target ? median >= target.atLeast : median <= target.atMost
}

/**
 * Runs every variant once a repetition, in turn and in alternating order, after one unmeasured round.
 *
 * @param variants name -> a run that returns its sample (a time or a rate)
 * @returns name -> samples, one a repetition
 */
export async function interleaved<Name extends string>(
  variants: Record<Name, () => number | Promise<number>>,
  repetitions: number,
): Promise<Record<Name, number[]>> {
  const names = Object.keys(variants) as Name[]
  const samples = Object.fromEntries(names.map((name) => [name, [] as number[]])) as Record<Name, number[]>
  for (let repetition = -1; repetition < repetitions; repetition++) {
    for (const name of repetition % 2 === 0 ? names : names.toReversed()) {
      const sample = await variants[name]()
      if (repetition >= 0) samples[name].push(sample)
    }
  }
  return samples
}

/** Writes bench/results/<bench>.json. @returns its path */
export function writeResult(result: BenchResult): string {
  mkdirSync(RESULTS, { recursive: true })
  const file = new URL(`${result.bench}.json`, RESULTS)
  writeFileSync(file, `${JSON.stringify(result, null, 2)}\n`)
  return file.pathname
}
