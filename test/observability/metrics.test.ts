/** Metrics as Prometheus reads them, compared number by number with what was published. */

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { afterEach, beforeEach, describe, test } from 'node:test'
import { UnavailableError } from '../../src/errors.ts'
import type { Gauges, Spending } from '../../src/observability/gauges.ts'
import { Metrics } from '../../src/observability/metrics.ts'
import { consumed, owner, parked, refreshed, restoring, unavailable } from '../../src/pipeline/channels.ts'

const spending: Spending = {
  encoderComputed: 100,
  encoderCached: 900,
  backboneComputed: 456,
  backboneShared: 1_400,
  eventsEncoded: 3,
  eventsCached: 27,
  backboneRuns: 2,
  encodeMs: 1_500,
  backboneMs: 250,
}

const values = {
  model: { id: 'tiny', provider: 'cpu', precision: 'fp32', contentHash: '0123456789abcdef' } as {
    id: string
    provider: string
    precision: string
    contentHash: string
  } | null,
  lag: [
    { topic: 'a', partition: 0, records: 5 },
    { topic: 'a', partition: 1, records: 0 },
  ],
  spending: spending as Spending | null,
  oldestPendingMs: 2_500 as number | null,
}

let metrics: Metrics

/** Series -> value, by the text format's own rules; throws where a line is none. */
function parse(text: string): Map<string, number> {
  const series = new Map<string, number>()
  const described = new Set<string>()
  for (const line of text.split('\n')) {
    const type = /^# TYPE (\w+) (counter|gauge|histogram)$/.exec(line)
    if (type !== null) described.add(type[1]!)
    if (line === '' || line.startsWith('#')) continue
    const sample = /^([a-z_]+)((?:\{(?:\w+="[^"\n]*",?)*\})?) (\S+)$/.exec(line)
    assert.ok(sample, `a line of the text format: ${line}`)
    const [, name, labels, value] = sample
    const family = name!.replace(/_(bucket|sum|count)$/, '')
    assert.ok(described.has(name!) || described.has(family), `${name} has a type`)
    assert.equal(series.has(name! + labels!), false, `${name}${labels} stands once`)
    assert.ok(name!.startsWith('freshet_'), name)
    series.set(name! + labels!, Number(value))
  }
  return series
}

async function scrape(): Promise<Map<string, number>> {
  const { contentType, text } = await metrics.exposition()
  assert.match(contentType, /^text\/plain; version=0\.0\.4/)
  return parse(text)
}

describe('metrics', () => {
  beforeEach(() => {
    const gauges: Gauges = {
      model: () => values.model,
      users: () => ({ known: 300, waiting: 4, parked: 1 }),
      epoch: () => 1_769_846_000,
      lag: () => Promise.resolve(values.lag),
      spending: () => values.spending,
      oldestPendingMs: () => values.oldestPendingMs,
    }
    metrics = new Metrics({ version: '1.2.3', gauges })
  })

  afterEach(() => metrics.close())

  test('records are counted by topic and outcome, dead letters by the code of their error', async () => {
    const batch = {
      topic: 'behavior.search',
      partition: 0,
      outcomes: new Map([
        ['applied', 5],
        ['duplicate', 2],
        ['late', 3],
        ['dead-letter', 4],
      ]),
      deadLetters: new Map([
        ['record-json', 3],
        ['record-frame', 1],
      ]),
    }
    consumed.publish(batch)
    consumed.publish(batch)
    const series = await scrape()
    const of = (name: string) => series.get(`freshet_${name}`)
    assert.equal(of('events_consumed_total{topic="behavior.search",outcome="applied"}'), 10)
    assert.equal(of('events_consumed_total{topic="behavior.search",outcome="dead-letter"}'), 8)
    assert.equal(of('events_late_total{topic="behavior.search"}'), 6)
    assert.equal(of('events_duplicate_total{topic="behavior.search"}'), 4)
    assert.equal(of('dlq_total{reason="record-json"}'), 6)
    assert.equal(of('dlq_total{reason="record-frame"}'), 2)
  })

  test('freshness, batches and writes are counted by group, and only acknowledged writes are fresh', async () => {
    const batch = {
      target: 'main/tiny',
      users: 5,
      stubs: 2,
      freshnessMs: [400, 2_000, 20_000],
      embedMs: 30,
      upsertMs: 4,
    } as const
    refreshed.publish({ ...batch, outcome: 'acknowledged' })
    refreshed.publish({ ...batch, outcome: 'unknown' })
    refreshed.publish({ ...batch, users: 1, stubs: 1, freshnessMs: [], outcome: 'acknowledged' })
    const series = await scrape()
    const of = (name: string) => series.get(`freshet_${name}`)
    assert.equal(of('freshness_seconds_count{group="main"}'), 3)
    assert.equal(of('freshness_seconds_sum{group="main"}'), 22.4)
    assert.equal(of('freshness_seconds_bucket{le="0.5",group="main"}'), 1)
    assert.equal(of('freshness_seconds_bucket{le="2.5",group="main"}'), 2)
    assert.equal(of('upserts_total{group="main",result="acknowledged"}'), 3)
    assert.equal(of('upserts_total{group="main",result="stub"}'), 3)
    assert.equal(of('upserts_total{group="main",result="unknown"}'), 5)
    assert.equal(of('inference_batch_size_sum{group="main"}'), 6)
    assert.equal(of('inference_duration_seconds_count{group="main"}'), 2, 'stubs embed nothing')
    assert.equal(of('sink_duration_seconds_count{group="main"}'), 3)
  })

  test('gauges are read at the scrape, and what is gone leaves no series behind', async () => {
    const series = await scrape()
    const of = (name: string) => series.get(`freshet_${name}`)
    assert.equal(of(`build_info{version="1.2.3",node="${process.versions.node}"}`), 1)
    const model = 'model_info{model="tiny",provider="cpu",precision="fp32",hash="0123456789ab",role="active"}'
    assert.equal(of(model), 1)
    assert.deepEqual([of('users'), of('users_dirty'), of('users_parked')], [300, 4, 1])
    assert.equal(of('epoch'), 1_769_846_000)
    assert.equal(of('consumer_lag{topic="a",partition="0"}'), 5)
    assert.equal(of('oldest_pending_seconds'), 2.5)
    assert.ok(of('memory_bytes{kind="resident"}')! > 1e6)
    assert.ok(of('event_loop_delay_seconds{quantile="0.99"}')! >= 0)
    assert.ok(of('process_cpu_seconds_total')! > 0)

    const before = { ...values }
    Object.assign(values, { model: null, lag: values.lag.slice(1), oldestPendingMs: null, spending: null })
    try {
      const later = await scrape()
      assert.equal(later.has(`freshet_${model}`), false)
      assert.equal(later.has('freshet_consumer_lag{topic="a",partition="0"}'), false)
      assert.equal(later.get('freshet_oldest_pending_seconds'), 0)
    } finally {
      Object.assign(values, before)
    }
  })

  test('what is left to restore falls to nothing, and each take-over is timed once', async () => {
    const stage = { epoch: 1, generation: 1, partitions: [0, 1], restoring: [] }
    owner.publish({ ...stage, stage: 'taking' })
    restoring.publish({ partition: 0, records: 10, left: 90 })
    restoring.publish({ partition: 1, records: 5, left: 7 })
    restoring.publish({ partition: 0, records: 60, left: 40 })
    assert.equal((await scrape()).get('freshet_restore_pending_records'), 47)
    // It is interrupted, and begins anew with other partitions.
    owner.publish({ ...stage, stage: 'taking' })
    assert.equal((await scrape()).get('freshet_restore_pending_records'), 0)
    restoring.publish({ partition: 1, records: 12, left: 0 })
    owner.publish({ ...stage, stage: 'owner', takeOverMs: 2_000 })
    owner.publish({ ...stage, stage: 'owner' })
    const series = await scrape()
    assert.equal(series.get('freshet_restore_pending_records'), 0)
    assert.equal(series.get('freshet_restore_duration_seconds_count'), 1)
    assert.equal(series.get('freshet_restore_duration_seconds_sum'), 2)
  })

  test('tokens computed, shared and cached are those that the model has spent, at every scrape', async () => {
    await scrape()
    const series = await scrape()
    const of = (name: string) => series.get(`freshet_${name}`)
    assert.equal(of('inference_tokens_total{part="encoder",kind="computed"}'), 100)
    assert.equal(of('inference_tokens_total{part="encoder",kind="cached"}'), 900)
    assert.equal(of('inference_tokens_total{part="backbone",kind="computed"}'), 456)
    assert.equal(of('inference_tokens_total{part="backbone",kind="shared"}'), 1_400)
    assert.equal(of('events_encoded_total{kind="computed"}'), 3)
    assert.equal(of('events_encoded_total{kind="cached"}'), 27)
    assert.equal(of('backbone_runs_total'), 2)
    assert.equal(of('inference_stage_seconds_total{stage="encode"}'), 1.5)
    assert.equal(of('inference_stage_seconds_total{stage="backbone"}'), 0.25)
  })

  test('no user ever becomes a label', async () => {
    parked.publish({ tenant: 'acme', user: 'ada-lovelace', reason: 'inference-failed' })
    unavailable.publish({
      what: 'vectors',
      error: new UnavailableError('disk-full', 'of ada-lovelace'),
      attempt: 1,
    })
    metrics.requestAnswered('GET', '/v1/users/:id', 200, 0.01)
    const { text } = await metrics.exposition()
    assert.doesNotMatch(text, /ada|acme/)
    const series = parse(text)
    assert.equal(series.get('freshet_users_parked_total'), 1)
    assert.equal(series.get('freshet_unavailable_total{what="vectors"}'), 1)
    assert.equal(
      series.get('freshet_http_requests_total{method="GET",route="/v1/users/:id",status="200"}'),
      1,
    )
    assert.equal(
      series.get('freshet_http_request_duration_seconds_sum{method="GET",route="/v1/users/:id"}'),
      0.01,
    )
  })

  test('the page of operations lists every metric with its labels, and no other', async () => {
    const deadLetters = new Map([['record-json', 1]])
    consumed.publish({ topic: 't', partition: 0, outcomes: new Map([['dead-letter', 1]]), deadLetters })
    refreshed.publish({
      target: 'main/m',
      users: 1,
      stubs: 0,
      outcome: 'acknowledged',
      freshnessMs: [1],
      embedMs: 1,
      upsertMs: 1,
    })
    unavailable.publish({ what: 'vectors', error: new UnavailableError('disk-full', 'x'), attempt: 1 })
    metrics.requestAnswered('GET', '/', 200, 1)
    const exported = new Map<string, string>()
    const { text } = await metrics.exposition()
    for (const [, name] of text.matchAll(/^# TYPE (\S+)/gm)) {
      const sample = new RegExp(`^${name}(?:_count)?(?:\\{(.*)\\})? `, 'm').exec(text)
      assert.ok(sample, `${name} has a sample`)
      const labels = [...(sample[1] ?? '').matchAll(/(\w+)="/g)].map(([, label]) => label!)
      exported.set(name!, labels.sort().join(' '))
    }
    const page = readFileSync(new URL('../../docs/operations.md', import.meta.url), 'utf8')
    const listed = [...page.matchAll(/^\| `(freshet_\w+)` \| ([\w, ]*)\|/gm)].map(
      ([, name, labels]) => [name!, labels!.trim().split(', ').sort().join(' ')] as const,
    )
    assert.deepEqual(new Map(listed), exported)
  })

  test('two programs in one process count apart', async () => {
    const other = new Metrics({ version: '9', gauges: { ...gaugesOfNothing } })
    other.requestAnswered('GET', '/', 200, 1)
    const series = await scrape()
    assert.equal(
      [...series.keys()].some((name) => name.startsWith('freshet_http_requests_total')),
      false,
    )
    other.close()
  })

  const gaugesOfNothing: Gauges = {
    model: () => null,
    users: () => ({ known: 0, waiting: 0, parked: 0 }),
    epoch: () => 0,
    lag: () => [],
    spending: () => null,
    oldestPendingMs: () => null,
  }
})
