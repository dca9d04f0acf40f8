/** The way to one partition: what is sent goes in order, one batch at a time, under numbers that tell it from its repetition (O10). */

import { ConfigError, RecordError, UnavailableError } from '../../errors.ts'
import type { Compression } from './codecs.ts'
import type { KafkaCluster } from './kafka-cluster.ts'
import { CODE, codeName, refusal } from './kafka-errors.ts'
import { produceRequest } from './produce.ts'
import { type RecordToWrite, recordBytes, writeBatch } from './record-batch-writer.ts'
import { Backoff } from './retry.ts'

export interface ProducerId {
  producerId: number
  producerEpoch: number
}

export interface LaneParts {
  cluster: KafkaCluster
  /** Aborts when the producer is closed. */
  signal: AbortSignal
  leader(): Promise<number>
  /** It may have moved. */
  forgetLeader(): void
  producerId(): Promise<ProducerId>
}

/** One call, and how many of its records aren't durable yet. */
interface Sending {
  remaining: number
  /** -1: not known, or others lie between its records. */
  firstOffset: number
  /** Of its next record, if all lie in a row; NaN: none has landed yet. */
  nextOffset: number
  deadlineMs: number
  resolve(firstOffset: number): void
  reject(error: unknown): void
}

interface Waiting {
  record: RecordToWrite
  compression: Compression
  sending: Sending
}

/** What goes in one request. It keeps its number until its outcome is known. */
interface Batch {
  records: readonly Waiting[]
  bytes: Buffer
  /** Sent at least once: it may have landed. */
  isInDoubt: boolean
}

const BATCH_RECORDS_MAX = 500
/** Brokers take 1 MiB by default; one record alone may be larger. */
const BATCH_BYTES_MAX = 512 * 1024

/** Sequences go up to 2^31 - 1 and begin anew: long before that a new producer id does. */
const SEQUENCE_MAX = 2 ** 31 - 1 - BATCH_RECORDS_MAX

/** Nothing was appended, and the same bytes will be refused again. */
const REFUSED = new Set<number>([
  CODE.corruptMessage,
  CODE.messageTooLarge,
  CODE.recordListTooLarge,
  CODE.invalidTimestamp,
  CODE.invalidRecord,
])
/** The broker no longer knows our numbers. */
const NUMBERS_LOST = new Set<number>([
  CODE.outOfOrderSequence,
  CODE.invalidProducerEpoch,
  CODE.unknownProducerId,
])

export class ProducerLane {
  private readonly topic: string
  private readonly partition: number
  private readonly parts: LaneParts
  private readonly backoff = new Backoff()
  private queue: Waiting[] = []
  private batch: Batch | undefined
  private id: ProducerId | undefined
  private sequence = 0
  /** Fewer after a batch was refused: the one record that the broker doesn't take is to fail alone. */
  private recordsMax = BATCH_RECORDS_MAX
  private running: Promise<void> | undefined

  constructor(topic: string, partition: number, parts: LaneParts) {
    this.topic = topic
    this.partition = partition
    this.parts = parts
  }

  append(records: readonly RecordToWrite[], compression: Compression): Promise<number> {
    const { clock, settings } = this.parts.cluster
    return new Promise((resolve, reject) => {
      const deadlineMs = clock.nowMs() + settings.requestTimeoutMs
      const sending = {
        remaining: records.length,
        firstOffset: -1,
        nextOffset: Number.NaN,
        deadlineMs,
        resolve,
        reject,
      }
      for (const record of records) this.queue.push({ record, compression, sending })
      this.run()
    })
  }

  /** Resolves when nothing waits, and nothing is in doubt; or the producer was closed. */
  async drained(): Promise<void> {
    await this.running
  }

  private run(): void {
    this.running ??= this.drain().finally(() => {
      this.running = undefined
      if (this.queue.length > 0 && !this.parts.signal.aborted) this.run()
    })
  }

  private async drain(): Promise<void> {
    const { signal, cluster } = this.parts
    while (!signal.aborted && (this.batch !== undefined || this.queue.length > 0)) {
      try {
        await this.sendNext()
        this.backoff.reset()
      } catch (error) {
        this.parts.forgetLeader()
        if (error instanceof UnavailableError) this.giveUpLate(error)
        else this.giveUpAll(error)
        await cluster.clock.sleep(this.backoff.nextMs(), signal)
      }
    }
    if (signal.aborted)
      this.giveUpAll(
        new UnavailableError(
          'kafka-producer-closed',
          `expected the records for ${this.topic} to be durable before the producer was closed, got no answer: they may still land`,
        ),
      )
  }

