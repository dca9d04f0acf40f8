/** Nearest points, page by page: equal scores by id, which the server doesn't promise, so that no page repeats or skips. */

import type { Schemas } from '@qdrant/js-client-rest'
import { DEPTH_MAX, type Hit, type PointId, type SearchQuery } from '../../vectors/vector-store.ts'
import { searchFilter } from './point-filters.ts'
import { fromServerPayload } from './point-payload.ts'
import { unitScale } from './point-writer.ts'
import type { QdrantSettings } from './qdrant-settings.ts'
import { pointsPath, type RestClient } from './rest-client.ts'
import type { ServerName } from './server-names.ts'

type ReadSettings = Pick<QdrantSettings, 'readConsistency' | 'searchEf' | 'collection'>

/** Asked for beyond the page: equal scores at its edge are seen whole, unless there are more of them. Guess. */
const MARGIN = 16
/** Up to here the index looks at as many candidates whatever the depth, so that pages see one list; beyond, in doublings. */
const ONE_LIST_MAX = 128
/** Candidates per hit that are scored again by their exact vectors, where the index holds smaller ones. Guess. */
const OVERSAMPLING = 2
/** Scores are float32 on the server, and it leaves out what equals the threshold. */
const THRESHOLD_MARGIN = 1e-6

interface Found {
  id: PointId
  score: number
  payload: unknown
}

export class PointSearch {
  private readonly rest: RestClient
  private readonly settings: ReadSettings

  constructor(rest: RestClient, settings: ReadSettings) {
    this.rest = rest
    this.settings = settings
  }

  /** @throws {ConfigError} `collection-missing`, `vector-name-unknown` @throws {UnavailableError} */
  async search(server: ServerName, query: SearchQuery): Promise<Hit[]> {
    const { k, offset = 0 } = query
    const found = await this.ranked(server, query, offset === 0)
    const page = found.slice(offset, offset + k)
    const payloads = offset === 0 ? null : await this.payloads(server, page)
    return page.flatMap(({ id, score, payload }) => {
      const own = fromServerPayload(payloads === null ? payload : payloads.get(id))
      // Somebody else's point, or one that was emptied between the two looks.
      return own === null ? [] : [{ id, score, payload: own }]
    })
  }

  /** The best `offset + k` or more, in our order. */
  private async ranked(server: ServerName, query: SearchQuery, withPayload: boolean): Promise<Found[]> {
    const wanted = (query.offset ?? 0) + query.k
    for (let depth = depthFor(wanted); ; depth = Math.min(depth * 4, DEPTH_MAX)) {
      const found = await this.query(server, query, depth, withPayload)
      const edge = found[wanted - 1]
      // All that there are, or somebody below the edge of the page: its equals are all here.
      if (found.length < depth || depth === DEPTH_MAX || edge!.score > found[found.length - 1]!.score) {
        const threshold = query.scoreThreshold ?? Number.NEGATIVE_INFINITY
        return found.filter(({ score }) => score >= threshold).sort(byScoreAndId)
      }
    }
  }

  private async query(
    server: ServerName,
    query: SearchQuery,
    limit: number,
    withPayload: boolean,
  ): Promise<Found[]> {
    const { vectorName, vector, scoreThreshold } = query
    const scale = unitScale(vector)
    const filter = searchFilter(query.filter, query.exclude)
    const body: Schemas['QueryRequest'] = {
      query: Array.from(vector, (x) => x * scale),
      using: vectorName,
      limit,
      params: this.params(query.exact === true),
      with_payload: withPayload,
      with_vector: false,
      ...(filter === undefined ? {} : { filter }),
      ...(scoreThreshold === undefined ? {} : { score_threshold: scoreThreshold - THRESHOLD_MARGIN }),
    }
    const asked = { what: 'search', collection: server }
    const path = pointsPath(server, '/query', { consistency: this.settings.readConsistency })
    const { points } = await this.rest.post<Schemas['QueryResponse']>(asked, path, body)
    return points.map(({ id, score, payload }) => ({
      id: id as PointId,
      // Rounding may carry a cosine past 1.
      score: Math.min(1, Math.max(-1, score)),
      payload,
    }))
  }

  /** `indexed_only` never: it hides whole segments that were just loaded. */
  private params(exact: boolean): Schemas['SearchParams'] {
    const { searchEf, collection } = this.settings
    if (exact) return { exact: true }
    return {
      ...(searchEf === null ? {} : { hnsw_ef: searchEf }),
      ...(collection.quantization === 'none'
        ? {}
        : { quantization: { rescore: true, oversampling: OVERSAMPLING } }),
    }
  }

  private async payloads(server: ServerName, page: readonly Found[]): Promise<Map<PointId, unknown>> {
    if (page.length === 0) return new Map()
    const ids = page.map(({ id }) => id)
    const body: Schemas['PointRequest'] = { ids, with_payload: true, with_vector: false }
    const asked = { what: 'read points', collection: server }
    const path = pointsPath(server, '', { consistency: this.settings.readConsistency })
    const records = await this.rest.post<Schemas['Record'][]>(asked, path, body)
    return new Map(records.map(({ id, payload }) => [id as PointId, payload]))
  }
}

/** @param wanted hits, 1 to `DEPTH_MAX` */
function depthFor(wanted: number): number {
  const depth = wanted + MARGIN
  if (depth <= ONE_LIST_MAX) return depth
  return Math.min(2 ** Math.ceil(Math.log2(depth)), DEPTH_MAX)
}

function byScoreAndId(a: Found, b: Found): number {
  return b.score - a.score || (a.id < b.id ? -1 : 1)
}
