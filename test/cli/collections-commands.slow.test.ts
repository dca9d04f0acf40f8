/** The verbs over collections as an operator uses them: what they say, what they do, and their exit codes. */

import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite, test } from 'node:test'
import type { PlannedChange } from '../../src/cli/collection-plan.ts'
import { runToEnd, SETTINGS, startProgram } from '../kill/program.ts'
import { event, idOf, type QdrantStandalone, until, withQdrant } from './qdrant-standalone.ts'

const PENDING = 5
const MAIN = 'freshet_main_golden-linear'

/** Settings of a directory with its vectors on the double. */
function on(qdrant: QdrantStandalone, ...more: string[]): string[] {
  const vectors = ['vectors.driver=qdrant', `vectors.qdrant.url=${qdrant.double.url}`, ...more]
  return ['-d', qdrant.dataDir, ...SETTINGS, ...vectors.flatMap((setting) => ['--set', setting])]
}

async function plan(settings: readonly string[], code = 0): Promise<PlannedChange[]> {
  const { stdout } = await runToEnd([...settings, 'collections', 'plan', '--json'], code)
  return JSON.parse(stdout).changes
}

async function ingest(
  qdrant: QdrantStandalone,
  settings: readonly string[],
  ...users: string[]
): Promise<void> {
  const file = join(qdrant.root, 'events.jsonl')
  writeFileSync(file, users.map((user) => `${JSON.stringify(event(user, 1))}\n`).join(''))
  await runToEnd([...settings, 'ingest', file])
}

