/** Prometheus metrics of one program: counted from the pipeline's channels, read from gauges when they are scraped. */

import { monitorEventLoopDelay } from 'node:perf_hooks'
import { Counter, Gauge, Histogram, Registry } from 'prom-client'
import { consumed, owner, parked, refreshed, restoring, unavailable } from '../pipeline/channels.ts'
import type { Gauges, Spending } from './gauges.ts'

/** Seconds: a debounce of 2 s lies in the middle, an outage of an hour at the end. */
const FRESHNESS_BUCKETS = [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 900, 3600]
const DURATION_BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30]
/** Seconds: a copy on local disk is read at once, a changelog of millions of users takes minutes. */
const RESTORE_BUCKETS = [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 900, 3600]
const BATCH_BUCKETS = [1, 2, 4, 8, 16, 32, 64, 128, 256]

const NANOSECONDS = 1e9
/** The loop is asked to come round this often; what it takes longer is its delay. */
const BEAT_MS = 20

export interface MetricsOptions {
  version: string
  gauges: Gauges
}

/** No user and no tenant is ever a label: their number has no bound, and metrics travel further than data. */
export class Metrics {
  private readonly registry = new Registry()
  private readonly gauges: Gauges
  private readonly loopDelay = monitorEventLoopDelay({ resolution: BEAT_MS })
  private readonly unsubscribe: (() => void)[]
  private readonly requests: Counter<'method' | 'route' | 'status'>
  private readonly requestSeconds: Histogram<'method' | 'route'>

  constructor({ version, gauges }: MetricsOptions) {
    this.gauges = gauges
    this.loopDelay.enable()
    this.gauge('build_info', 'Version of freshet and of Node.', ['version', 'node']).set(
      { version, node: process.versions.node },
      1,
    )
    this.requests = this.counter('http_requests_total', 'Requests answered, by route.', [
      'method',
      'route',
      'status',
    ])
    this.requestSeconds = this.histogram(
      'http_request_duration_seconds',
      'Time to answer a request.',
      DURATION_BUCKETS,
      ['method', 'route'],
    )
    this.unsubscribe = [
      ...this.countInput(),
      ...this.countRefreshes(),
      this.countParked(),
      ...this.countTakeOvers(),
      this.countOutages(),
    ]
    this.readGauges()
    this.readSpending()
    this.readProcess()
  }

  /** @returns the text that Prometheus reads, and its content type */
  async exposition(): Promise<{ contentType: string; text: string }> {
    return { contentType: this.registry.contentType, text: await this.registry.metrics() }
  }

  /** @param route the pattern, never the path: ids are in the path */
  requestAnswered(method: string, route: string, status: number, seconds: number): void {
    this.requests.inc({ method, route, status: String(status) })
    this.requestSeconds.observe({ method, route }, seconds)
  }

  close(): void {
    for (const unsubscribe of this.unsubscribe) unsubscribe()
    this.loopDelay.disable()
    this.registry.clear()
  }

  private countInput(): (() => void)[] {
    const events = this.counter('events_consumed_total', 'Records read, by what became of them.', [
      'topic',
      'outcome',
    ])
    const late = this.counter('events_late_total', 'Events older than the horizon when they were appended.', [
      'topic',
    ])
    const duplicates = this.counter('events_duplicate_total', 'Events that were in the window already.', [
      'topic',
    ])
    const letters = this.counter('dlq_total', 'Records sent to the dead letters, by code of the error.', [
      'reason',
    ])
    return [
      consumed.subscribe(({ topic, outcomes, deadLetters }) => {
        for (const [outcome, count] of outcomes) events.inc({ topic, outcome }, count)
        late.inc({ topic }, outcomes.get('late') ?? 0)
        duplicates.inc({ topic }, outcomes.get('duplicate') ?? 0)
        for (const [reason, count] of deadLetters) letters.inc({ reason }, count)
      }),
    ]
  }

