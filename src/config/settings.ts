/** The settings of freshet: one strict schema with every default; configs/default.yaml says why each is what it is. */

import { z } from 'zod'

const MIB = 1024 * 1024
const DAY_MS = 86_400_000

/** Of a Confluent registry: a number, or a GUID. */
const SCHEMA_ID = /^(\d{1,10}|[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})$/

const count = () => z.int().min(1)
const durationMs = () => z.int().min(0)
const sizeBytes = () => z.int().min(1)

/** A part of the tree: whoever leaves it out gets its defaults. */
function section<Shape extends z.ZodRawShape>(shape: Shape) {
  return z.strictObject(shape).prefault({} as never)
}

const scalar = z.union([z.string(), z.number(), z.boolean()])

/** Where one of our fields comes from in a record of another shape; docs/events.md explains each key. */
const fieldRule = z.union([
  z.string().min(1),
  z.strictObject({
    path: z.string().min(1).optional(),
    constant: scalar.optional(),
    hash: z.array(z.string().min(1)).min(1).optional(),
    unit: z.enum(['ms', 's', 'us', 'iso']).optional(),
    scale: z.number().positive().optional(),
    values: z.record(z.string(), scalar).optional(),
    default: scalar.optional(),
  }),
])

const topic = z.strictObject({
  topic: z.string().min(1).max(249),
  holds: z.enum(['paybill', 'miniprogram', 'spm', 'app', 'search', 'tabular', 'userqa', 'tombstone']),
  format: z.enum(['avro-confluent', 'avro-single-object', 'avro-raw', 'json']).default('avro-single-object'),
  schema: z.string().min(1).nullable().default(null),
  fields: z.record(z.string(), fieldRule).nullable().default(null),
  partitioner: z.enum(['murmur2', 'other']).default('murmur2'),
})

const DEFAULT_TOPICS: z.input<typeof topic>[] = [
  { topic: 'behavior.paybill', holds: 'paybill' },
  { topic: 'behavior.miniprogram', holds: 'miniprogram' },
  { topic: 'behavior.spm', holds: 'spm' },
  { topic: 'behavior.app', holds: 'app' },
  { topic: 'behavior.search', holds: 'search' },
  { topic: 'user.tabular', holds: 'tabular' },
  { topic: 'userqa', holds: 'userqa' },
  { topic: 'freshet.tombstones', holds: 'tombstone' },
]

/** `QdrantSettings` of the driver, which this folder may not import; a test compares the two. */
const qdrant = section({
  url: z.string().min(1).default('http://127.0.0.1:6333'),
  grpcUrl: z.string().min(1).nullable().default(null),
  apiKey: z.string().min(1).nullable().default(null),
  prefix: z
    .string()
    .regex(/^[a-z0-9-]{0,40}$/, 'expected at most 40 of a-z, 0-9 and -')
    .default(''),
  timeoutMs: z.int().min(100).default(30_000),
  connectionsMax: z.int().min(1).max(256).default(8),
  requestPointsMax: z.int().min(1).max(4_096).default(64),
  requestBytesMax: sizeBytes()
    .min(64 * 1024)
    .default(16 * MIB),
  writeOrdering: z.enum(['weak', 'medium', 'strong']).default('weak'),
  readConsistency: z
    .union([z.literal(['majority', 'quorum', 'all']), z.int().min(1).max(64)])
    .nullable()
    .default(null),
  searchEf: z.int().min(4).max(10_000).nullable().default(null),
  collection: section({
    shards: z.int().min(1).max(1_024).default(1),
    replicas: z.int().min(1).max(64).default(1),
    writeConsistency: z.int().min(1).max(64).default(1),
    datatype: z.enum(['float32', 'float16']).default('float32'),
    onDisk: z.boolean().default(false),
    payloadOnDisk: z.boolean().default(true),
    hnsw: section({
      m: z.int().min(0).max(128).default(16),
      efConstruct: z.int().min(4).max(2_048).default(100),
      onDisk: z.boolean().default(false),
    }),
    quantization: z.enum(['none', 'int8', 'turbo4']).default('none'),
    indexingThresholdKb: z.int().min(0).default(10_000),
    deletedThreshold: z.number().min(0.01).max(1).default(0.2),
    segmentKbMax: count().nullable().default(null),
    segments: z.int().min(1).max(1_024).nullable().default(null),
    strictMode: z.boolean().default(false),
  }),
})

/** `KafkaSettings` of the driver, which this folder may not import; `cli/` turns the paths into what they hold. */
const kafka = section({
  brokers: z.array(z.string().min(1)).min(1).nullable().default(null),
  clientId: z.string().min(1).max(200).default('freshet'),
  groupId: z.string().min(1).max(200).default('freshet'),
  topicPrefix: z
    .string()
    .regex(/^[a-zA-Z0-9._-]{0,100}$/, 'expected at most 100 of a-z, A-Z, 0-9, ., _ and -')
    .default(''),
  tls: section({
    enabled: z.boolean().default(false),
    caFile: z.string().min(1).nullable().default(null),
    certFile: z.string().min(1).nullable().default(null),
    keyFile: z.string().min(1).nullable().default(null),
    servername: z.string().min(1).nullable().default(null),
    rejectUnauthorized: z.boolean().default(true),
  }),
  sasl: section({
    mechanism: z.enum(['plain', 'scram-sha-256', 'scram-sha-512', 'oauthbearer']).nullable().default(null),
    username: z.string().min(1).nullable().default(null),
    password: z.string().min(1).nullable().default(null),
    tokenModule: z.string().min(1).nullable().default(null),
  }),
  sessionTimeoutMs: z.int().min(1_000).default(30_000),
  heartbeatIntervalMs: z.int().min(100).default(3_000),
  rebalanceTimeoutMs: z.int().min(1_000).default(60_000),
  fetchWaitMs: z.int().min(1).default(500),
  fetchBytesMax: sizeBytes().default(32 * MIB),
  fetchPartitionBytesMax: sizeBytes().default(2 * MIB),
  offsetOutOfRange: z.enum(['earliest', 'latest', 'fail']).default('fail'),
  connectTimeoutMs: z.int().min(100).default(10_000),
  requestTimeoutMs: z.int().min(100).default(30_000),
  startTimeoutMs: z.int().min(100).default(60_000),
  metadataAgeMs: z.int().min(1_000).default(60_000),
  stuckAfterMs: z.int().min(1_000).default(120_000),
  stopTimeoutMs: z.int().min(100).default(10_000),
  updates: z.boolean().default(false),
  newTopics: section({
    partitions: z.int().min(1).max(10_000).default(12),
    replicas: z.int().min(1).max(32).nullable().default(null),
    retentionDays: z.number().positive().max(36_500).default(100),
  }),
})

