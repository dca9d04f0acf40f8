/** What several processes write to one file of vectors: the same users under versions that cross, all of it following from a seed. */

import type {
  AliasName,
  CollectionName,
  CollectionSpec,
  VectorStore,
} from '../../../src/vectors/vector-store.ts'
import { A, B, DIMENSIONS } from '../../vectors/points.ts'

export const NAME = 'freshet_main_tiny' as CollectionName
export const ALIAS = 'freshet_main' as AliasName
const SPEC = {
  name: NAME,
  group: 'main',
  model: 'tiny',
  precision: 'fp32',
  provider: 'cpu',
  dimensions: DIMENSIONS,
  horizonDays: 90,
} as CollectionSpec
const REQUESTS = 150
const USERS = 120
const POINTS_PER_REQUEST = 12

interface Request {
  epoch: number
  write: number
  users: { user: string; isStub: boolean }[]
}

export async function makeCollection(store: VectorStore): Promise<void> {
  await store.ensureCollection(SPEC)
  await store.ensureVectorNames(NAME, [A, B])
}

/** A linear congruence is random enough, and the same in every process. */
function drawsOf(seed: number): () => number {
  let drawn = (seed * 2_654_435_761) >>> 0
  return () => {
    drawn = (Math.imul(drawn, 1_664_525) + 1_013_904_223) >>> 0
    return drawn / 2 ** 32
  }
}

/** No two processes use one version, as no two owners have one epoch. */
export function requestsOf(seed: number): Request[] {
  const draw = drawsOf(seed)
  return Array.from({ length: REQUESTS }, (_, i) => ({
    epoch: 4 * Math.floor(draw() * 5) + seed,
    write: i + 1,
    users: Array.from({ length: POINTS_PER_REQUEST }, () => ({
      user: `u${Math.floor(draw() * USERS)}`,
      isStub: draw() < 0.1,
    })),
  }))
}

/** Says which request wrote it. */
export function vectorFor(user: string, epoch: number, write: number): number[] {
  const draw = drawsOf(epoch * 1_000 + write + user.length)
  return Array.from({ length: DIMENSIONS }, () => draw() - 0.5)
}
