/** Which steps a scenario of the consistency model draws, and how often. */

import fc from 'fast-check'

/** A step is a number; what it means depends on the world as it is then, so any list of steps can be run. */
export interface Scenario {
  seed: number
  /** Users in a micro-batch. */
  batch: number
  /** Only one user has events: rare hazards need many of one user. */
  oneUser: boolean
  /** Hazards left out, as bits: parking, tabular, tombstones. */
  without: number
  /** Which kinds of step are drawn, and how often: TABLES. */
  table: number
  steps: readonly (readonly [kind: number | string, a: number, b: number])[]
}

const SETTLE = 'settle'

/** Anything at any time. */
const FREE = weighted({
  event: 10,
  tabular: 2,
  forget: 2,
  repeat: 2,
  instruction: 2,
  model: 4,
  snapshot: 1,
  rebalance: 3,
  crash: 2,
  join: 8,
  compact: 1,
  purge: 2,
  reset: 1,
  skew: 1,
  time: 4,
  day: 1,
  poll: 16,
  control: 4,
  sweep: 5,
  refresh: 20,
  'land-append': 14,
  'land-request': 14,
  wake: 18,
  expire: 3,
  commit: 5,
  alias: 1,
  [SETTLE]: 5,
})

/** Settle, then a short hazard: what rare faults need, and what draws at random seldom line up. */
const hazard = (focus: Record<string, number>) =>
  weighted({
    event: 4,
    poll: 3,
    go: 9,
    expire: 4,
    'land-request': 6,
    'land-append': 3,
    wake: 3,
    crash: 2,
    rebalance: 3,
    join: 3,
    time: 2,
    [SETTLE]: 6,
    macro: 5,
    ...focus,
  })

const TABLES: readonly (readonly string[])[] = [
  FREE,
  hazard({ instruction: 10 }),
  hazard({ model: 10, forget: 2, day: 1, purge: 2 }),
  hazard({ snapshot: 8, instruction: 2 }),
  hazard({ tabular: 6, forget: 3, repeat: 3, compact: 3, reset: 2, purge: 2, day: 2, skew: 1 }),
]

function weighted(weights: Record<string, number>): readonly string[] {
  return Object.entries(weights).flatMap(([kind, weight]) => Array<string>(weight).fill(kind))
}

const step = fc.tuple(fc.nat(1_000), fc.nat(63), fc.nat(63))

function scenarioOf(table: fc.Arbitrary<number>, maxLength: number): fc.Arbitrary<Scenario> {
  return fc.record({
    seed: fc.nat(1_000_000),
    batch: fc.integer({ min: 1, max: 3 }),
    oneUser: fc.boolean(),
    without: fc.nat(7),
    table,
    steps: fc.array(step, { maxLength, size: 'max' }),
  })
}

export function kindOf(table: number, kind: number | string): string {
  return typeof kind === 'string' ? kind : TABLES[table]![kind % TABLES[table]!.length]!
}

/** The same scenario by the names of its steps: it means the same when the tables change, so it can be kept. */
export function named(scenario: Scenario): Scenario {
  const steps = scenario.steps.map(([kind, a, b]) => [kindOf(scenario.table, kind), a, b] as const)
  return { ...scenario, steps }
}

export const scenarios: fc.Arbitrary<Scenario> = fc.oneof(
  scenarioOf(fc.constant(0), 140),
  scenarioOf(fc.integer({ min: 1, max: TABLES.length - 1 }), 36),
)
