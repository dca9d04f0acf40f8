/** Vectors that were lost or restored from a backup come back, although the states say that they were written (V6). */

import assert from 'node:assert/strict'
import { cpSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { test } from 'node:test'
import type { Standalone } from '../../src/cli/open-standalone.ts'
import { openStandalone } from '../../src/cli/open-standalone.ts'
import { requestRebuild } from '../../src/cli/rebuild.ts'
import { loadSettings } from '../../src/config/load-settings.ts'
import type { DataDirectory } from '../../src/drivers/sqlite/data-directory.ts'
import { userKey } from '../../src/events/ids.ts'
import { pointId } from '../../src/vectors/names.ts'

const idOf = (user: string) => pointId(userKey('default' as never, user as never))
const START_MS = Date.now() - 60_000

async function withStandalone<T>(dataDir: string, use: (standalone: Standalone) => Promise<T>): Promise<T> {
  const standalone = await openStandalone(loadSettings({ file: null, env: {}, flags: { dataDir } }).settings)
  try {
    return await use(standalone)
  } finally {
    await standalone.close()
  }
}

async function search(standalone: Standalone, number: number, user = 'ada'): Promise<void> {
  const { encoder, log } = standalone.parts
  const { topic, key, value, headers } = encoder.object({
    topic: 'behavior.search',
    header: { event_id: `e${number}`, user_id: user, event_time: START_MS + number, source: 'test' },
    query: `trains to town ${number}`,
  })
  await log.append([{ topic, key, value, appendTimeMs: Date.now(), headers }])
  await standalone.untilIdle()
}

/** All numbers of the user's vectors. */
async function stored({ parts }: Standalone, user = 'ada'): Promise<number[] | undefined> {
  const id = idOf(user)
  const point = (await parts.vectors.get('freshet_main_tiny' as never, [id])).get(id)?.point
  return point?.kind === 'vectors' ? [...point.vectors.values()].flatMap((vector) => [...vector]) : undefined
}

async function withDirectory(use: (dataDir: string, root: string) => Promise<void>): Promise<void> {
  const root = mkdtempSync(join(tmpdir(), 'freshet-rebuild-'))
  try {
    await use(join(root, 'data'), root)
  } finally {
    rmSync(root, { recursive: true, force: true })
  }
}

/** Opens and embeds what is due. @returns whether a rebuild was asked for by itself, and what is stored of ada then */
async function restarted(dataDir: string) {
  return withStandalone(dataDir, async (standalone) => {
    await standalone.start()
    await standalone.untilIdle()
    return { isRebuilt: standalone.isRebuilt, vectors: await stored(standalone) }
  })
}

test('vectors that were lost or came from a backup are embedded anew, without a command', async () => {
  await withDirectory(async (dataDir, root) => {
    const backup = join(root, 'vectors.db')
    const vectorsFile = join(dataDir, 'vectors.db')
    const old = await withStandalone(dataDir, async (standalone) => {
      await standalone.start()
      await search(standalone, 1)
      return stored(standalone)
    })
    cpSync(vectorsFile, backup)
    const fresh = await withStandalone(dataDir, async (standalone) => {
      assert.equal(standalone.isRebuilt, false)
      await standalone.start()
      await search(standalone, 2)
      return stored(standalone)
    })
    assert.notDeepEqual(old, fresh)

    rmSync(vectorsFile)
    assert.deepEqual(await restarted(dataDir), { isRebuilt: true, vectors: fresh })
    cpSync(backup, vectorsFile)
    assert.deepEqual(await restarted(dataDir), { isRebuilt: true, vectors: fresh })
    assert.deepEqual(await restarted(dataDir), { isRebuilt: false, vectors: fresh })
  })
})

test('beside states from a backup nothing stays that only later vectors knew', async () => {
  await withDirectory(async (dataDir, root) => {
    const backup = join(root, 'freshet.db')
    const old = await withStandalone(dataDir, async (standalone) => {
      await standalone.start()
      await search(standalone, 1)
      return stored(standalone)
    })
    cpSync(join(dataDir, 'freshet.db'), backup)
    await withStandalone(dataDir, async (standalone) => {
      await standalone.start()
      await search(standalone, 2)
      await search(standalone, 3, 'bob')
      assert.ok(await stored(standalone, 'bob'))
    })
    cpSync(backup, join(dataDir, 'freshet.db'))
    assert.deepEqual(await restarted(dataDir), { isRebuilt: true, vectors: old })
    await withStandalone(dataDir, async (standalone) => {
      assert.equal(await stored(standalone, 'bob'), undefined)
    })
  })
})

test('a rebuild that is asked for brings back what was lost unseen', async () => {
  await withDirectory(async (dataDir) => {
    const before = await withStandalone(dataDir, async (standalone) => {
      await standalone.start()
      await search(standalone, 1)
      return stored(standalone)
    })
    const file = new DatabaseSync(join(dataDir, 'vectors.db'))
    file.exec('DELETE FROM points_1')
    file.close()
    assert.deepEqual(await restarted(dataDir), { isRebuilt: false, vectors: undefined })
    await withStandalone(dataDir, ({ parts }) => requestRebuild(parts.controlLog))
    assert.deepEqual(await restarted(dataDir), { isRebuilt: false, vectors: before })
  })
})

test('the store of vectors is closed before its file: a search that still reads it is told, not broken', async () => {
  await withDirectory(async (dataDir) => {
    const closed: string[] = []
    await withStandalone(dataDir, async ({ parts }) => {
      const noted = (what: string, parts: { close(): unknown }) => {
        const close = parts.close.bind(parts)
        parts.close = () => {
          closed.push(what)
          return close()
        }
      }
      noted('file', (parts.directory as DataDirectory).vectors)
      noted('store', parts.vectors)
    })
    assert.deepEqual(closed, ['store', 'file'])
  })
})
