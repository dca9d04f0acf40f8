/** Kills a writer again and again, and looks at what is left each time. */

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import fc from 'fast-check'
import { openDataDirectory } from '../../../src/drivers/sqlite/data-directory.ts'
import {
  GENERATION_RECORDS,
  generationOf,
  openParts,
  pointsOf,
  recordsOf,
  statesOf,
  TOPIC,
  USER_KEYS,
} from './generations.ts'

const CHILD = fileURLToPath(new URL('./kill-child.ts', import.meta.url))

/** One directory, one writer after the other, each killed at a seeded moment; fails with the seed and the round. */
export async function killRounds(path: string, seed: number, rounds: number): Promise<void> {
  const draws = fc.sample(fc.tuple(fc.integer({ min: 1, max: 12 }), fc.integer({ min: 0, max: 9_000 })), {
    seed,
    numRuns: rounds,
  })
  for (const [round, [generations, delayUs]] of draws.entries()) {
    const acknowledged = await runAndKill(path, generations, delayUs)
    try {
      await checkWhatIsLeft(path, acknowledged)
    } catch (cause) {
      throw new Error(`seed ${seed}, round ${round}, ${acknowledged} acknowledged`, { cause })
    }
  }
}

/** @returns the last generation that the child said was done */
async function runAndKill(path: string, generations: number, delayUs: number): Promise<number> {
  const child = spawn(process.execPath, [CHILD, path], { stdio: ['ignore', 'pipe', 'inherit'] })
  const exited = once(child, 'exit')
  let said = ''
  let isDying = false
  child.stdout.on('data', (chunk: Buffer) => {
    said += chunk.toString()
    if (isDying || said.split('\n').length <= generations) return
    isDying = true
    // Within the next generation: a few milliseconds, which hold a dozen waits for the disk.
    const untilMs = performance.now() + delayUs / 1_000
    while (performance.now() < untilMs);
    child.kill('SIGKILL')
  })
  try {
    const [, signal] = await exited
    assert.equal(signal, 'SIGKILL', 'the child ended by itself')
  } finally {
    child.kill('SIGKILL')
  }
  return Number(said.trimEnd().split('\n').at(-1))
}

async function checkWhatIsLeft(path: string, acknowledged: number): Promise<void> {
  const directory = openDataDirectory({ path, access: 'write', nowMs: Date.now() })
  try {
    const { log, store, vectors, source, collection } = await openParts(directory)
    const logged = generationOf(log.endOffset())
    assert.ok(Number.isInteger(logged), 'half an append is in the log')
    assert.equal(log.importProgress('file')?.position, logged * GENERATION_RECORDS)
    const rows = directory.main.prepare('SELECT "offset", value FROM log ORDER BY "offset"').all() as never[]
    for (const [i, [offset, value]] of (rows as [number, Uint8Array][]).entries()) {
      const expected = recordsOf(generationOf(i - (i % GENERATION_RECORDS)) + 1)[i % GENERATION_RECORDS]!
      assert.equal(offset, i)
      assert.ok(Buffer.compare(value, expected.value!) === 0, `record ${i} is another`)
    }

    const points = await vectors.get(
      collection,
      pointsOf(1).map((point) => point.id),
    )
    const writes = new Set([...points.values()].map(({ version }) => version.write))
    assert.equal(writes.size, 1, 'a request was applied to some of its points')
    const [upserted] = writes as unknown as [number]
    for (const point of pointsOf(upserted)) assert.deepEqual(points.get(point.id)?.point, point)

    const { checkpoint, highestEpoch } = await store.restore(0)
    const states = USER_KEYS.map((key) => store.read(0, key)!)
    const flushed = Number(states[0]!.acknowledged.get('main/tiny')!.inputHash)
    const epoch = states[0]!.epoch
    assert.deepEqual(states, statesOf(flushed, epoch), 'an append of states is there in part')
    assert.ok(highestEpoch >= epoch)

    const checkpointed = (checkpoint?.positions.get(TOPIC) ?? 0) / GENERATION_RECORDS
    const committed = ((await source.committed(0)).get(TOPIC) ?? 0) / GENERATION_RECORDS
    // O3, read backwards: nothing is ahead of what it rests on, and nothing that was acknowledged is missing.
    const order = [acknowledged, committed, checkpointed, flushed, upserted, logged]
    assert.deepEqual(
      order,
      order.toSorted((a, b) => a - b),
    )
    assert.ok(logged - committed <= 1, `${order}`)
  } finally {
    directory.close()
  }
}