  /** @throws {ConfigError | UnavailableError} when the batch is as it was before, or in doubt */
  private async sendNext(): Promise<void> {
    if (this.id === undefined || this.sequence > SEQUENCE_MAX) {
      this.id = await this.parts.producerId()
      this.sequence = 0
      // Bytes that bear numbers of another id are made anew.
      if (this.batch !== undefined) this.batch.bytes = await this.bytesOf(this.batch.records)
    }
    const node = await this.parts.leader()
    const link = await this.parts.cluster.broker(node)
    const batch = this.batch ?? (await this.nextBatch())
    this.batch = batch
    batch.isInDoubt = true
    const { requestTimeoutMs } = this.parts.cluster.settings
    const request = produceRequest(this.topic, this.partition, batch.bytes, requestTimeoutMs)
    const { code, firstOffset } = await link.own(request)
    if (code === CODE.none || code === CODE.duplicateSequence) this.landed(batch, firstOffset)
    else if (REFUSED.has(code)) this.refused(batch, code)
    else {
      if (NUMBERS_LOST.has(code)) this.id = undefined
      throw refusal(`append to ${this.topic}`, code)
    }
  }

  private async nextBatch(): Promise<Batch> {
    const { compression } = this.queue[0]!
    let bytes = 0
    let count = 0
    for (const waiting of this.queue) {
      bytes += recordBytes(waiting.record)
      if (count > 0 && (bytes > BATCH_BYTES_MAX || count >= this.recordsMax)) break
      if (waiting.compression !== compression) break
      count++
    }
    const batch = { bytes: await this.bytesOf(this.queue.slice(0, count)), isInDoubt: false }
    return { ...batch, records: this.queue.splice(0, count) }
  }

  private bytesOf(records: readonly Waiting[]): Promise<Buffer> {
    const { compression } = records[0]!
    const number = { ...this.id!, sequence: this.sequence }
    const all = records.map(({ record }) => record)
    return writeBatch(all, compression, this.parts.cluster.clock.nowMs(), number)
  }

  private landed(batch: Batch, firstOffset: number): void {
    this.batch = undefined
    this.sequence += batch.records.length
    this.recordsMax = Math.min(2 * this.recordsMax, BATCH_RECORDS_MAX)
    for (const [index, { sending }] of batch.records.entries()) {
      const offset = firstOffset < 0 ? -1 : firstOffset + index
      if (Number.isNaN(sending.nextOffset)) sending.firstOffset = offset
      else if (sending.nextOffset !== offset) sending.firstOffset = -1
      sending.nextOffset = offset + 1
      if (--sending.remaining === 0) sending.resolve(sending.firstOffset)
    }
  }

  /** Nothing of it was appended, and its number is free. */
  private refused(batch: Batch, code: number): void {
    this.batch = undefined
    const { length } = batch.records
    if (length > 1) {
      this.recordsMax = Math.floor(length / 2)
      this.queue.unshift(...batch.records)
      return
    }
    const { topic, partition } = this
    const error = new RecordError(
      'kafka-record-refused',
      `expected partition ${partition} of ${topic} to take a record of ${batch.bytes.length} bytes, got ${codeName(code)}: raise the topic's max.message.bytes if it is the size, or correct what the message names`,
    )
    this.reject(new Set(batch.records.map(({ sending }) => sending)), error)
  }

  /** Whose time is up learns that it isn't known; a batch in doubt stays first in line all the same. */
  private giveUpLate(error: UnavailableError): void {
    const nowMs = this.parts.cluster.clock.nowMs()
    const all = [...(this.batch?.records ?? []), ...this.queue].map(({ sending }) => sending)
    this.reject(new Set(all.filter(({ deadlineMs }) => nowMs >= deadlineMs)), error)
  }

  private giveUpAll(error: unknown): void {
    const all = [...(this.batch?.records ?? []), ...this.queue].map(({ sending }) => sending)
    this.reject(new Set(all), error)
    if (!(error instanceof ConfigError)) return
    // We may not write: what may have landed is forgotten, and so is its number, which another must not bear.
    this.batch = undefined
    this.id = undefined
  }

  private reject(sendings: ReadonlySet<Sending>, error: unknown): void {
    this.queue = this.queue.filter(({ sending }) => !sendings.has(sending))
    if (this.batch !== undefined && !this.batch.isInDoubt) {
      // Not sent: the others in it go back to the front.
      this.queue.unshift(...this.batch.records.filter(({ sending }) => !sendings.has(sending)))
      this.batch = undefined
    }
    for (const sending of sendings) sending.reject(error)
  }
}
