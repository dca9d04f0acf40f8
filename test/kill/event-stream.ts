/** What users do while workers are killed: searches, features, requests to be forgotten, repetitions and rubbish, seeded. */

import { setTimeout as sleep } from 'node:timers/promises'
import { partitionOf } from '../../src/drivers/kafka/partitioner.ts'
import type { SafeProducer } from '../../src/drivers/kafka/safe-producer.ts'
import { UnavailableError } from '../../src/errors.ts'
import type { UserRecord } from '../../src/events/behavior-event.ts'
import { createRecordEncoder } from '../../src/events/encoder.ts'
import type { UserId } from '../../src/events/ids.ts'
import { DEFAULT_TENANT } from '../../src/events/ids.ts'
import type { SeededRandom } from '../../src/model/seeded-random.ts'

export interface StreamTopics {
  search: string
  tabular: string
  tombstone: string
}

export interface StreamOptions {
  producer: SafeProducer
  topics: StreamTopics
  partitionCount: number
  random: SeededRandom
}

const KINDS = ['search', 'again', 'features', 'no features', 'forget', 'rubbish'] as const
const WEIGHTS = [100, 6, 14, 2, 3, 2]
const BATCH_RECORDS = 4
const PAUSE_MS = 50
/**
 * Users come one after another, do a few things and are seldom seen again: whatever is lost of one of them, no later event
 * makes good.
 */
const RECORDS_PER_USER = 4
const NEW_USERS = 16
const NEW_SHARE = 0.75
/** How far back an event may have happened: they come out of order. */
const BACK_MS_MAX = 3_600_000
/** Repetitions are of the newest: what a producer sends twice. */
const REMEMBERED = 200
const RUBBISH = Buffer.from([0xff, 0xff, 0xff])

interface Sending {
  topic: string
  key: Buffer
  value: Buffer | null
  headers: (readonly [string, Buffer])[]
}

export class EventStream {
  sent = 0
  private readonly options: StreamOptions
  private readonly encoder = createRecordEncoder('avro-raw')
  private readonly lately: Sending[] = []
  private drawn = 0
  private made = 0
  private isPaused = false
  private running: Promise<void> | undefined
  private isOver = false
  private isAbandoned = false

  constructor(options: StreamOptions) {
    this.options = options
  }

  start(): void {
    this.running ??= this.run()
    this.isPaused = false
  }

  /** What is on its way goes on. */
  pause(): void {
    this.isPaused = true
  }

  /** As many records as these at once, durable when it resolves. */
  async burst(records: number): Promise<void> {
    const batch = Array.from({ length: records }, () => this.next())
    await Promise.all(batch.map((one) => this.send(one)))
  }

  /** Resolves when everything that was begun is durable. */
  async stop(): Promise<void> {
    this.isOver = true
    await this.running
  }

  /** Ends without waiting for brokers that may be gone. */
  async abandon(): Promise<void> {
    this.isAbandoned = true
    await this.stop()
  }

  private async run(): Promise<void> {
    while (!this.isOver) {
      if (!this.isPaused) {
        const batch = Array.from({ length: BATCH_RECORDS }, () => this.next())
        await Promise.all(batch.map((one) => this.send(one)))
      }
      await sleep(PAUSE_MS)
    }
  }

  /** Again until it is durable; who reads takes a record that comes twice as one. */
  private async send({ topic, ...record }: Sending): Promise<void> {
    const { producer, partitionCount } = this.options
    for (;;) {
      try {
        await producer.send(topic, partitionOf(record.key, partitionCount), [record])
        this.sent++
        return
      } catch (error) {
        if (!(error instanceof UnavailableError)) throw error
        if (this.isAbandoned) return
        await sleep(error.retryAfterMs)
      }
    }
  }

  private next(): Sending {
    const { random } = this.options
    const user = this.user()
    const kind = KINDS[random.weighted(WEIGHTS)]!
    switch (kind) {
      case 'search':
        return this.search(user)
      case 'again':
        return this.lately.length === 0 ? this.search(user) : random.pick(this.lately)
      case 'features':
      case 'no features':
        return this.sending(this.features(user, kind === 'features'))
      case 'forget':
        return this.sending({ tenant: DEFAULT_TENANT, user, kind: 'tombstone', atMs: Date.now() })
      case 'rubbish':
        return {
          topic: this.options.topics.search,
          key: Buffer.from(user),
          value: RUBBISH,
          headers: [],
        }
    }
  }

  private user(): UserId {
    const { random } = this.options
    const newest = NEW_USERS + Math.floor(this.drawn++ / RECORDS_PER_USER)
    const isNew = random.uniform() < NEW_SHARE
    return `u${random.integer(isNew ? newest - NEW_USERS : 0, newest)}` as UserId
  }

  private search(user: UserId): Sending {
    const number = this.made++
    const sending = this.sending({
      tenant: DEFAULT_TENANT,
      user,
      kind: 'event',
      event: {
        modality: 'search',
        source: 'test',
        eventId: `e${number}` as never,
        eventTimeMs: Date.now() - this.options.random.integer(0, BACK_MS_MAX),
        fields: { query: `trains and hotels ${number}` },
      },
    })
    this.lately.push(sending)
    if (this.lately.length > REMEMBERED) this.lately.shift()
    return sending
  }

  private features(user: UserId, isThere: boolean): UserRecord {
    const { random } = this.options
    const names = ['f1', 'f2', 'f3', 'f4', 'f5', 'f6', 'f7'].filter(() => random.uniform() < 0.8)
    const numeric = Object.fromEntries(names.map((name) => [name, random.integer(-50, 50) / 10]))
    const snapshot = isThere ? { featureSet: 'risk@1', numeric, categorical: {} } : null
    return { tenant: DEFAULT_TENANT, user, kind: 'tabular', asOfMs: Date.now(), snapshot }
  }

  private sending(record: UserRecord): Sending {
    const { topics } = this.options
    const { key, value, headers } = this.encoder.encode(record)
    const topic =
      record.kind === 'tombstone'
        ? topics.tombstone
        : record.kind === 'tabular'
          ? topics.tabular
          : topics.search
    const named = Object.entries(headers).map(([name, text]) => [name, Buffer.from(text)] as const)
    return { topic, key, value, headers: named }
  }
}
