/** One of several processes over one file of vectors: opens it, writes what its seed says, reads others', and tells what it sees. */

import { setImmediate as turn } from 'node:timers/promises'
import { openVectorsFile } from '../../../src/drivers/sqlite/vectors-file.ts'
import { systemClock } from '../../../src/pipeline/clock.ts'
import type { Point } from '../../../src/vectors/vector-store.ts'
import { A, pointOf, stubOf, vectorOf } from '../../vectors/points.ts'
import { ALIAS, makeCollection, NAME, requestsOf, vectorFor } from './vectors-file-requests.ts'

/** What a child says when it has written everything. */
export interface ChildWrote {
  /** Searches made between its writes. */
  searches: number
}

const [path = '', seed = ''] = process.argv.slice(2)
const store = openVectorsFile({ path, clock: systemClock })
await makeCollection(store)
let searches = 0
for (const { epoch, write, users } of requestsOf(Number(seed))) {
  const points = users.map(
    ({ user, isStub }): Point =>
      isStub ? stubOf(user) : pointOf(user, { [A]: vectorFor(user, epoch, write) }),
  )
  await store.upsert(NAME, { epoch, write }, points)
  if (write % 5 === 0) {
    await store.search(NAME, { vectorName: A, vector: vectorOf(vectorFor('u', 1, write)), k: 5 })
    searches++
  }
  await store.setAlias(ALIAS, NAME)
  await turn()
}
process.send!({ searches } satisfies ChildWrote)
// When all have written, what is in memory here must be what all of them wrote.
process.once('message', async () => {
  const hits = await store.search(NAME, { vectorName: A, vector: vectorOf(vectorFor('u', 1, 1)), k: 1_000 })
  await store.close()
  process.send!(
    hits.map(({ id, score }) => [id, score]),
    () => process.disconnect(),
  )
})
