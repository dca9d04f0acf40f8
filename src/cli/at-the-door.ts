/** What the pipeline would make a dead letter of is refused while its sender still listens. */

import { RecordError } from '../errors.ts'
import type { UserRecord } from '../events/behavior-event.ts'
import { isTooFarAhead } from '../window/day.ts'
import type { Parts } from './parts.ts'

interface Arrival {
  topic: string
  key: Uint8Array
  value: Uint8Array | null
}

/**
 * @param says what the value says, where it was read already
 * @throws {RecordError} `record-value-too-large`, `event-from-future`, or what else the decoder says of it
 */
export function checkAtTheDoor(parts: Parts, arrival: Arrival, says?: UserRecord | null): void {
  const { clock, decoder, settings, pipelineSettings } = parts
  const nowMs = clock.nowMs()
  const isTooLarge = (arrival.value?.length ?? 0) > settings.events.valueBytesMax
  // The decoder knows what to say of a value that is too large; to read any other a second time would be a waste.
  const said =
    says === undefined || isTooLarge
      ? decoder.decode({ ...arrival, partition: 0, offset: 0, appendTimeMs: nowMs })
      : says
  if (said === null) return
  const timeMs = said.kind === 'event' ? said.event.eventTimeMs : said.kind === 'tabular' ? said.asOfMs : 0
  const { maxFutureSkewMs } = pipelineSettings
  if (isTooFarAhead(timeMs, nowMs, maxFutureSkewMs))
    throw new RecordError(
      'event-from-future',
      `expected a time at most ${maxFutureSkewMs} ms after now (${nowMs}), got ${timeMs}: mend the clock of the producer or its unit of time, then send it again`,
    )
}
