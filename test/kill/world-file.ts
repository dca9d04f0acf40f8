/** A small stream in time order as a file for `ingest`, the same at every run. */

import { writeFileSync } from 'node:fs'
import { worldUsers } from '../../src/evaluation/world/persona.ts'
import { history, timeMs } from '../../src/evaluation/world/stream.ts'
import type { UserRecord } from '../../src/events/behavior-event.ts'
import { toIngestLine } from '../../src/events/encoder.ts'

const UNTIL_MS = Date.UTC(2026, 0, 15, 12)

/** @returns how many events there are, each under a name of its own */
export function writeWorldFile(path: string, { users, days }: { users: number; days: number }): number {
  const records = worldUsers(7, users)
    .flatMap((user) => [...history(user, UNTIL_MS, days)])
    .filter((record) => record.kind === 'event')
    .sort((a, b) => timeMs(a) - timeMs(b))
  writeFileSync(path, records.map((record) => `${line(record)}\n`).join(''))
  return records.length
}

function line(record: Extract<UserRecord, { kind: 'event' }>): string {
  return toIngestLine(`behavior.${record.event.modality}`, record)
}
