/** Vectors that were lost or restored from a backup come back, although the states say that they were written (V6). */

import assert from 'node:assert/strict'
import { cpSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { requestRebuild } from '../../src/cli/rebuild.ts'
import { openStandalone, type Standalone } from '../../src/cli/standalone.ts'
import { loadSettings } from '../../src/config/load-settings.ts'
import { userKey } from '../../src/events/ids.ts'
import { pointId } from '../../src/vectors/names.ts'

const ID = pointId(userKey('default' as never, 'ada' as never))
const START_MS = Date.now() - 60_000

async function withStandalone<T>(dataDir: string, use: (standalone: Standalone) => Promise<T>): Promise<T> {
  const standalone = await openStandalone(loadSettings({ file: null, env: {}, flags: { dataDir } }).settings)
  try {
    return await use(standalone)
  } finally {
    await standalone.close()
  }
}

async function search(standalone: Standalone, number: number): Promise<void> {
  const { encoder, log } = standalone.parts
  const { topic, key, value, headers } = encoder.object({
    topic: 'behavior.search',
    header: { event_id: `e${number}`, user_id: 'ada', event_time: START_MS + number, source: 'test' },
    query: `trains to town ${number}`,
  })
  await log.append([{ topic, key, value, appendTimeMs: Date.now(), headers }])
  await standalone.untilIdle()
}

/** Vector and time of writing, as readers get them. */
async function stored({ parts }: Standalone): Promise<number[] | undefined> {
  const point = (await parts.vectors.get('freshet_main_tiny' as never, [ID])).get(ID)?.point
  return point?.kind === 'vectors' ? [...point.vectors.values()].flatMap((vector) => [...vector]) : undefined
}

test('vectors that were lost or came from a backup are embedded anew', async () => {
  const root = mkdtempSync(join(tmpdir(), 'freshet-rebuild-'))
  const dataDir = join(root, 'data')
  const backup = join(root, 'vectors.db')
  const vectorsFile = join(dataDir, 'vectors.db')
  try {
    await withStandalone(dataDir, async (standalone) => {
      await standalone.start()
      await search(standalone, 1)
    })
    cpSync(vectorsFile, backup)
    const fresh = await withStandalone(dataDir, async (standalone) => {
      assert.equal(standalone.parts.isRebuilt, false)
      await standalone.start()
      await search(standalone, 2)
      return stored(standalone)
    })

    rmSync(vectorsFile)
    await withStandalone(dataDir, async (standalone) => {
      assert.equal(standalone.parts.isRebuilt, true)
      await standalone.start()
      await standalone.untilIdle()
      assert.deepEqual(await stored(standalone), fresh)
    })

    cpSync(backup, vectorsFile)
    await withStandalone(dataDir, async (standalone) => {
      await standalone.start()
      await standalone.untilIdle()
      assert.notDeepEqual(await stored(standalone), fresh, 'nobody can know that a backup is older')
    })
    await withStandalone(dataDir, async (standalone) => {
      await requestRebuild(standalone.parts.controlLog)
      await standalone.start()
      await standalone.untilIdle()
      assert.deepEqual(await stored(standalone), fresh)
    })
  } finally {
    rmSync(root, { recursive: true, force: true })
  }
})
