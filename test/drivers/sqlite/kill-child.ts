/** A child process that writes generation after generation in the order of the commit rule, until it is killed. */

import { writeSync } from 'node:fs'
import { openDataDirectory } from '../../../src/drivers/sqlite/data-directory.ts'
import {
  GENERATION_RECORDS,
  generationOf,
  openParts,
  pointsOf,
  recordsOf,
  statesOf,
  TOPIC,
} from './generations.ts'

const path = process.argv[2]!
const directory = openDataDirectory({ path, access: 'write', nowMs: Date.now() })
const { log, store, vectors, source, collection } = await openParts(directory)
const { highestEpoch } = await store.restore(0)
const epoch = highestEpoch + 1

for (let generation = generationOf(log.endOffset()) + 1; ; generation++) {
  const position = generation * GENERATION_RECORDS
  const progress = { import: 'file', position, records: position, asOfDay: null, isDone: false }
  await log.append(recordsOf(generation), progress)
  await vectors.upsert(collection, { epoch, write: generation }, pointsOf(generation))
  await store.appendStates(0, statesOf(generation, epoch))
  const positions = new Map([[TOPIC, position]])
  await store.appendCheckpoint(0, { epoch, positions, confirmed: true, day: generation, partitionCount: 1 })
  await source.commit(1, new Map([[0, positions]]))
  writeSync(1, `${generation}\n`)
}
