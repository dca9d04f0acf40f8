/** What observability asks of the program when somebody looks: numbers that are there already, nothing that is computed for it. */

/** What was spent since the model was opened, in tokens (encoders) and positions (backbone). */
export interface Spending {
  encoderComputed: number
  encoderCached: number
  backboneComputed: number
  backboneShared: number
  eventsEncoded: number
  eventsCached: number
  backboneRuns: number
  encodeMs: number
  backboneMs: number
}

interface TopicLag {
  topic: string
  partition: number
  /** Records in the source that were not read yet. */
  records: number
}

/** Each is called at a scrape, on the event loop: answer from memory, or from an index. */
export interface Gauges {
  model(): { id: string; provider: string; precision: string; contentHash: string } | null
  /** `waiting`: have something to be embedded. */
  users(): { known: number; waiting: number; parked: number }
  epoch(): number
  lag(): readonly TopicLag[] | Promise<readonly TopicLag[]>
  spending(): Spending | null
  /** Milliseconds since the oldest record that is not acknowledged was appended; null: none waits. */
  oldestPendingMs(): number | null
}
