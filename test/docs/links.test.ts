/** Follows the links between our own documents. */

import assert from 'node:assert/strict'
import { existsSync, globSync, readFileSync } from 'node:fs'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { ROOT } from '../tidy/source-tree.ts'

const OUTSIDE = /^(https?:|mailto:)/

/** As GitHub makes them: lower case, punctuation away, spaces to hyphens. */
function anchors(markdown: string): Set<string> {
  const headings = [...markdown.matchAll(/^#{1,6} (.+)$/gm)].map((found) => found[1]!)
  return new Set(
    headings.map((text) =>
      text
        .toLowerCase()
        .replace(/[^\p{L}\p{N} _-]/gu, '')
        .replaceAll(' ', '-'),
    ),
  )
}

/** @returns what is wrong with the links of one document */
function brokenLinks(path: string, markdown: string, read: (url: URL) => string | null): string[] {
  const from = new URL(path, ROOT)
  const prose = markdown.replace(/^```[\s\S]*?^```/gm, '')
  return [...prose.matchAll(/\]\(([^)\s]+)\)/g)].flatMap(([, link = '']) => {
    if (OUTSIDE.test(link)) return []
    const target = new URL(link, from)
    const anchor = decodeURIComponent(target.hash.slice(1))
    target.hash = ''
    const text = read(target)
    if (text === null) return [`${path}: ${link} leads nowhere`]
    return anchor === '' || anchors(text).has(anchor) ? [] : [`${path}: ${link} has no such heading`]
  })
}

function readFile(url: URL): string | null {
  if (!existsSync(url)) return null
  return url.pathname.endsWith('.md') ? readFileSync(url, 'utf8') : ''
}

test('a broken link and a missing heading are found, and code is not read', () => {
  const read = (url: URL) => (url.pathname.endsWith('/docs/b.md') ? '# B\n\n## Two ways: one\n' : null)
  const text =
    '[a](b.md#two-ways-one) [c](c.md) [d](b.md#three) [e](https://example.org)\n```\n[f](g.md)\n```\n'
  assert.deepEqual(brokenLinks('docs/a.md', text, read), [
    'docs/a.md: c.md leads nowhere',
    'docs/a.md: b.md#three has no such heading',
  ])
})

test('every link between our documents leads somewhere', () => {
  const documents = globSync('{*.md,{docs,examples,deploy}/**/*.md}', { cwd: fileURLToPath(ROOT) })
  assert.ok(documents.length > 5)
  assert.deepEqual(
    documents.flatMap((path) => brokenLinks(path, readFileSync(new URL(path, ROOT), 'utf8'), readFile)),
    [],
  )
})
