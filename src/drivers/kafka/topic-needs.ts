/** The topics that freshet needs: how many partitions each has, and with which settings it is made. */

export interface SourceTopic {
  topic: string
  /** Events each count; of `latest` only the last record of a key does; tombstones count for ever. */
  holds: 'events' | 'latest' | 'tombstones'
  /** Through which topic it is read; null: its producers choose partitions as we do. */
  repartition: string | null
}

export interface TopicNeeds {
  sources: readonly SourceTopic[]
  /** Topics of one sequence: instructions and models. */
  control: readonly string[]
  state: string
  updates: string | null
  /** Of one record's value in a source topic. */
  valueBytesMax: number
  /** Of one user's state. */
  userBytesMax: number
  /** What topics that are missing are given. */
  newTopics: { partitions: number; replicas: number | null; retentionDays: number }
}

export interface FoundTopic {
  partitionCount: number
  /** As they are in force, defaults included. */
  configs: ReadonlyMap<string, string>
  /** Whether nothing was ever appended. */
  isEmpty: boolean
}

export type FoundTopics = ReadonlyMap<string, FoundTopic>

interface Wanted {
  topic: string
  partitionCount: number
  /** What it is made with. */
  configs: Readonly<Record<string, string>>
}

export type WantedTopic = Wanted &
  (
    | { use: 'source'; source: SourceTopic }
    | { use: 'repartition'; source: SourceTopic; messageBytesMin: number }
    | { use: 'dead-letters'; messageBytesMin: number }
    | { use: 'state'; messageBytesMin: number }
    | { use: 'control' | 'updates' }
  )

export const POLICY = 'cleanup.policy'
export const RETENTION_MS = 'retention.ms'
export const RETENTION_BYTES = 'retention.bytes'
export const MESSAGE_BYTES = 'max.message.bytes'
export const TIMESTAMP_TYPE = 'message.timestamp.type'

export const FOR_EVER = '-1'
export const APPEND_TIME = 'LogAppendTime'
export const CREATE_TIME = 'CreateTime'

/** Around a value: its key, headers that say where it came from, and the batch. */
const ENVELOPE_BYTES = 64 * 1024

/** Kafka's own `max.message.bytes`: nothing is gained by less, and batches of several records fit. */
const MESSAGE_BYTES_DEFAULT = 1_048_588

const DAY_MS = 86_400_000

/** In the order in which they are named to people. */
export function wantedTopics(needs: TopicNeeds, found: FoundTopics): WantedTopic[] {
  const { sources, control, state, updates, userBytesMax, newTopics } = needs
  const common = commonPartitionCount(needs, found)
  const retention = { [RETENTION_MS]: String(Math.round(newTopics.retentionDays * DAY_MS)) }
  const deleted = { [POLICY]: 'delete', ...retention }
  const stateBytes = userBytesMax + ENVELOPE_BYTES
  const wanted = sources.flatMap((source) => sourceTopics(source, needs, found, common, deleted))
  for (const topic of control)
    wanted.push({
      topic,
      use: 'control',
      partitionCount: 1,
      configs: { [POLICY]: 'delete', [RETENTION_MS]: FOR_EVER, [RETENTION_BYTES]: FOR_EVER },
    })
  wanted.push({
    topic: state,
    use: 'state',
    partitionCount: common,
    messageBytesMin: stateBytes,
    configs: {
      [POLICY]: 'compact',
      [MESSAGE_BYTES]: String(Math.max(stateBytes, MESSAGE_BYTES_DEFAULT)),
    },
  })
  if (updates !== null)
    wanted.push({ topic: updates, use: 'updates', partitionCount: common, configs: deleted })
  return wanted
}

/** A source and its dead letters; where it is copied, the copy and those of the copy: each bears its topic's name. */
function sourceTopics(
  source: SourceTopic,
  { valueBytesMax }: TopicNeeds,
  found: FoundTopics,
  common: number,
  deleted: Readonly<Record<string, string>>,
): WantedTopic[] {
  const { topic, holds, repartition } = source
  const cleanup = holds === 'events' ? deleted : { [POLICY]: 'compact' }
  const countOf = (name: string) => found.get(name)?.partitionCount
  const bytesOf = (name: string, made: number) => Number(found.get(name)?.configs.get(MESSAGE_BYTES) ?? made)
  const letters = (of: string, partitionCount: number, bytes: number): WantedTopic => {
    const messageBytesMin = bytes + ENVELOPE_BYTES
    const configs = { ...deleted, [MESSAGE_BYTES]: String(messageBytesMin) }
    return { topic: `${of}.dlq`, use: 'dead-letters', partitionCount, messageBytesMin, configs }
  }
  const made = Math.max(valueBytesMax + ENVELOPE_BYTES, MESSAGE_BYTES_DEFAULT)
  const configs = { ...cleanup, [MESSAGE_BYTES]: String(made), [TIMESTAMP_TYPE]: APPEND_TIME }
  // A topic of which a copy is read may have any count.
  const partitionCount = repartition === null ? common : (countOf(topic) ?? common)
  const bytes = bytesOf(topic, made)
  const wanted = [
    { topic, use: 'source' as const, source, partitionCount, configs },
    letters(topic, countOf(topic) ?? partitionCount, bytes),
  ]
  if (repartition === null) return wanted
  const messageBytesMin = bytes + ENVELOPE_BYTES
  const copied = {
    ...cleanup,
    [MESSAGE_BYTES]: String(messageBytesMin),
    // Records keep the append time that they have in the source.
    [TIMESTAMP_TYPE]: CREATE_TIME,
  }
  const copy = { topic: repartition, partitionCount: common, messageBytesMin, configs: copied }
  const copyBytes = Math.max(bytesOf(repartition, messageBytesMin), messageBytesMin)
  return [...wanted, { ...copy, use: 'repartition', source }, letters(repartition, common, copyBytes)]
}

/**
 * Of all topics that are read by the partition of a user: as most of the sources have it; without a source, as what is
 * made of them does; where nothing is, as new topics are given it.
 */
function commonPartitionCount({ sources, state, newTopics }: TopicNeeds, found: FoundTopics): number {
  const read = sources.filter(({ repartition }) => repartition === null).map(({ topic }) => topic)
  const copies = sources.flatMap(({ repartition }) => (repartition === null ? [] : [repartition]))
  for (const topics of [read, [...copies, state]]) {
    const counts = topics.flatMap((topic) => found.get(topic)?.partitionCount ?? [])
    const groups = [...Map.groupBy(counts, (count) => count).values()]
    const [most] = groups.toSorted((a, b) => b.length - a.length)
    if (most !== undefined) return most[0]!
  }
  return newTopics.partitions
}
