/** What freshet answers, whoever asks: the HTTP server offers it, and the command line uses it, near or over HTTP. */

import type { TenantId, UserId } from '../events/ids.ts'
import type { Group, Instruction, InstructionId, VectorName } from '../instructions/instruction.ts'
import type { ModelId, TokenCounts } from '../model/embedding-model.ts'
import type { SearchFilter } from '../vectors/vector-store.ts'

export interface UserRef {
  tenant: TenantId
  user: UserId
}

/** Every answer says which model gave it, as of which day, and whether it is known to be behind. */
export interface AnswerHead {
  model: ModelId
  /** `YYYY-MM-DD`, UTC. */
  asOf: string
  stale: boolean
}

export interface NearestRequest {
  instruction: InstructionId
  /** 1 to 1,000: of one page. */
  k: number
  filter?: SearchFilter
  scoreThreshold?: number
  /** Compares every vector, whatever index the store has: slower, and none is missed. */
  exact?: boolean
  /** The `next` of the page before: this one is answered from the same model's vectors. Of the rest only `k` may differ. */
  after?: string
  /** Exactly one of: users (their mean direction), a vector (its model must be named), a text. */
  from: { users: UserRef[] } | { vector: number[]; model: ModelId } | { text: string }
}

export interface Neighbour extends UserRef {
  /** Cosine, -1 to 1. */
  score: number
  segment: string | null
  lastEventAtMs: number | null
}

export interface NearestAnswer extends AnswerHead {
  instruction: InstructionId
  vectorName: VectorName
  neighbours: Neighbour[]
  /** What asks for the next page; null: there is none. Behind a page of 1,000 the next may be empty. */
  next: string | null
}

export interface RecallRequest {
  instruction: InstructionId
  /** 1 to 1,000. */
  k: number
  /** Users whose neighbours are looked for both ways; those without a vector are left out. */
  sample: number
}

export interface RecallAnswer extends AnswerHead {
  instruction: InstructionId
  vectorName: VectorName
  k: number
  /** Users whose neighbours were looked for. */
  users: number
  /** The store has no index: its search misses nobody, so there is nothing to compare. */
  alwaysExact: boolean
  /** Share of the k nearest that a search found which need not be exact; null: there was nobody to ask for. */
  recall: { mean: number; p5: number } | null
  /** Milliseconds of a search as readers' searches are; null: as above. */
  searchMs: { p50: number; p95: number } | null
  /** Milliseconds of an exact search. */
  exactMs: { p50: number; p95: number } | null
}

export interface EmbedAnswer extends AnswerHead {
  vectors: number[][]
}

export interface IngestResult {
  /** Records that are durable now. */
  accepted: number
  /** Position in the request, code of the error (docs/errors.md), and what to do. */
  rejected: { index: number; code: string; message: string }[]
}

/** A record as its producer would send it to a broker: bytes in the format of its topic. */
export interface RawRecord {
  topic: string
  /** The user id: what decides the partition. */
  key: string
  value: Uint8Array
}

export interface UserAnswer extends AnswerHead, UserRef {
  instructions: {
    id: InstructionId
    vectorName: VectorName
    inputHash: string
    writtenAtMs: number
    /** Left out unless asked for. */
    vector?: number[]
  }[]
  events: Record<string, number>
  lastEventAtMs: number | null
  tombstoneMs: number | null
  parked: { reason: string; sinceMs: number } | null
}

export interface ExplainAnswer extends AnswerHead, UserRef {
  /** Per modality, oldest first: what the model read. */
  window: Record<string, { eventId: string; source: string; eventTimeMs: number; text: string }[]>
  tabular: Record<string, number> | null
  tombstoneMs: number | null
  parked: { reason: string; sinceMs: number } | null
  /** Positions before the instruction, and with all instruction blocks. */
  positions: number
  targets: {
    target: string
    /** Of the window as it is now; equal to `acknowledgedHash` where the vectors are fresh. */
    currentHash: string
    acknowledgedHash: string | null
    acknowledgedEpoch: number | null
    dueMs: number | null
    stored: { epoch: number; write: number; writtenAtMs: number; stub: boolean; vectorNames: string[] } | null
  }[]
}

