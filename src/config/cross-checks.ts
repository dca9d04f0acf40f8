/** What no single setting can know: pairs of settings that contradict each other. */

import { type Contradiction, LOOPBACK } from './contradiction.ts'
import { kafkaChecks } from './kafka-checks.ts'
import { qdrantChecks } from './qdrant-checks.ts'
import { registryChecks } from './registry-checks.ts'
import type { Settings } from './settings.ts'

/** Precisions that a provider runs, as its driver knows them; the other ones are refused, never replaced silently. */
const PRECISIONS: Readonly<Record<Settings['model']['provider'], readonly string[]>> = {
  cpu: ['fp32'],
  webgpu: ['fp32'],
  cuda: ['fp32', 'fp16'],
}

export function crossChecks(settings: Settings): Contradiction[] {
  const { server, model, windows, refresh, events } = settings
  const found: Contradiction[] = [
    ...atMost(
      { path: 'refresh.quietMs', value: refresh.quietMs },
      { path: 'refresh.maxDelayMs', value: refresh.maxDelayMs },
    ),
    ...atMost(
      { path: 'refresh.batchUsersMax', value: refresh.batchUsersMax },
      { path: 'refresh.dirtyUsersMax', value: refresh.dirtyUsersMax },
    ),
    ...atMost(
      { path: 'refresh.minEvents', value: refresh.minEvents },
      { path: 'refresh.unacknowledgedRecordsMax', value: refresh.unacknowledgedRecordsMax },
    ),
    ...atMost(
      { path: 'windows.userBytesMax', value: windows.userBytesMax },
      { path: 'windows.memoryBytesMax', value: windows.memoryBytesMax },
    ),
    ...atMost(
      { path: 'events.valueBytesMax', value: events.valueBytesMax },
      { path: 'server.bodyBytesMax', value: server.bodyBytesMax },
    ),
  ]
  if (!PRECISIONS[model.provider].includes(model.precision))
    found.push({
      path: 'model.precision',
      message: `precision of provider ${model.provider} must be one of ${PRECISIONS[model.provider].join(', ')}, got ${model.precision}: change model.precision, or model.provider`,
    })
  if (server.adminSecret === null && !LOOPBACK.test(server.host))
    found.push({
      path: 'server.adminSecret',
      message: `adminSecret must be set when host (${server.host}) can be reached from other machines, got none: set FRESHET_SERVER__ADMIN_SECRET, or bind to 127.0.0.1`,
    })
  if (!isTimezone(model.timezone))
    found.push({
      path: 'model.timezone',
      message: `timezone must be an IANA name such as UTC or Asia/Shanghai, got ${model.timezone}: correct it`,
    })
  return [
    ...found,
    ...topicChecks(events.topics),
    ...kafkaChecks(settings),
    ...registryChecks(settings),
    ...qdrantChecks(settings),
  ]
}

interface Limit {
  path: string
  value: number
}

function atMost(smaller: Limit, larger: Limit): Contradiction[] {
  if (smaller.value <= larger.value) return []
  const a = smaller.path.split('.').at(-1)
  const b = larger.path.split('.').at(-1)
  return [
    {
      path: smaller.path,
      message: `${a} (${smaller.value}) must not exceed ${b} (${larger.value}): lower ${a}, or raise ${b}`,
    },
  ]
}

function isTimezone(name: string): boolean {
  try {
    new Intl.DateTimeFormat('en', { timeZone: name })
    return true
  } catch {
    return false
  }
}

function topicChecks(topics: Settings['events']['topics']): Contradiction[] {
  const seen = new Set<string>()
  const found: Contradiction[] = []
  for (const [at, topic] of topics.entries()) {
    if (seen.has(topic.topic))
      found.push({
        path: `events.topics.${at}.topic`,
        message: `each topic must be listed once, got ${topic.topic} again: remove one`,
      })
    seen.add(topic.topic)
    if (topic.schema !== null && topic.format !== 'avro-raw')
      found.push({
        path: `events.topics.${at}.schema`,
        message: `schema (${topic.schema}) is for format avro-raw, got ${topic.format}, which names its schema itself: remove schema, or change format`,
      })
  }
  return found
}