  private countRefreshes(): (() => void)[] {
    const freshness = this.histogram(
      'freshness_seconds',
      'Time from the append of the oldest waiting record of a user to the acknowledged write.',
      FRESHNESS_BUCKETS,
      ['group'],
    )
    const upserts = this.counter('upserts_total', 'Points sent, by what is known of them.', [
      'group',
      'result',
    ])
    const batchSize = this.histogram('inference_batch_size', 'Users in one micro-batch.', BATCH_BUCKETS, [
      'group',
    ])
    const inference = this.histogram(
      'inference_duration_seconds',
      'Time to embed one micro-batch, encoders and backbone.',
      DURATION_BUCKETS,
      ['group'],
    )
    const sink = this.histogram(
      'sink_duration_seconds',
      'Time from sending a micro-batch to its acknowledgement, repetitions included.',
      DURATION_BUCKETS,
      ['group'],
    )
    return [
      refreshed.subscribe(({ target, users, stubs, outcome, freshnessMs, embedMs, upsertMs }) => {
        // `<group>/<model>`: a model lives for days, its series would stay.
        const group = target.slice(0, target.indexOf('/'))
        upserts.inc({ group, result: outcome }, users - stubs)
        upserts.inc({ group, result: outcome === 'acknowledged' ? 'stub' : outcome }, stubs)
        if (users > stubs) {
          batchSize.observe({ group }, users - stubs)
          inference.observe({ group }, embedMs / 1000)
        }
        sink.observe({ group }, upsertMs / 1000)
        if (outcome === 'acknowledged') for (const ms of freshnessMs) freshness.observe({ group }, ms / 1000)
      }),
    ]
  }

  private countOutages(): () => void {
    const failures = this.counter(
      'unavailable_total',
      'Attempts that something outside did not answer, or that the model refused.',
      ['what'],
    )
    return unavailable.subscribe(({ what }) => failures.inc({ what }))
  }

  private countTakeOvers(): (() => void)[] {
    const left = new Map<number, number>()
    this.gauge(
      'restore_pending_records',
      'Changelog records still to be read of partitions that are being taken over, at most.',
      [],
      (gauge) => gauge.set([...left.values()].reduce((sum, records) => sum + records, 0)),
    )
    const seconds = this.histogram(
      'restore_duration_seconds',
      'Time from the assignment of partitions to the right to write.',
      RESTORE_BUCKETS,
      [],
    )
    return [
      restoring.subscribe((message) => left.set(message.partition, message.left)),
      owner.subscribe(({ takeOverMs }) => {
        // What was under way is over, or begins anew.
        left.clear()
        if (takeOverMs !== undefined) seconds.observe(takeOverMs / 1000)
      }),
    ]
  }

  private countParked(): () => void {
    const users = this.counter('users_parked_total', 'Users parked since the start.', [])
    return parked.subscribe(() => users.inc())
  }

  private readGauges(): void {
    const { gauges } = this
    this.gauge(
      'model_info',
      'The model that serves.',
      ['model', 'provider', 'precision', 'hash', 'role'],
      (gauge) => {
        const model = gauges.model()
        gauge.reset()
        if (model === null) return
        const { id, provider, precision, contentHash } = model
        gauge.set({ model: id, provider, precision, hash: contentHash.slice(0, 12), role: 'active' }, 1)
      },
    )
    const users = (name: string, help: string, which: 'known' | 'waiting' | 'parked') =>
      this.gauge(name, help, [], (gauge) => gauge.set(gauges.users()[which]))
    users('users', 'Users with a state here.', 'known')
    users('users_dirty', 'Users who wait to be embedded.', 'waiting')
    users('users_parked', 'Users who could not be embedded and were set aside.', 'parked')
    this.gauge('epoch', 'Epoch under which vectors are written.', [], (gauge) => gauge.set(gauges.epoch()))
    this.gauge(
      'consumer_lag',
      'Records in the source that were not read yet.',
      ['topic', 'partition'],
      async (gauge) => {
        const lags = await gauges.lag()
        // Partitions that are no longer owned leave no series behind.
        gauge.reset()
        for (const { topic, partition, records } of lags)
          gauge.set({ topic, partition: String(partition) }, records)
      },
    )
    this.gauge(
      'oldest_pending_seconds',
      'Age of the oldest record that is not acknowledged; 0 when none waits.',
      [],
      (gauge) => gauge.set((gauges.oldestPendingMs() ?? 0) / 1000),
    )
  }

