/** A record on its way into a topic. */

/** Its bytes go on to a reader as they are: they must not change afterwards. */
export interface NewRecord {
  /** 1 to 249 characters, as Kafka has it. */
  topic: string
  key: Uint8Array | null
  value: Uint8Array | null
  headers?: Readonly<Record<string, string>>
  /** Milliseconds; by default now. A record that is appended again keeps its first one: lateness is judged by it (S4). */
  appendTimeMs?: number
}
