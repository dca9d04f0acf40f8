/** The moments at which a worker process is killed: where a crash could lose something, were the order of its steps wrong. */

/** Between two steps of a worker that runs; each stands for what was done last, or for what is under way. */
export const RUNNING_MOMENTS = [
  /** A micro-batch is in the model's threads. */
  'encode',
  /** All rows of a write lie in an open transaction (SQLite), or the request is on its way (Qdrant). */
  'upsert',
  /** Vectors are durable; no state says so. */
  'upserted',
  /** States are on their way to the changelog. */
  'changelog',
  /** States are durable; no checkpoint says so. */
  'flushed',
  /** The checkpoint is durable; the group's offsets are older. */
  'checkpointed',
  /** The offsets are on their way to the group's coordinator. */
  'commit',
  /** A dead letter is durable; its record is not acknowledged. */
  'letter',
] as const

/** On the way to owning partitions; what is said when the process is started. */
export const STARTING_MOMENTS = [
  /** A part of a changelog is copied, the rest is not. */
  'restore',
  /** A claim is appended, and the check of ownership is not made. */
  'claim',
] as const

/** By those who watch: they need no help from within. */
const OUTER_MOMENTS = [
  /** No kill: from then on embedding never ends. */
  'hang',
  /** Nothing is under way. */
  'idle',
  /** It has just heard that the group moves on, because of another who joins. */
  'rebalance',
  /** Whenever it comes. */
  'any',
  /** Two workers in the same millisecond. */
  'two-at-once',
] as const

export type Moment =
  | (typeof RUNNING_MOMENTS)[number]
  | (typeof STARTING_MOMENTS)[number]
  | (typeof OUTER_MOMENTS)[number]

/** What a worker process is told: to kill itself at the n-th such moment from now. */
export interface Fault {
  moment: Moment
  /** 1: the first. */
  nth: number
  /** Where something is under way: so long after it began, milliseconds. */
  afterMs: number
}

/** Where a process finds the fault that it begins with. */
export const FAULT_VARIABLE = 'FRESHET_TEST_FAULT'