  private readSpending(): void {
    const read = (
      counter: Counter<string>,
      values: (spending: Spending) => [Record<string, string>, number][],
    ) => {
      const spending = this.gauges.spending()
      counter.reset()
      if (spending !== null) for (const [labels, value] of values(spending)) counter.inc(labels, value)
    }
    const tokens =
      'Encoder tokens and backbone positions: computed, found in the cache, or shared by instructions.'
    this.counter('inference_tokens_total', tokens, ['part', 'kind'], (counter) =>
      read(counter, (spending) => [
        [{ part: 'encoder', kind: 'computed' }, spending.encoderComputed],
        [{ part: 'encoder', kind: 'cached' }, spending.encoderCached],
        [{ part: 'backbone', kind: 'computed' }, spending.backboneComputed],
        [{ part: 'backbone', kind: 'shared' }, spending.backboneShared],
      ]),
    )
    const encoded = 'Event texts: run through an encoder, or found in the cache.'
    this.counter('events_encoded_total', encoded, ['kind'], (counter) =>
      read(counter, (spending) => [
        [{ kind: 'computed' }, spending.eventsEncoded],
        [{ kind: 'cached' }, spending.eventsCached],
      ]),
    )
    const seconds = 'Time that micro-batches waited for the encoders, and for the backbone.'
    this.counter('inference_stage_seconds_total', seconds, ['stage'], (counter) =>
      read(counter, (spending) => [
        [{ stage: 'encode' }, spending.encodeMs / 1000],
        [{ stage: 'backbone' }, spending.backboneMs / 1000],
      ]),
    )
    this.counter('backbone_runs_total', 'Calls of the backbone.', [], (counter) =>
      read(counter, (spending) => [[{}, spending.backboneRuns]]),
    )
  }

  private readProcess(): void {
    this.gauge('memory_bytes', 'Memory of the process.', ['kind'], (gauge) => {
      const { rss, heapUsed, external } = process.memoryUsage()
      gauge.set({ kind: 'resident' }, rss)
      gauge.set({ kind: 'heap' }, heapUsed)
      gauge.set({ kind: 'external' }, external)
    })
    this.gauge(
      'event_loop_delay_seconds',
      'How much later than asked the event loop came round, since the last scrape.',
      ['quantile'],
      (gauge) => {
        for (const quantile of [0.5, 0.99, 1]) {
          const seconds = this.loopDelay.percentile(quantile * 100) / NANOSECONDS - BEAT_MS / 1000
          gauge.set({ quantile: String(quantile) }, Math.max(0, seconds))
        }
        this.loopDelay.reset()
      },
    )
    this.counter('process_cpu_seconds_total', 'CPU time of the process.', [], (counter) => {
      const { user, system } = process.cpuUsage()
      counter.reset()
      counter.inc((user + system) / 1e6)
    })
  }

  private counter<Label extends string>(
    name: string,
    help: string,
    labelNames: Label[],
    collect?: (counter: Counter<string>) => void,
  ): Counter<Label> {
    const counter: Counter<Label> = new Counter({
      ...this.described(name, help, labelNames),
      ...(collect === undefined ? {} : { collect: () => collect(counter as Counter<string>) }),
    })
    return counter
  }

  private gauge<Label extends string>(
    name: string,
    help: string,
    labelNames: Label[],
    collect?: (gauge: Gauge<Label>) => void | Promise<void>,
  ): Gauge<Label> {
    const gauge: Gauge<Label> = new Gauge({
      ...this.described(name, help, labelNames),
      ...(collect === undefined ? {} : { collect: () => collect(gauge) }),
    })
    return gauge
  }

  private histogram<Label extends string>(
    name: string,
    help: string,
    buckets: number[],
    labelNames: Label[],
  ): Histogram<Label> {
    return new Histogram({ ...this.described(name, help, labelNames), buckets })
  }

  private described<Label extends string>(name: string, help: string, labelNames: Label[]) {
    return { name: `freshet_${name}`, help, labelNames, registers: [this.registry] }
  }
}
