/**
 * Records of the changelog as keys and values: keys in text with NUL between their parts, so that compaction knows them for
 * ever; values that older and newer workers can read, because a partition goes to and fro while they are exchanged.
 */

import { ConfigError } from '../../errors.ts'
import type { UserKey } from '../../events/ids.ts'
import type { SourceRecord } from '../../events/source-record.ts'
import type { ChangelogRecord } from '../../pipeline/changelog.ts'
import type { Checkpoint } from '../../pipeline/state-store.ts'

const SEPARATOR = '\0'

/** JSON: fields that a newer worker adds are passed over, and anybody can read it. */
interface CheckpointJson {
  positions: Readonly<Record<string, number>>
  confirmed: boolean
  day: number
  partitionCount: number
}

export function encodeRecord(record: ChangelogRecord): { key: Buffer; value: Uint8Array | null } {
  const { kind, epoch } = record
  const key = (...parts: (string | number)[]) => Buffer.from([kind, epoch, ...parts].join(SEPARATOR))
  switch (record.kind) {
    case 'state':
      // `tenant \0 user` are two parts.
      return { key: key(record.user), value: record.state }
    case 'checkpoint':
      return { key: key(), value: record.checkpoint && Buffer.from(checkpointJson(record.checkpoint)) }
    case 'claim':
      return { key: key(), value: Buffer.from('{}') }
  }
}

/**
 * @returns null for a record of a kind that only newer workers know
 * @throws {ConfigError} `changelog-damaged`; whoever decodes a state finds out whether that is whole
 */
export function decodeRecord({ topic, partition, offset, key, value }: SourceRecord): ChangelogRecord | null {
  const [kind = '', number, ...rest] = key === null ? [] : Buffer.from(key).toString('utf8').split(SEPARATOR)
  const epoch = Number(number)
  if (kind === 'claim' && isEpoch(epoch)) return { kind, epoch }
  if (kind === 'checkpoint' && isEpoch(epoch))
    return { kind, epoch, checkpoint: value && readCheckpoint(epoch, value, damaged) }
  if (kind === 'state' && isEpoch(epoch) && rest.length === 2)
    return { kind, epoch, user: rest.join(SEPARATOR) as UserKey, state: value }
  if (kind !== '' && !['claim', 'checkpoint', 'state'].includes(kind)) return null
  throw damaged()

  function damaged(cause?: unknown): ConfigError {
    return new ConfigError(
      'changelog-damaged',
      `expected record ${offset} of partition ${partition} of ${topic} to be one of freshet's, got something else: nobody but freshet may write there; create the topic anew and rebuild`,
      { cause },
    )
  }
}

function isEpoch(epoch: number): boolean {
  return Number.isSafeInteger(epoch) && epoch >= 0
}

function checkpointJson({ positions, confirmed, day, partitionCount }: Checkpoint): string {
  const json: CheckpointJson = { positions: Object.fromEntries(positions), confirmed, day, partitionCount }
  return JSON.stringify(json)
}

function readCheckpoint(
  epoch: number,
  value: Uint8Array,
  damaged: (cause?: unknown) => ConfigError,
): Checkpoint {
  let json: Partial<CheckpointJson>
  try {
    json = JSON.parse(Buffer.from(value).toString('utf8'))
  } catch (cause) {
    throw damaged(cause)
  }
  const { positions, confirmed, day, partitionCount } = json
  const offsets = Object.entries(positions ?? {})
  const isWhole =
    positions !== undefined &&
    offsets.every(([, offset]) => isEpoch(offset)) &&
    typeof confirmed === 'boolean' &&
    Number.isSafeInteger(day) &&
    Number.isSafeInteger(partitionCount)
  if (!isWhole) throw damaged()
  return { epoch, positions: new Map(offsets), confirmed, day: day!, partitionCount: partitionCount! }
}
