/** What `freshet doctor` finds of a Qdrant server: whether it can be reached and written to, and what it has otherwise. */

import type { Settings } from '../config/settings.ts'
import type { ServerFacts } from '../drivers/qdrant/qdrant-vector-store.ts'
import { FreshetError } from '../errors.ts'
import { MAIN_GROUP } from '../instructions/instruction.ts'
import { systemClock } from '../pipeline/clock.ts'
import { aliasName } from '../vectors/names.ts'
import type { VectorStore } from '../vectors/vector-store.ts'
import { type PlannedChange, pending, planOf } from './collection-plan.ts'
import { lookAtVectors } from './look-at-vectors.ts'
import { type LookedAt, placeOf } from './open-vectors.ts'

export interface Check {
  what: string
  /** `fail` keeps freshet from starting as it is set; `note` is worth knowing. */
  result: 'ok' | 'note' | 'fail'
  text: string
}

const ROUNDS = 5
/** Each micro-batch waits for its write: beyond this a nearer server is worth more than anything else. Guess. */
const ROUND_TRIP_MS_MAX = 20

/** @returns none where vectors lie in the data directory */
export async function checkVectors(settings: Settings): Promise<Check[]> {
  if (settings.vectors.driver !== 'qdrant') return []
  let looked: LookedAt
  try {
    looked = await lookAtVectors(settings, systemClock, { orToCome: true })
  } catch (error) {
    if (!(error instanceof FreshetError)) throw error
    return [{ what: 'qdrant', result: 'fail', text: `${error.code}: ${error.message}` }]
  }
  try {
    const { vectors, server } = looked
    return [
      ...serverChecks(settings, server!),
      await roundTrip(vectors),
      ...(await collectionChecks(looked, settings)),
    ]
  } finally {
    await looked.close()
  }
}

function serverChecks({ vectors: { qdrant } }: Settings, server: ServerFacts): Check[] {
  const { protocol, hostname } = new URL(qdrant.url)
  const isOpen = protocol === 'http:' && !/^(localhost|127\.|\[::1\])/.test(hostname)
  const text = `${placeOf(qdrant, server)}; its disk and memory are watched there`
  const checks: Check[] = [{ what: 'qdrant', result: 'ok', text }]
  if (isOpen)
    checks.push({
      what: 'qdrant tls',
      result: 'note',
      text: 'plain http: everybody on the way can read and change vectors; switch TLS on at the server',
    })
  checks.push(
    server.mayManage
      ? {
          what: 'qdrant key',
          result: qdrant.apiKey === null ? 'note' : 'ok',
          text:
            qdrant.apiKey === null
              ? 'the server asks for none: whoever reaches it can write'
              : 'may write, and make collections and aliases',
        }
      : {
          what: 'qdrant key',
          result: 'note',
          text: 'for some collections only: run freshet collections apply with one that may make them, whenever a group or model is new',
        },
  )
  return checks
}

async function roundTrip(vectors: VectorStore): Promise<Check> {
  const times: number[] = []
  for (let round = 0; round < ROUNDS; round++) {
    const startMs = performance.now()
    await vectors.alias(aliasName(MAIN_GROUP))
    times.push(performance.now() - startMs)
  }
  const medianMs = times.sort((a, b) => a - b)[Math.floor(ROUNDS / 2)]!
  return {
    what: 'qdrant delay',
    result: medianMs <= ROUND_TRIP_MS_MAX ? 'ok' : 'note',
    text: `${medianMs.toFixed(1)} ms for a question and its answer`,
  }
}

async function collectionChecks({ vectors, view, state }: LookedAt, settings: Settings): Promise<Check[]> {
  const what = 'collections'
  if (view === null) return [{ what, result: 'ok', text: 'they are made at the first start' }]
  const changes = pending(await planOf({ vectors, view, state, settings }))
  if (changes.length === 0) return [{ what, result: 'ok', text: 'as registry and settings want them' }]
  const first = changes.slice(0, 3).map(sentence)
  const more = changes.length > first.length ? `; and ${changes.length - first.length} more` : ''
  return [{ what, result: 'note', text: `${first.join('; ')}${more}: freshet collections plan` }]
}

function sentence({ action, name, what, found, wanted }: PlannedChange): string {
  if (action === 'rebuild') return `vectors are ${found}, so the next start embeds everybody anew`
  if (found !== null) return `${what} of ${name} ${found}, not ${wanted}`
  return what === 'vector name' ? `${what} ${wanted} of ${name} is missing` : `${what} ${name} is missing`
}
