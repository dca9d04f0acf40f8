/** Holds the README against what its commands print. */

import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import type { BenchResult } from '../../bench/result.ts'
import { table } from '../../bench/table.ts'
import { ROOT } from '../tidy/source-tree.ts'

const readme = readFileSync(new URL('README.md', ROOT), 'utf8')

test('no number is in the README but those that the benches printed', () => {
  const results = globSync('bench/results/*.json', { cwd: fileURLToPath(ROOT) })
    .filter((path) => !path.endsWith('.tmp.json'))
    .sort()
    .map((path): BenchResult => JSON.parse(readFileSync(new URL(path, ROOT), 'utf8')))
  const shown = /<!-- bench:table -->\n([\s\S]*?)<!-- \/bench:table -->/.exec(readme)?.[1]
  assert.equal(
    shown,
    table(results),
    'put what `npm run bench:table` prints between the two marks of README.md',
  )
})

test('every script that a document names exists', () => {
  const { scripts } = JSON.parse(readFileSync(new URL('package.json', ROOT), 'utf8'))
  const documents = globSync('{*.md,{docs,examples,deploy}/**/*.md}', { cwd: fileURLToPath(ROOT) })
  for (const path of documents) {
    const text = readFileSync(new URL(path, ROOT), 'utf8')
    for (const [, name = ''] of text.matchAll(/npm run (?:--silent )?([a-z][a-z:-]*)/g))
      assert.ok(name in scripts, `${path}: npm run ${name}`)
  }
})
