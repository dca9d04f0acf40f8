/** What the pipeline lets an operator choose; `config/` fills it, and every number has its unit in its name. */

export interface PipelineSettings {
  /** New events of a user that make a refresh due at once. */
  minEvents: number
  /** A refresh is due when a user has been silent for so long. */
  quietMs: number
  /** A refresh is never later than this after the first event that asks for it. */
  maxDelayMs: number
  /** Backbone positions of one micro-batch; it always takes at least one user. */
  batchPositionsMax: number
  batchUsersMax: number
  /** Attempts to embed a user alone before the user is parked. */
  attemptsMax: number
  /** Attempts to send one request, the same bytes under the same version each time (E4). */
  sendAttemptsMax: number
  /** And none of them later than this after the first (V3). */
  repeatMsMax: number
  /** Users with unacknowledged records at which partitions pause. */
  dirtyUsersMax: number
  /** Read but unacknowledged records at which partitions pause. */
  unacknowledgedRecordsMax: number
  /** Bytes of users' states kept in memory; beyond it the least used leave. */
  memoryBytesMax: number
  /** How often offsets are committed. */
  commitIntervalMs: number
  /** How often the control topics are read when nobody says that they changed. */
  controlIntervalMs: number
  /** Nothing is sent when the last accepted commit is older (V3). */
  sessionTimeoutMs: number
  /** Users a sweep looks at in one step; it waits while more than this many are marked and not refreshed yet. */
  sweepUsersMax: number
  /** And in a second: a back-fill gives way to live events. Infinity: as many as the machine can. */
  sweepUsersPerSecondMax: number
  /** Events further ahead of their append time go to the dead letters (S4). */
  maxFutureSkewMs: number
  /** Days; null: no horizon; undefined: the bundle's. */
  horizonDays: number | null | undefined
  /** The day as of which windows are read, days since the Unix epoch; undefined: the clock's. */
  asOfDay: number | undefined
  /** Slots kept are this many times those of the largest bundle (2 where training examples are built). */
  windowFactor: number
  /** What sentences depend on beside the model, the time zone: another one makes every vector stale (E1). */
  renderedAs: string
  /** Slots kept of every modality at least, for a larger model that is to come. */
  windowSlotsMin: number
}

export const DEFAULT_PIPELINE_SETTINGS: PipelineSettings = {
  minEvents: 10,
  quietMs: 2_000,
  maxDelayMs: 30_000,
  batchPositionsMax: 4_096,
  batchUsersMax: 64,
  attemptsMax: 3,
  sendAttemptsMax: 5,
  repeatMsMax: 3_600_000,
  dirtyUsersMax: 100_000,
  unacknowledgedRecordsMax: 2_000_000,
  memoryBytesMax: 512 * 1024 * 1024,
  commitIntervalMs: 500,
  controlIntervalMs: 1_000,
  sessionTimeoutMs: 30_000,
  sweepUsersMax: 256,
  sweepUsersPerSecondMax: Number.POSITIVE_INFINITY,
  maxFutureSkewMs: 300_000,
  horizonDays: undefined,
  asOfDay: undefined,
  windowFactor: 1,
  renderedAs: '',
  windowSlotsMin: 0,
}
