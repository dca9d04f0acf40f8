/** `freshet model init` gives the same bytes for the same seed and time: a model can be made anew anywhere. */

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const PROGRAM = fileURLToPath(new URL('../../src/cli.ts', import.meta.url))
const run = promisify(execFile)

async function init(directory: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<void> {
  const inherited = { ...process.env }
  delete inherited.SOURCE_DATE_EPOCH
  await run(process.execPath, [PROGRAM, 'model', 'init', directory, ...args], {
    env: { ...inherited, ...env },
  })
}

/** Every file, by its path. */
function contents(directory: string): Map<string, string> {
  const files = readdirSync(directory, { recursive: true, withFileTypes: true }).filter((one) => one.isFile())
  return new Map(
    files.map((file) => {
      const path = join(file.parentPath, file.name)
      return [path.slice(directory.length), readFileSync(path, 'base64')]
    }),
  )
}

test('the same seed and time give the same bytes, manifest and all, by option or by SOURCE_DATE_EPOCH', async () => {
  const root = mkdtempSync(join(tmpdir(), 'freshet-model-'))
  const at = (name: string) => join(root, name)
  try {
    await Promise.all([
      init(at('a'), ['--id', 'mine', '--created', '2026-11-24T00:00:00Z']),
      init(at('b'), ['--id', 'mine'], { SOURCE_DATE_EPOCH: '1795478400' }),
      init(at('c'), ['--id', 'mine', '--seed', '2', '--created', '1795478400']),
    ])
    assert.ok(contents(at('a')).size > 8)
    assert.deepEqual(contents(at('b')), contents(at('a')))
    assert.equal(
      JSON.parse(readFileSync(join(at('b'), 'manifest.json'), 'utf8')).created,
      '2026-11-24T00:00:00.000Z',
    )
    assert.notDeepEqual(contents(at('c')), contents(at('a')))
    for (const time of ['yesterday', '2026-11-24', '9'.repeat(20)])
      await assert.rejects(init(at('d'), ['--created', time]), /--created/)
  } finally {
    rmSync(root, { recursive: true, force: true })
  }
})