export interface ForgetStatus extends UserRef {
  atMs: number
  /** `done`: no collection holds a vector of the user any more. */
  state: 'pending' | 'done'
}

export interface VerifyResult {
  checked: number
  /** Users whose stored vectors differ from a recomputation by more than the tolerance, or are missing. */
  wrong: (UserRef & { instruction: string; cosine: number | null; why: string })[]
}

export interface LetterSummary {
  /** A number in a data directory; topic, partition and offset of the letter in Kafka. */
  id: string
  topic: string
  partition: number
  offset: number
  reason: string
  error: string
  failedAtMs: number
  attempts: number
  sizeBytes: number
}

interface RestoreStatus {
  partition: number
  /** Records of the changelog read so far. */
  records: number
  /** Positions that are to be read yet, at most; null: its turn has not come. */
  left: number | null
}

export interface StatusAnswer {
  version: string
  stage: string
  epoch: number
  /** Those that are ours, in order. */
  partitions: number[]
  /** Those that were assigned and are not ours yet, in order. */
  restoring: RestoreStatus[]
  /** Something outside is down or slow; vectors may be late, nothing is lost. */
  degraded: string[]
  model: { id: ModelId; provider: string; precision: string; dimensions: number; contentHash: string } | null
  asOf: string
  users: { known: number; waiting: number; ready: number; swept: number; parked: number }
  /** `deadLetters`: null where nobody counts them. */
  events: { read: number; perSecond: number; lag: number; late: number; deadLetters: number | null }
  /** Milliseconds from append to acknowledgement over the last minute. */
  freshnessMs: { p50: number | null; p95: number | null; p99: number | null }
  sweep: { underWay: boolean; usersSeen: number; usersMarked: number }
  tokens: TokenCounts | null
  memoryBytes: number
}

export interface NewInstruction {
  id: InstructionId
  text: string | null
  lang?: string
  group?: string
  status?: 'shadow' | 'active'
  maxStalenessMs?: number
  owner?: string
}

/** @throws {RequestError} in every method, when the caller must act; {UnavailableError} when nobody must yet */
export interface FreshetService {
  ingest(records: readonly unknown[]): Promise<IngestResult>
  /** One record in its topic's own bytes; decoded before it is taken, so that what can't be read is refused here. */
  ingestRaw(record: RawRecord): Promise<IngestResult>
  nearest(request: NearestRequest): Promise<NearestAnswer>
  /** Compares the store's own search with the exact one, over a sample of users. */
  recall(request: RecallRequest): Promise<RecallAnswer>
  embedTexts(texts: readonly string[]): Promise<EmbedAnswer>
  user(ref: UserRef, options?: { vectors?: boolean }): Promise<UserAnswer>
  explain(ref: UserRef): Promise<ExplainAnswer>
  verify(options: { users?: UserRef[]; sample?: number }): Promise<VerifyResult>
  forget(ref: UserRef): Promise<ForgetStatus>
  forgetStatus(ref: UserRef): Promise<ForgetStatus>
  instructions(): Promise<{
    instructions: Instruction[]
    groups: Group[]
    backfill: { underWay: boolean; waiting: number }
  }>
  addInstruction(instruction: NewInstruction): Promise<Instruction>
  retireInstruction(id: InstructionId): Promise<Instruction>
  setGroup(group: Group): Promise<Group>
  parked(options: { limit: number }): Promise<(UserRef & { reason: string; sinceMs: number })[]>
  /** No user named: all that are parked. @returns how many are tried again */
  retryParked(refs?: readonly UserRef[]): Promise<number>
  deadLetters(options: { limit: number; after?: string; reason?: string }): Promise<LetterSummary[]>
  deadLetter(
    id: string,
  ): Promise<
    LetterSummary & { key: string | null; valueBase64: string | null; headers: Record<string, string> }
  >
  /** Puts raw bytes back on their topic. @returns how many */
  retryDeadLetters(options: { ids?: readonly string[]; reason?: string }): Promise<number>
  /** Removes them for good; without ids and reason all of them. @returns how many */
  purgeDeadLetters(options: { ids?: readonly string[]; reason?: string }): Promise<number>
  status(): Promise<StatusAnswer>
  /** Ready: partitions owned, model loaded, vectors reachable. */
  ready(): Promise<{ ready: boolean; why: string | null }>
}
