/** One pass over a collection's points fills the slabs of several names, page by page, so that other work goes on between. */

import { setImmediate as turn } from 'node:timers/promises'
import type { TenantId } from '../../events/ids.ts'
import type { VectorName } from '../../instructions/instruction.ts'
import type { Collection } from './collections.ts'
import { pointIdOf } from './point-rows.ts'
import type { SqliteDatabase } from './sqlite-database.ts'
import type { VectorSlabs } from './vector-slab.ts'

/** Bytes of vectors that are read without a pause: about 5 ms on an idle core, less than one user's embedding takes. */
const PAGE_BYTES = 512 * 1024
/** What a row costs besides its vectors, as bytes of vectors that would take as long. */
const ROW_COST_BYTES = 1_024

type SlabRow = [
  point: number,
  id: Uint8Array,
  tenant: TenantId,
  segment: string | null,
  lastEventAtMs: number | null,
  layout: string,
  vectors: Uint8Array,
]

export interface SlabPass {
  database: SqliteDatabase
  collection: Collection
  slabs: VectorSlabs
  names: readonly VectorName[]
  /** Asked before every page, in the page's snapshot; false, or what it throws, ends the pass. */
  goesOn: () => boolean
}

/**
 * Fills the slabs of the names. Points that are written meanwhile are put into the slabs by whoever writes them, in the
 * same turn as into the file; a page is read and put in within one turn too, so that whichever comes last is the newer.
 *
 * @returns false: `goesOn` ended it before all points were read
 * @throws {UnavailableError} `database-busy`, `database-io`
 */
export async function fillSlabs({ database, collection, slabs, names, goesOn }: SlabPass): Promise<boolean> {
  const { number, numbers, spec } = collection
  const table = `points_${number}`
  const rowBytes = numbers.size * spec.dimensions * Float32Array.BYTES_PER_ELEMENT + ROW_COST_BYTES
  const rowsMax = Math.max(1, Math.floor(PAGE_BYTES / rowBytes))
  // The three payload fields that filters ask for, taken out by SQLite: parsing every payload here would double the pass.
  const sql = `
    SELECT point, id, tenant, payload ->> '$.segment', payload ->> '$.lastEventAtMs', layout, vectors
    FROM ${table} WHERE point > ? AND layout IS NOT NULL ORDER BY point LIMIT ${rowsMax}`
  const wanted = new Map(names.map((name) => [numbers.get(name)!, name]))
  const layouts = new Map<string, Layout>()
  for (let last = -1; ; ) {
    const rows = database.snapshot(() => (goesOn() ? database.prepare(sql).all(last) : null)) as unknown as
      | SlabRow[]
      | null
    if (rows === null) return false
    for (const [, id, tenantId, segment, lastEventAtMs, text, blob] of rows) {
      const { count, places } = layouts.get(text) ?? readLayout(text, wanted, layouts)
      if (places.length === 0) continue
      slabs.fill(pointIdOf(id), { tenantId, segment, lastEventAtMs }, places, blob, count)
    }
    if (rows.length < rowsMax) return true
    last = rows.at(-1)![0]
    await turn()
  }
}

interface Layout {
  count: number
  /** Where in the blob each wanted name lies. */
  places: [VectorName, number][]
}

/** Few layouts are in use at a time: one text is parsed once. */
function readLayout(
  text: string,
  wanted: ReadonlyMap<number, VectorName>,
  into: Map<string, Layout>,
): Layout {
  const numbers = JSON.parse(text) as number[]
  const places = numbers.flatMap((number, place): [VectorName, number][] => {
    const name = wanted.get(number)
    return name === undefined ? [] : [[name, place]]
  })
  const layout = { count: numbers.length, places }
  into.set(text, layout)
  return layout
}
