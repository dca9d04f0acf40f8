/** The moments at which a worker process is killed: where a crash could lose something, were the order of its steps wrong. */

/** Between two steps of a worker that runs: what was done last, or what is under way. */
export const RUNNING_MOMENTS = {
  encode: 'a micro-batch is in the threads of the model',
  upsert: 'a write is under way: its rows lie in an open transaction, or its request is on its way',
  upserted: 'vectors are durable, and no state says so',
  changelog: 'states are on their way to the changelog',
  flushed: 'states are durable, and no checkpoint says so',
  checkpointed: "a checkpoint is durable, and the group's offsets are older",
  commit: "offsets are on their way to the group's coordinator",
  letter: 'a dead letter is durable, and its record is not acknowledged',
} as const

/** On the way to owning partitions: a worker is told when it is started. */
export const STARTING_MOMENTS = {
  restore: 'a part of a changelog is copied',
  claim: 'a claim is appended, and the check of ownership is not made',
} as const

/** Chosen by those who watch. */
export const OUTER_MOMENTS = {
  idle: 'nothing is under way',
  rebalance: 'it has just heard that the group moves on, because of another who joins',
  any: 'whenever it comes',
  'two-at-once': 'two workers together',
  broker: 'the broker under all of them',
} as const

export const MOMENTS = { ...RUNNING_MOMENTS, ...STARTING_MOMENTS, ...OUTER_MOMENTS } as const

export type Moment = keyof typeof MOMENTS

/** What a worker process is told: to kill itself at the n-th such moment from now. */
export interface Fault {
  /** `hang` kills nobody: embedding never ends from then on. */
  moment: Moment | 'hang'
  /** 1: the first. */
  nth: number
  /** Where something is under way: so long after it began, milliseconds. */
  afterMs: number
}

/** Where a process finds the fault that it begins with. */
export const FAULT_VARIABLE = 'FRESHET_TEST_FAULT'

/** Programs with a rule taken out, to see that the tests see it. */
export const MUTANTS = [
  /** O3: what was read is committed, acknowledged or not. */
  'commits-what-was-read',
  /** O3: states stay on the local disk. */
  'keeps-states-to-itself',
  /** O7: nobody looks at everybody after a take-over or a change. */
  'sweeps-nobody',
  /** Records that can't be read are passed over. */
  'writes-no-letters',
] as const

export type Mutant = (typeof MUTANTS)[number]

/** Where a process finds which of them it is. */
export const MUTANT_VARIABLE = 'FRESHET_TEST_MUTANT'
