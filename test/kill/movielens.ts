/** The real MovieLens-small as a file for `ingest`, and what its windows must be, told without any code of the data path. */

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { DEFAULT_TENANT, type UserId, userKey } from '../../src/events/ids.ts'
import type { Stored } from './stored.ts'

const EXAMPLE = fileURLToPath(new URL('../../examples/movielens', import.meta.url))
const CONVERT = fileURLToPath(new URL('../../examples/movielens/convert.ts', import.meta.url))
export const INSTRUCTIONS_FILE = join(EXAMPLE, 'instructions.yaml')

export interface RatingsFile {
  path: string
  count: number
  /** Users' event ids, oldest first. */
  byUser: Map<string, string[]>
}

/** @returns null, or why the data could not be fetched here; where CI has apt, that is a failure */
export function fetchMovieLens(directory: string): string | null {
  const hasApt = ['apt-get', 'dpkg'].every((tool) => existsSync(`/usr/bin/${tool}`))
  if (!hasApt) return 'no apt-get and dpkg here'
  try {
    execFileSync(join(EXAMPLE, 'fetch.sh'), [directory], {
      stdio: ['ignore', 'ignore', 'pipe'],
      timeout: 60_000,
    })
    return null
  } catch (error) {
    if (process.env.CI === 'true') throw error
    return `fetch.sh failed: ${(error as { stderr?: Buffer }).stderr?.toString() ?? error}`
  }
}

/** @param limit the first so many ratings, in the order of time */
export function writeRatings(directory: string, path: string, limit = Number.POSITIVE_INFINITY): RatingsFile {
  execFileSync(process.execPath, [CONVERT, '--only-ratings', '--out', path, directory])
  const lines = readFileSync(path, 'utf8').trimEnd().split('\n').slice(0, limit)
  writeFileSync(path, `${lines.join('\n')}\n`)
  const timed = new Map<string, { id: string; timeMs: number }[]>()
  for (const line of lines) {
    const { topic, header } = JSON.parse(line)
    assert.equal(topic, 'behavior.miniprogram')
    const own = timed.get(header.user_id) ?? []
    timed.set(header.user_id, own)
    own.push({ id: header.event_id, timeMs: header.event_time })
  }
  const byUser = new Map<string, string[]>()
  for (const [user, own] of timed) {
    own.sort((a, b) => a.timeMs - b.timeMs || Buffer.compare(Buffer.from(a.id), Buffer.from(b.id)))
    byUser.set(
      user,
      own.map(({ id }) => id),
    )
  }
  return { path, count: lines.length, byUser }
}

/** Every rating is in its window, or older than a full one; none is there twice. @param slots of the bundle */
export function assertEveryRatingOnce(stored: Stored, ratings: RatingsFile, slots: number): void {
  assert.equal(stored.logRecords, ratings.count)
  assert.equal(stored.users.size, ratings.byUser.size)
  let inWindows = 0
  let overCap = 0
  for (const [user, ids] of ratings.byUser) {
    const { windows, vectors } = stored.users.get(userKey(DEFAULT_TENANT, user as UserId))!
    assert.deepEqual(windows.miniprogram, ids.slice(-slots), `window of ${user}`)
    assert.equal(vectors.size, 4, `vectors of ${user}`)
    inWindows += windows.miniprogram.length
    overCap += Math.max(0, ids.length - slots)
  }
  assert.equal(inWindows + overCap, ratings.count)
}