// Beside each other: most of a child's time is its start.
suite('freshet collections', { concurrency: 3 }, () => {
  test('before the first start plan says what will be made, apply makes it, and then nothing is pending', () =>
    withQdrant(async (qdrant) => {
      const here = on(qdrant)
      const first = await plan(here, PENDING)
      assert.deepEqual(
        first.map(({ action, name, what }) => [action, name, what]),
        [
          ['create', MAIN, 'collection'],
          ['create', MAIN, 'vector name'],
          ['alias', 'freshet_main', 'alias'],
        ],
      )
      assert.deepEqual(qdrant.writes, [], 'plan changes nothing')
      const { stdout } = await runToEnd([...here, 'collections', 'apply', '--json'])
      assert.deepEqual(JSON.parse(stdout), { done: first, left: [] })
      assert.deepEqual(await plan(here), [])
      assert.equal(qdrant.double.store.aliases.get('freshet_main'), MAIN)
    }))

  test('a setting that was changed is pending until it is applied; what can’t be is left, with what to do', () =>
    withQdrant(async (qdrant) => {
      await runToEnd([...on(qdrant), 'collections', 'apply'])
      const here = on(qdrant, 'vectors.qdrant.collection.hnsw.m=32', 'vectors.qdrant.collection.shards=6')
      const changes = await plan(here, PENDING)
      assert.deepEqual(
        changes.map(({ action, what, found, wanted }) => [action, what, found, wanted]).sort(),
        [
          ['change', 'hnsw.m', '16', '32'],
          ['remake', 'shards', '1', '6'],
        ],
      )
      const planned = await runToEnd([...here, 'collections', 'plan'], PENDING)
      assert.match(planned.stdout, /^1 change is pending: freshet collections apply$/m)
      assert.match(planned.stdout, /^1 change is beyond .*vectors\.qdrant\.prefix/m)
      const { stdout, stderr } = await runToEnd([...here, 'collections', 'apply'], PENDING)
      assert.match(stdout, /^change .*hnsw\.m: 16 -> 32$/m)
      assert.match(stdout, /^1 change is made$/m)
      assert.match(stderr, /^left: remake .*shards: 1 -> 6: .*vectors\.qdrant\.prefix/m)
      assert.deepEqual(
        (await plan(here, PENDING)).map(({ what }) => what),
        ['shards'],
      )
    }))

  test('an index, an alias and a vector name that somebody took away are put back, beside a running freshet, too', () =>
    withQdrant(async (qdrant) => {
      const here = on(qdrant)
      await runToEnd([...here, 'collections', 'apply'])
      const call = async (method: string, path: string, body?: unknown) => {
        const headers = { 'content-type': 'application/json' }
        const init = body === undefined ? { method } : { method, headers, body: JSON.stringify(body) }
        assert.equal((await fetch(`${qdrant.double.url}${path}`, init)).status, 200)
      }
      await call('DELETE', `/collections/${MAIN}/index/segment?wait=true`)
      await call('POST', '/collections/aliases', {
        actions: [{ delete_alias: { alias_name: 'freshet_main' } }],
      })
      const changes = await plan(here, PENDING)
      assert.deepEqual(
        changes.map(({ action, what }) => [action, what]),
        [
          ['change', 'index on segment'],
          ['alias', 'alias'],
        ],
      )
      const running = startProgram([...here, 'run', '--set', 'vectors.qdrant.collection.shards=2'])
      try {
        // A start puts the alias right by itself, and leaves indexes of a filled collection to the operator.
        await until('the alias is back', () => qdrant.double.store.aliases.has('freshet_main'))
        await call('DELETE', `/collections/${MAIN}/index/tenant_id?wait=true`)
        assert.deepEqual(
          (await plan(here, PENDING)).map(({ what }) => what),
          ['index on tenant_id'],
        )
        const { stderr } = await runToEnd([...here, 'collections', 'apply'])
        assert.match(stderr, /^a freshet runs here/m)
        assert.deepEqual(await plan(here), [])
      } finally {
        running.child.kill('SIGTERM')
        const { stderr } = await running.ended
        assert.match(stderr, /vectors are in Qdrant 1\.\d+\.\d+ at http/)
        assert.match(stderr, /collections are otherwise than set \(\d+\): freshet collections plan/)
      }
    }))

  test('a lost collection is announced, list and rebuild know what no record knows', () =>
    withQdrant(async (qdrant) => {
      const here = on(qdrant)
      await ingest(qdrant, here, 'ada', 'ben')
      const stranger = structuredClone(
        await (await fetch(`${qdrant.double.url}/collections/${MAIN}`)).json(),
      ) as { result: { config: { metadata: Record<string, unknown> } } }
      // As a backup would bring it back: a model's that was retired since, with our mark on it.
      const { metadata } = stranger.result.config
      const other = 'freshet_main_old'
      const spec = { ...(metadata.freshet as object), name: other, model: 'old' }
      await fetch(`${qdrant.double.url}/collections/${other}`, {
        method: 'PUT',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ vectors: {}, metadata: { ...metadata, freshet: spec } }),
      })
      assert.deepEqual(
        (await plan(here)).map(({ action, name }) => [action, name]),
        [['unknown', other]],
      )
      const { stdout } = await runToEnd([...here, 'collections', 'list'])
      assert.match(stdout, new RegExp(`^${MAIN} .* 2 +0 +served$`, 'm'))
      assert.match(stdout, new RegExp(`^${other} .*no record knows it$`, 'm'))

      qdrant.double.store.drop(MAIN)
      const changes = await plan(here, PENDING)
      assert.equal(changes[0]!.action, 'rebuild')
      const rebuilt = await runToEnd([...here, 'collections', 'rebuild'])
      assert.match(rebuilt.stderr, new RegExp(`^dropped ${other}`, 'm'))
      assert.deepEqual(
        [...qdrant.collection!.points.keys()].sort(),
        ['ada', 'ben'].map(idOf).sort() as string[],
      )
      assert.deepEqual(await plan(here), [])
    }))

  test('another directory is refused, and takes over only when that is asked for', () =>
    withQdrant(async (qdrant) => {
      await ingest(qdrant, on(qdrant), 'ada')
      const second = on(qdrant)
      second[1] = join(qdrant.root, 'second')
      for (const verb of ['plan', 'apply', 'rebuild']) {
        const { stderr } = await runToEnd([...second, 'collections', verb], 2)
        assert.match(stderr, /^error: vectors-not-ours: .*of this data directory .*--take-over/m)
      }
      await runToEnd([...second, 'collections', 'rebuild', '--take-over'])
      assert.equal(qdrant.collection!.points.size, 0)
    }))

  test('what is tried out in the shadow is not said to be served', () =>
    withQdrant(async (qdrant) => {
      const here = on(qdrant)
      await runToEnd([...here, 'instructions', 'add', 'churn', 'Will they leave?', '--shadow'])
      const { stdout } = await runToEnd([...here, 'collections', 'list', '--json'])
      assert.deepEqual(
        JSON.parse(stdout).map(({ group, use }: Record<string, string>) => [group, use]),
        [
          ['main', 'served'],
          ['shadow', 'shadow: not served'],
        ],
      )
    }))

  test('who only asks, with settings of another place, is refused and moves nothing', () =>
    withQdrant(async (qdrant) => {
      await ingest(qdrant, on(qdrant), 'ada', 'ben')
      const writes = qdrant.writes.length
      const elsewhere = ['-d', qdrant.dataDir, ...SETTINGS]
      const otherPrefix = on(qdrant, 'vectors.qdrant.prefix=other-')
      const verbs = [['nearest', 'ada'], ['verify'], ['forget', 'ada']]
      for (const settings of [elsewhere, otherPrefix])
        for (const verb of verbs) {
          const { stderr } = await runToEnd([...settings, ...verb], 2)
          assert.match(stderr, /^error: vectors-lost: .* correct vectors\.driver, .*freshet run/m)
        }
      assert.equal(qdrant.writes.length, writes)
      assert.deepEqual(await plan(on(qdrant)), [])
      const { stdout } = await runToEnd([...on(qdrant), 'nearest', 'ada'])
      assert.match(stdout, /ben/)
    }))

  test('while the server is down each verb says so and ends with 3', () =>
    withQdrant(async (qdrant) => {
      const here = on(qdrant)
      await runToEnd([...here, 'collections', 'apply'])
      await qdrant.double.close()
      for (const verb of [
        ['collections', 'plan'],
        ['collections', 'list'],
        ['nearest', 'ada'],
      ]) {
        const { stderr } = await runToEnd([...here, ...verb], 3)
        assert.match(
          stderr,
          /^error: qdrant-unavailable: .*\nonce that is mended, run the same command again$/m,
        )
      }
    }))

  test('over SQLite there is nothing but collections and aliases to plan', () =>
    withQdrant(async (qdrant) => {
      const here = ['-d', qdrant.dataDir, ...SETTINGS]
      assert.equal((await plan(here, PENDING)).length, 3)
      await runToEnd([...here, 'collections', 'apply'])
      assert.deepEqual(await plan(here), [])
    }))
})
