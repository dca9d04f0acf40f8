/** What the tests of our Kafka driver share: impatient settings, a producer that stays connected, somebody who listens. */

import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Message, Partitioners, type Producer } from 'kafkajs'
import { KafkaEventSource } from '../../src/drivers/kafka/kafka-event-source.ts'
import type { KafkaSettings } from '../../src/drivers/kafka/kafka-settings.ts'
import type { SourceRecord } from '../../src/events/source-record.ts'
import { systemClock } from '../../src/pipeline/clock.ts'
import type { Assignment, SourceListener } from '../../src/pipeline/event-source.ts'
import { client } from './kafkajs-records.ts'

/** Time-outs of seconds where a service has minutes: a test that waits for one must not take long. */
export function kafkaSettings(
  bootstrap: string,
  groupId: string,
  over: Partial<KafkaSettings> = {},
): KafkaSettings {
  return {
    brokers: bootstrap.split(','),
    clientId: 'freshet-tests',
    groupId,
    topicPrefix: `${groupId}.`,
    tls: null,
    sasl: null,
    sessionTimeoutMs: 6_000,
    heartbeatIntervalMs: 200,
    rebalanceTimeoutMs: 6_000,
    fetchWaitMs: 100,
    fetchBytesMax: 8 * 1024 * 1024,
    fetchPartitionBytesMax: 512 * 1024,
    offsetOutOfRange: 'earliest',
    connectTimeoutMs: 1_000,
    requestTimeoutMs: 15_000,
    startTimeoutMs: 20_000,
    metadataAgeMs: 60_000,
    stuckAfterMs: 30_000,
    stopTimeoutMs: 5_000,
    ...over,
  }
}

/** Appends in the order of the calls; each partition in requests of its own. */
export class Appender {
  private readonly producer: Producer
  private connecting: Promise<void> | undefined

  constructor(bootstrap: string) {
    this.producer = client(bootstrap).producer({
      idempotent: true,
      maxInFlightRequests: 1,
      createPartitioner: Partitioners.DefaultPartitioner,
    })
  }

  async append(topic: string, messages: readonly Message[]): Promise<void> {
    this.connecting ??= this.producer.connect()
    await this.connecting
    for (const group of Map.groupBy(messages, ({ partition }) => partition).values())
      await this.producer.send({ topic, messages: group, acks: -1 })
  }

  async close(): Promise<void> {
    await this.producer.disconnect()
  }
}

/** Keeps what a source says, and takes partitions over as a worker would that starts from the beginning. */
export class Collector implements SourceListener {
  readonly assignments: Assignment[] = []
  readonly received: SourceRecord[] = []
  revocations = 0
  failure: unknown
  source: KafkaEventSource | undefined
  /** What is done with an assignment; by default all that is new is read from its beginning. */
  onAssigned: (assignment: Assignment, fresh: number[]) => void = (_, fresh) => {
    for (const partition of fresh) this.source?.seek(partition, new Map())
  }
  onRecords: (batch: readonly SourceRecord[]) => void = () => {}
  private held: readonly number[] = []

  assigned(assignment: Assignment): void {
    const isNext = assignment.generation === (this.assignments.at(-1)?.generation ?? 0) + 1
    const fresh = assignment.partitions.filter((partition) => !isNext || !this.held.includes(partition))
    this.assignments.push(assignment)
    this.held = assignment.partitions
    this.onAssigned(assignment, fresh)
  }

  revoked(): void {
    this.revocations++
  }

  records(batch: readonly SourceRecord[]): void {
    this.received.push(...batch)
    this.onRecords(batch)
  }

  get partitions(): readonly number[] {
    return this.held
  }

  values(topic: string, partition?: number): string[] {
    return this.received
      .filter(
        (record) => record.topic === topic && (partition === undefined || record.partition === partition),
      )
      .map((record) => Buffer.from(record.value!).toString())
  }
}

/** Opens a source, and starts it with a collector; it is closed when the test ends, if it wasn't before. */
export async function startedSource(
  t: TestContext,
  settings: KafkaSettings,
  topics: readonly string[],
): Promise<{ source: KafkaEventSource; collector: Collector }> {
  const source = await KafkaEventSource.open(settings, topics, systemClock)
  const collector = new Collector()
  t.after(() => source.close())
  collector.source = source
  source.failed = (error) => {
    collector.failure = error
  }
  await source.start(collector)
  return { source, collector }
}

/** Far above what it takes on a busy machine: who waits in vain fails a minute later, who is only slow does not. */
const PATIENCE_MS = 60_000

/** Waits for what others bring about; says what when it doesn't come. */
export async function until(
  what: string,
  isSo: () => boolean | Promise<boolean>,
  timeoutMs = PATIENCE_MS,
): Promise<void> {
  const startMs = performance.now()
  while (!(await isSo())) {
    assert.ok(performance.now() - startMs < timeoutMs, `not within ${timeoutMs} ms: ${what}`)
    await sleep(10)
  }
}
