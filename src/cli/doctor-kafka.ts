/** What `freshet doctor` finds of Kafka: whether brokers answer, and whether the topics are as workers need them. */

import type { Settings } from '../config/settings.ts'
import { findingText, planFor } from '../drivers/kafka/topic-admin.ts'
import { FreshetError } from '../errors.ts'
import type { Check } from './doctor-vectors.ts'
import { withKafka } from './kafka-access.ts'
import { topicNeeds } from './topic-needs.ts'

const SHOWN_MAX = 3

export async function checkKafka(settings: Settings): Promise<Check[]> {
  const brokers = settings.events.kafka.brokers?.join(', ') ?? 'none'
  try {
    const { findings } = await withKafka(settings, ({ cluster, patiently }) =>
      patiently(() => planFor(cluster, topicNeeds(settings))),
    )
    return [{ what: 'kafka', result: 'ok', text: `${brokers} answer` }, topicsCheck(findings)]
  } catch (error) {
    if (!(error instanceof FreshetError)) throw error
    return [{ what: 'kafka', result: 'fail', text: `${brokers}: ${error.code}: ${error.message}` }]
  }
}

function topicsCheck(findings: readonly Parameters<typeof findingText>[0][]): Check {
  const what = 'topics'
  if (findings.length === 0) return { what, result: 'ok', text: 'as workers need them' }
  const shown = findings.slice(0, SHOWN_MAX).map(findingText).join('; ')
  const more = findings.length > SHOWN_MAX ? `; and ${findings.length - SHOWN_MAX} more` : ''
  const isFatal = findings.some(({ action }) => action === 'create' || action === 'refuse')
  return { what, result: isFatal ? 'fail' : 'note', text: `${shown}${more}: freshet topics plan` }
}
