/** Imports: each record once however often they are interrupted, bad lines set aside. */

import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, suite, test } from 'node:test'
import { type ImportFile, openImportFile } from '../../src/cli/import-file.ts'
import { importFile } from '../../src/cli/importer.ts'
import { ownSchema } from '../../src/events/own-schemas.ts'
import { writeContainer } from '../events/write-container.ts'
import { type Fixture, NOW_MS, openFixture, ref, search } from './standalone-fixture.ts'

const DAY_MS = 86_400_000
const TODAY = Math.floor(NOW_MS / DAY_MS)

suite('imports', () => {
  const root = mkdtempSync(join(tmpdir(), 'freshet-import-'))
  after(() => rmSync(root, { recursive: true, force: true }))

  const withFixture = async (
    use: (fixture: Fixture) => Promise<void>,
    flags: Record<string, unknown> = {},
  ) => {
    const fixture = await openFixture(flags)
    try {
      await use(fixture)
    } finally {
      await fixture.close()
    }
  }

  const fileOf = async (name: string, lines: readonly unknown[]): Promise<ImportFile> => {
    const path = join(root, name)
    writeFileSync(
      path,
      lines.map((line) => `${typeof line === 'string' ? line : JSON.stringify(line)}\n`).join(''),
    )
    return openImportFile(path, [])
  }

  const read = (fixture: Fixture, file: ImportFile, options: { again?: boolean; report?: () => void } = {}) =>
    importFile(fixture.standalone, file, {
      asOfDay: TODAY,
      again: options.again ?? false,
      live: false,
      report: options.report ?? (() => {}),
    })

  test('an import that dies after a batch goes on behind it, and every record is in the log once', async () => {
    const lines = Array.from({ length: 2_500 }, (_, i) => search(`u${i % 7}`, `query ${i}`))
    const file = await fileOf('resumed.jsonl', lines)
    await withFixture(async (fixture) => {
      const dies = () => {
        throw new Error('killed')
      }
      await assert.rejects(read(fixture, file, { report: dies }), /killed/)
      const { records, resumedAt } = await read(fixture, file)
      assert.deepEqual({ records, resumedAt }, { records: 2_500, resumedAt: 1_000 })
      assert.equal(fixture.standalone.parts.log.endOffset(), 2_500)
      assert.equal((await read(fixture, file)).resumedAt, null, 'a file that was read to its end is skipped')
      assert.equal((await read(fixture, file, { again: true })).resumedAt, 0)
      assert.equal(fixture.standalone.parts.log.endOffset(), 5_000)
    })
  })

  test('a line that is no record is a dead letter with its bytes, file and line, once however often it is read', async () => {
    const file = await fileOf('bad.jsonl', [
      search('ada', 'a'),
      '',
      '{broken',
      search('ada', 'b'),
      { topic: 'nope' },
    ])
    await withFixture(async (fixture) => {
      const report = await read(fixture, file)
      assert.deepEqual([report.records, report.deadLetters], [2, 2])
      await read(fixture, file, { again: true })
      const letters = await fixture.service.deadLetters({ limit: 10 })
      assert.deepEqual(
        letters.map(({ reason }) => reason),
        ['ingest-line', 'record-topic-unknown'],
      )
      const { valueBase64, headers } = await fixture.service.deadLetter(letters[0]!.id)
      assert.equal(Buffer.from(valueBase64!, 'base64').toString(), '{broken')
      assert.deepEqual(headers, { 'freshet.dlq.file': file.path, 'freshet.dlq.line': '3' })
    })
  })

  test('a line set aside because its topic was missing comes in when it is retried with the topic configured', async () => {
    const line = { ...search('ada', 'from elsewhere'), topic: 'elsewhere' }
    const topics = [{ topic: 'elsewhere', holds: 'search', format: 'json' }]
    await withFixture(
      async (fixture) => {
        const { parts } = fixture.standalone
        const letter = {
          topic: 'ingest',
          partition: 1,
          offset: 0,
          appendTimeMs: NOW_MS,
          key: null,
          value: Buffer.from(JSON.stringify(line)),
          headers: {},
          reason: 'record-topic-unknown',
          error: 'expected a topic',
          attempts: 1,
          failedAtMs: NOW_MS,
        }
        await parts.deadLetters.put([letter, { ...letter, offset: 1, value: Buffer.from('{broken') }])
        assert.equal(await fixture.service.retryDeadLetters({}), 1)
        await fixture.settle()
        assert.equal((await fixture.service.user(ref('ada'))).events.search, 1)
        assert.equal(
          (await fixture.service.deadLetters({ limit: 10 })).length,
          1,
          'what is still no record stays',
        )
      },
      { 'events.topics': topics },
    )
  })

  test('lines longer than a chunk, without an end, or with CRLF are read as they are', async () => {
    const long = search('ada', 'long '.repeat(300_000))
    const path = join(root, 'odd.jsonl')
    writeFileSync(path, `${JSON.stringify(long)}\r\n${JSON.stringify(search('ada', 'last'))}`)
    const file = await openImportFile(path, [])
    const raws: unknown[] = []
    for await (const { raw, index } of file.items())
      raws.push([index, JSON.parse(Buffer.from(raw).toString()).query.length])
    assert.deepEqual(raws, [
      [0, 1_500_000],
      [1, 4],
    ])
  })

  test('an Avro container comes in record by record; one that is cut off keeps what was whole, and says so', async () => {
    const records = Array.from({ length: 1_500 }, (_, i) => {
      const { topic: _topic, ...record } = search(`u${i % 3}`, `query ${i}`)
      return record
    })
    const path = join(root, 'searches.avro')
    await writeContainer(path, ownSchema('search'), records)
    await withFixture(async (fixture) => {
      const { topics } = fixture.standalone.parts.settings.events
      await read(fixture, await openImportFile(path, topics))
      assert.equal(fixture.standalone.parts.log.endOffset(), 1_500)
      const cut = join(root, 'cut.avro')
      writeFileSync(cut, readFileSync(path).subarray(0, -2_000))
      const { records, damage } = await read(fixture, await openImportFile(cut, topics))
      assert.match(damage!, /^container-file: .*cut\.avro/)
      assert.ok(records > 1_000 && records < 1_500, `${records} records before the damage stay`)
      assert.equal(fixture.standalone.parts.log.endOffset(), 1_500 + records)
      const nobody = await openImportFile(path, [])
      await assert.rejects(read(fixture, nobody, { again: true }), { code: 'import-schema' })
    })
  })

  test('a full disk stops an append whole, says so, and the import goes on once there is room', async () => {
    const lines = Array.from({ length: 3_000 }, (_, i) =>
      search(`u${i % 7}`, `query ${i} ${'x'.repeat(300)}`),
    )
    const file = await fileOf('full.jsonl', lines)
    await withFixture(async (fixture) => {
      const { main } = fixture.standalone.parts.directory
      main.exec('PRAGMA max_page_count = 250')
      await assert.rejects(read(fixture, file), { name: 'UnavailableError', code: 'disk-full' })
      main.exec('PRAGMA max_page_count = 1000000')
      await read(fixture, file)
      assert.equal(fixture.standalone.parts.log.endOffset(), 3_000)
    })
  })
})
