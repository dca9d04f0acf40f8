/** How much of the truth the store's own search finds: the same questions asked both ways, side by side. */

import { performance } from 'node:perf_hooks'
import { recallAt } from '../evaluation/metrics.ts'
import type { RecallAnswer, RecallRequest } from '../server/service.ts'
import { checkK } from '../vectors/checks.ts'
import { pointId } from '../vectors/names.ts'
import type { Hit, SearchQuery } from '../vectors/vector-store.ts'
import type { LocalSearch, SearchParts, Space } from './local-search.ts'
import type { KnownUser, UserLookup } from './user-lookup.ts'

/** Scores that differ by less are a tie: whichever of two such users is found, nothing is missed. Rounding of float32. */
const TIE = 1e-6

export class LocalRecall {
  private readonly parts: SearchParts
  private readonly lookup: UserLookup
  private readonly search: LocalSearch

  constructor(parts: SearchParts, lookup: UserLookup, search: LocalSearch) {
    this.parts = parts
    this.lookup = lookup
    this.search = search
  }

  /** Asks as `GET /v1/users/{id}/nearest` does: among the user's tenant, without the user. */
  async measure({ instruction, k, sample }: RecallRequest): Promise<RecallAnswer> {
    checkK(k)
    const space = await this.search.space(instruction)
    const recalls: number[] = []
    const searchMs: number[] = []
    const exactMs: number[] = []
    for (const known of this.lookup.sample(sample)) {
      const query = await this.queryOf(known, space, k)
      if (query === undefined) continue
      // The first search of all may read vectors into memory, or open connections: nobody's usual search.
      if (recalls.length === 0) await this.timed(space, query)
      // Each goes first in turn, as the second may profit from what the first has read.
      const isExactFirst = recalls.length % 2 === 1
      const first = await this.timed(space, { ...query, exact: isExactFirst })
      const second = await this.timed(space, { ...query, exact: !isExactFirst })
      const [own, exact] = isExactFirst ? [second, first] : [first, second]
      // Others have their turn.
      await new Promise((resolve) => setImmediate(resolve))
      if (exact.hits.length === 0) continue
      recalls.push(recallOf(own.hits, exact.hits, k))
      searchMs.push(own.ms)
      exactMs.push(exact.ms)
    }
    return {
      ...this.lookup.head(!this.parts.updater.sweep.idle),
      model: space.target.model,
      instruction,
      vectorName: space.vectorName,
      k,
      users: recalls.length,
      alwaysExact: this.parts.vectors.alwaysExact === true,
      recall: recalls.length === 0 ? null : { mean: mean(recalls), p5: quantile(recalls, 0.05) },
      searchMs: latency(searchMs),
      exactMs: latency(exactMs),
    }
  }

  private async queryOf(
    { key, state }: KnownUser,
    { target, vectorName }: Space,
    k: number,
  ): Promise<SearchQuery | undefined> {
    const id = pointId(key)
    const stored = await this.parts.vectors.get(target.collection, [id], [vectorName])
    const point = stored.get(id)?.point
    const vector = point?.kind === 'vectors' ? point.vectors.get(vectorName) : undefined
    if (vector === undefined) return undefined
    return { vectorName, vector, k, exclude: [id], filter: { tenantId: state.tenant } }
  }

  private async timed({ target }: Space, query: SearchQuery): Promise<{ hits: Hit[]; ms: number }> {
    const startMs = performance.now()
    const hits = await this.parts.vectors.search(target.collection, query)
    // The clock says no more than microseconds.
    return { hits, ms: Math.round((performance.now() - startMs) * 1000) / 1000 }
  }
}

/** @returns the share that was found of the exact answer, which has at least one hit */
function recallOf(found: readonly Hit[], exact: readonly Hit[], k: number): number {
  const last = exact.at(-1)!
  const relevant = new Set<string>(exact.map(({ id }) => id))
  const isTie = ({ score }: Hit) => Math.abs(score - last.score) <= TIE
  // A tie with the last stands for one of the exact answer's that it displaced.
  const missing = exact.filter((hit) => isTie(hit) && !found.some(({ id }) => id === hit.id))
  const ranked = found.map((hit) =>
    relevant.has(hit.id) || !isTie(hit) ? hit.id : (missing.pop()?.id ?? hit.id),
  )
  return recallAt(ranked, relevant, k)
}

function latency(ms: readonly number[]): { p50: number; p95: number } | null {
  return ms.length === 0 ? null : { p50: quantile(ms, 0.5), p95: quantile(ms, 0.95) }
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length
}

/** The smallest value that at least `share` of all don't exceed. */
function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)]!
}
