/** Container files of another writer are read whole, and damage is found where it is. */

import assert from 'node:assert/strict'
import { createWriteStream, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { after, before, describe, test } from 'node:test'
import { deflateRawSync, zstdCompressSync } from 'node:zlib'
import avsc from 'avsc'
import { readContainerFile } from '../../src/events/container-file.ts'
import { createIngestEncoder } from '../../src/events/ingest.ts'
import { ownSchema } from '../../src/events/own-schemas.ts'
import { HEADER, recordError, SCHEMAS } from './decoder-fixture.ts'

let directory: string

const CODECS = {
  null: (bytes: Buffer) => bytes,
  deflate: deflateRawSync,
  zstandard: zstdCompressSync,
}

/** Written by avsc, which is not what reads it. */
async function write(
  name: string,
  codec: keyof typeof CODECS,
  count: number,
  compress: (bytes: Buffer) => Buffer = CODECS[codec],
): Promise<string> {
  const path = join(directory, name)
  const codecs = {
    [codec]: (bytes: Buffer, done: (error: null, value: Buffer) => void) => done(null, compress(bytes)),
  }
  const encoder = new avsc.streams.BlockEncoder(ownSchema('search') as avsc.Schema, {
    codec,
    codecs: codecs as never,
    blockSize: 4_096,
  })
  for (let at = 0; at < count; at++)
    encoder.write({ header: { ...HEADER, event_id: `e${at}`, event_time: at }, query: `query ${at}` })
  encoder.end()
  await pipeline(encoder, createWriteStream(path))
  return path
}

async function read(
  path: string,
): Promise<{ queries: string[]; schemaNames: Set<string>; error: unknown; last: number }> {
  const schemaNames = new Set<string>()
  const queries: string[] = []
  let last = 0
  try {
    for await (const record of readContainerFile(path)) {
      assert.ok(record.fileBytes >= last)
      last = record.fileBytes
      schemaNames.add(record.schemaName)
      queries.push((record.value as { query?: string }).query ?? '')
    }
    return { queries, schemaNames, error: null, last }
  } catch (error) {
    return { queries, schemaNames, error, last }
  }
}

describe('container files', () => {
  before(() => {
    directory = mkdtempSync(join(tmpdir(), 'freshet-container-'))
  })
  after(() => rmSync(directory, { recursive: true }))

  for (const codec of Object.keys(CODECS) as (keyof typeof CODECS)[])
    test(`a file of many blocks in codec ${codec} gives every record in order, up to its last byte`, async () => {
      const path = await write(`${codec}.avro`, codec, 1_000)
      const { queries, schemaNames, error, last } = await read(path)
      assert.equal(error, null)
      assert.deepEqual(
        queries,
        Array.from({ length: 1_000 }, (_, at) => `query ${at}`),
      )
      assert.deepEqual([...schemaNames], ['SearchEvent'])
      assert.equal(last, (await readFile(path)).length)
    })

  test('the records of a file become records of a topic', async () => {
    const path = await write('ingest.avro', 'null', 3)
    const topic = { topic: 's', holds: 'search', format: 'json', schema: null, fields: null } as const
    const ingest = createIngestEncoder({ topics: [topic], schemas: SCHEMAS })
    const keys: string[] = []
    for await (const { value } of readContainerFile(path))
      keys.push(String(ingest.object({ topic: 's', ...(value as object) }).key))
    assert.deepEqual(keys, ['u1', 'u1', 'u1'])
  })

  test('a file that ends early, a flipped byte and a file of another kind are each said; what came before was given', async () => {
    const whole = await readFile(await write('whole.avro', 'null', 500))
    const path = join(directory, 'damaged.avro')
    writeFileSync(path, whole.subarray(0, whole.length - 100))
    const short = await read(path)
    assert.ok(recordError('container-file', /an end within a block/)(short.error), String(short.error))
    assert.ok(short.queries.length > 100 && short.queries.length < 500)

    const flipped = Buffer.from(whole)
    flipped[whole.length - 3]! ^= 0xff
    writeFileSync(path, flipped)
    assert.ok(recordError('container-file', /sync marker/)((await read(path)).error))

    const trailing = await write('trailing.avro', 'null', 5, (bytes) =>
      Buffer.concat([bytes, Buffer.alloc(2)]),
    )
    const tooLong = await read(trailing)
    assert.ok(recordError('container-file', /2 bytes after a block's last record/)(tooLong.error))
    assert.equal(tooLong.queries.length, 5)

    writeFileSync(path, 'topic,user\na,b\n'.repeat(100))
    assert.ok(recordError('container-file')((await read(path)).error))
    writeFileSync(path, '')
    assert.ok(recordError('container-file')((await read(path)).error))
  })

  test('flipped bytes anywhere give fewer records or an error, never a hang', async () => {
    const whole = await readFile(await write('fuzz.avro', 'deflate', 200))
    const path = join(directory, 'fuzzed.avro')
    for (let at = 0; at < whole.length; at += 37) {
      const damaged = Buffer.from(whole)
      damaged[at]! ^= 0x40
      writeFileSync(path, damaged)
      const { error } = await read(path)
      assert.ok(error === null || recordError('container-file')(error), String(error))
    }
  })
})