export const settingsSchema = z.strictObject({
  dataDir: z.string().min(1).default('.freshet'),
  server: section({
    host: z.string().min(1).default('127.0.0.1'),
    port: z.int().min(0).max(65_535).default(7710),
    url: z.string().min(1).nullable().default(null),
    adminSecret: z.string().min(16).nullable().default(null),
    bodyBytesMax: sizeBytes().default(8 * MIB),
    requestsPerMinuteMax: count().default(6_000),
  }),
  log: section({
    level: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']).default('info'),
    userIds: z.enum(['hashed', 'plain']).default('hashed'),
    pretty: z.union([z.literal('auto'), z.boolean()]).default('auto'),
  }),
  model: section({
    bundle: z.string().min(1).nullable().default(null),
    provider: z.enum(['cpu', 'webgpu', 'cuda']).default('cpu'),
    precision: z.enum(['fp32', 'fp16']).default('fp32'),
    threads: z.union([z.literal('auto'), z.int().min(1).max(256)]).default('auto'),
    batchTokensMax: count().default(1_024),
    positionsMax: count().default(4_096),
    eventCacheBytesMax: z
      .int()
      .min(0)
      .default(1_024 * MIB),
    timezone: z.string().min(1).default('UTC'),
  }),
  windows: section({
    horizonDays: z
      .union([z.literal(['kept', 'bundle', 'none']), z.number().positive().max(36_500)])
      .default('kept'),
    maxFutureSkewMs: durationMs().default(300_000),
    memoryBytesMax: sizeBytes().default(512 * MIB),
    userBytesMax: sizeBytes().default(512 * 1024),
  }),
  refresh: section({
    minEvents: count().default(10),
    quietMs: durationMs().default(2_000),
    maxDelayMs: durationMs().default(30_000),
    batchPositionsMax: count().default(4_096),
    batchUsersMax: count().default(64),
    attemptsMax: count().default(3),
    sendAttemptsMax: count().default(5),
    dirtyUsersMax: count().default(100_000),
    unacknowledgedRecordsMax: count().default(2_000_000),
    commitIntervalMs: z.int().min(10).default(500),
    sweepUsersPerSecondMax: count().default(2_000),
  }),
  events: section({
    driver: z.enum(['sqlite', 'kafka']).default('sqlite'),
    kafka,
    valueBytesMax: sizeBytes().default(MIB),
    topics: z.array(topic).min(1).prefault(DEFAULT_TOPICS),
    schemas: section({
      directory: z.string().min(1).nullable().default(null),
      ids: z.record(z.string().regex(SCHEMA_ID), z.string().min(1)).default({}),
    }),
    registry: section({
      urls: z.array(z.string().min(1)).min(1).nullable().default(null),
      username: z.string().min(1).nullable().default(null),
      password: z.string().min(1).nullable().default(null),
      timeoutMs: z.int().min(100).default(5_000),
      cacheSize: count().default(1_000),
    }),
    log: section({
      retentionBytesMax: sizeBytes().default(20 * 1024 * MIB),
      retentionDays: z.number().positive().max(36_500).default(100),
    }),
  }),
  vectors: section({
    driver: z.enum(['sqlite', 'qdrant']).default('sqlite'),
    sqliteFile: z.string().min(1).nullable().default(null),
    qdrant,
  }),
  instructions: section({
    directory: z.string().min(1).nullable().default(null),
    retireAfterMs: durationMs().default(7 * DAY_MS),
  }),
})

/** What is set, complete and checked; every number has its unit in its name. */
export type Settings = z.output<typeof settingsSchema>

/** Settings whose value is a secret: masked when printed, and readable from a file named by `<ENV NAME>_FILE`. */
export const SECRET_PATHS: ReadonlySet<string> = new Set([
  'server.adminSecret',
  'events.kafka.sasl.password',
  'events.registry.password',
  'vectors.qdrant.apiKey',
])

export interface Leaf {
  /** Dotted, as in the file: `refresh.quietMs`. */
  path: string
  schema: z.ZodType
}

/** Every setting that has a value of its own, in the order of the schema; lists and maps are one setting. */
export const LEAVES: readonly Leaf[] = leavesOf(settingsSchema, [])

function leavesOf(schema: z.ZodType, path: string[]): Leaf[] {
  const inner = schema instanceof z.ZodPrefault ? (schema.def.innerType as z.ZodType) : schema
  if (!(inner instanceof z.ZodObject)) return [{ path: path.join('.'), schema }]
  return Object.entries(inner.shape).flatMap(([name, child]) => leavesOf(child as z.ZodType, [...path, name]))
}
