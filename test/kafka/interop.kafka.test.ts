/** Other clients' records and tools: kcat's events in every frame and compression, schemas that change, and Kafka's own view. */

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { partitionOf } from '../../src/drivers/kafka/partitioner.ts'
import { RegistryClient } from '../../src/drivers/registry/registry-client.ts'
import { RegistrySchemas } from '../../src/drivers/registry/registry-schemas.ts'
import { ConfigError } from '../../src/errors.ts'
import { avroType, encodeAvro } from '../../src/events/avro.ts'
import { ownSchema } from '../../src/events/own-schemas.ts'
import { directorySchemas } from '../../src/events/schema-source.ts'
import type { SourceRecord } from '../../src/events/source-record.ts'
import { systemClock } from '../../src/pipeline/clock.ts'
import { startRegistryDouble } from '../drivers/registry/registry-double.ts'
import { Appender, until } from './driver-fixture.ts'
import { installKafka } from './jars.ts'
import { findJava, onPath } from './java.ts'
import { kafkaSuite } from './kafka-suite.ts'
import { readRecords } from './kafkajs-records.ts'
import { kcatConsume, kcatMissing, kcatProduce } from './kcat.ts'
import { newWorld, say, searches, settles, type World } from './world.ts'
import { committedAll, openOwner } from './world-worker.ts'

const GUID = '0123abcd-4567-89ef-0123-456789abcdef'
const skip = kcatMissing() ?? false

interface AvroField {
  name: string
  type: unknown
  aliases?: string[]
}

/** The schema of a search as another team writes it: the query under another name, its time in an int. */
function othersSearch() {
  const schema = structuredClone(ownSchema('search')) as { fields: AvroField[] }
  for (const field of schema.fields)
    if (field.name === 'query') Object.assign(field, { name: 'text', aliases: ['query'] })
  return schema
}

function search(schema: unknown, user: string, query: string, field = 'query'): Buffer {
  const header = { event_id: query, user_id: user, event_time: Date.now() - 1_000, source: 'kcat' }
  return encodeAvro(avroType(schema), { header, [field]: query })
}

function withId(id: number, payload: Buffer): Buffer {
  const frame = Buffer.alloc(5)
  frame.writeUInt32BE(id, 1)
  return Buffer.concat([frame, payload])
}

const withGuid = (payload: Buffer) =>
  Buffer.concat([Buffer.from([1]), Buffer.from(GUID.replaceAll('-', ''), 'hex'), payload])

/** As kcat reads them: librdkafka knows every compression. */
async function readByKcat(bootstrap: string, topics: readonly string[]): Promise<SourceRecord[]> {
  const records: SourceRecord[] = []
  for (const topic of topics)
    for (const { partition, offset, timestampMs, key, value } of await kcatConsume(bootstrap, topic))
      records.push({ topic, partition, offset, appendTimeMs: timestampMs, key, value })
  return records
}

/** Writers' schemas in files, under the ids that the operator gives them. */
function schemaFiles(
  t: TestContext,
  schemas: Readonly<Record<string, unknown>>,
  ids: Record<string, string>,
) {
  const directory = mkdtempSync(join(tmpdir(), 'freshet-schemas-'))
  t.after(() => rmSync(directory, { recursive: true, force: true }))
  for (const [name, schema] of Object.entries(schemas))
    writeFileSync(join(directory, `${name}.avsc`), JSON.stringify(schema))
  return directorySchemas(directory, ids)
}

async function registryOf(t: TestContext) {
  const registry = await startRegistryDouble()
  t.after(() => registry.close())
  const settings = { urls: [registry.url], username: null, password: null, timeoutMs: 2_000, cacheSize: 10 }
  const schemas = new RegistrySchemas({
    client: new RegistryClient(settings, { roundsMax: 1 }),
    directory: directorySchemas(null),
    cacheSize: 10,
    nowMs: () => systemClock.nowMs(),
    sleep: (ms, signal) => systemClock.sleep(ms, signal),
  })
  t.after(() => schemas.close())
  return { registry, schemas }
}

const letters = (world: World) => readRecords(world.bootstrap, [`${world.topics[0].topic}.dlq`])

kafkaSuite('other clients of Kafka', () => {
  test('kcat’s events with headers, in lz4 and zstd, in the frames of an id and of a GUID, become the vectors they ask for', {
    skip,
  }, async (t) => {
    const ids = { 7: 'ours', 8: 'theirs', [GUID]: 'ours' }
    const [ours, theirs] = [ownSchema('search'), othersSearch()]
    const schemas = schemaFiles(t, { ours, theirs }, ids)
    const world = await newWorld(t, { events: { format: 'avro-confluent' }, schemas, read: readByKcat })
    const worker = await openOwner(t, world)
    const { topic } = world.topics[0]
    const users = Array.from({ length: 30 }, (_, i) => `user-${i}`)
    for (const [compression, frame] of [
      ['lz4', (user: string) => withId(7, search(ours, user, `id ${user}`))],
      ['zstd', (user: string) => withGuid(search(ours, user, `guid ${user}`))],
      // Renamed, with our name as its alias.
      ['none', (user: string) => withId(8, search(theirs, user, `alias ${user}`, 'text'))],
    ] as const)
      await kcatProduce(
        world.bootstrap,
        topic,
        users.map((user) => ({ key: user, value: frame(user) })),
        {
          compression,
          partitioner: 'murmur2_random',
          headers: [
            ['trace', 't-1'],
            ['trace', 't-2'],
          ],
        },
      )
    await committedAll(world, worker)
    const vectors = await settles(world)
    assert.equal(vectors.size, users.length * 3)
    assert.deepEqual(await letters(world), [])
    assert.deepEqual(worker.failures, [])
  })

  test('with a registry, too, by id and by GUID', { skip }, async (t) => {
    const { registry, schemas } = await registryOf(t)
    const ours = ownSchema('search')
    const { id, guid } = registry.put('search-value', ours)
    const forReckoning = schemaFiles(t, { ours }, { [id]: 'ours', [guid]: 'ours' })
    const options = { format: 'avro-confluent' } as const
    const world = await newWorld(t, { events: options, schemas: forReckoning, read: readByKcat })
    const worker = await openOwner(t, world, { schemas })
    const byGuid = Buffer.from(`01${guid.replaceAll('-', '')}`, 'hex')
    const sent = Array.from({ length: 20 }, (_, i) => {
      const payload = search(ours, `u${i}`, `q ${i}`)
      return { key: `u${i}`, value: i % 2 === 0 ? withId(id, payload) : Buffer.concat([byGuid, payload]) }
    })
    await kcatProduce(world.bootstrap, world.topics[0].topic, sent, { partitioner: 'murmur2_random' })
    await committedAll(world, worker)
    await settles(world)
    assert.deepEqual(await letters(world), [])
  })

  test('a GUID in a header alone becomes a vector, and a header of nobody’s a dead letter', async (t) => {
    const { registry, schemas } = await registryOf(t)
    const ours = ownSchema('search')
    const { guid } = registry.put('search-value', ours)
    const schemaId = Buffer.from(`01${guid.replaceAll('-', '')}`, 'hex')
    const read = async (bootstrap: string, topics: readonly string[]) => {
      const records = await readRecords(bootstrap, topics)
      return records.map((record) => (String(record.key) === 'odd' ? record : { ...record, schemaId }))
    }
    const forReckoning = schemaFiles(t, { ours }, { [guid]: 'ours' })
    const world = await newWorld(t, { events: { format: 'avro-confluent' }, schemas: forReckoning, read })
    const worker = await openOwner(t, world, { schemas })
    const appender = new Appender(world.bootstrap)
    t.after(() => appender.close())
    const sent = (user: string, header: Buffer) => ({
      key: user,
      value: search(ours, user, `q ${user}`),
      partition: partitionOf(Buffer.from(user), world.partitionCount),
      headers: { __value_schema_id: header },
    })
    const users = Array.from({ length: 12 }, (_, i) => `u${i}`)
    await appender.append(world.topics[0].topic, [
      ...users.map((user) => sent(user, schemaId)),
      sent('odd', schemaId.subarray(0, 9)),
    ])
    await committedAll(world, worker)
    assert.equal((await settles(world)).size, users.length * 3)
    const [letter, ...others] = await letters(world)
    assert.deepEqual([letter!.headers!['freshet.dlq.reason'], others], ['record-frame', []])
  })

  test('a field that became long where we read an int goes to the dead letters with what to do, and its partition goes on', async (t) => {
    const wide = structuredClone(ownSchema('paybill')) as { fields: AvroField[] }
    for (const field of wide.fields) if (field.name === 'installments') field.type = 'long'
    const schemas = schemaFiles(t, { wide, ours: ownSchema('paybill') }, { 5: 'wide', 6: 'ours' })
    const events = { format: 'avro-confluent', holds: 'paybill' } as const
    const world = await newWorld(t, { events, schemas })
    const worker = await openOwner(t, world)
    const said = {
      header: { event_id: 'p1', user_id: 'u1', event_time: Date.now() - 1_000, source: 'test' },
      status: 'SETTLED',
      direction: 'OUT',
      amount: null,
      merchant_name: 'market',
      category: null,
      item_text: null,
      channel: 'POS',
      installments: 3,
    }
    const pay = (id: number, schema: unknown) => withId(id, encodeAvro(avroType(schema), said))
    const partition = partitionOf(Buffer.from('u1'), world.partitionCount)
    for (const value of [pay(5, wide), pay(6, ownSchema('paybill'))])
      await world.producer.send(world.topics[0].topic, partition, [{ key: Buffer.from('u1'), value }])
    await committedAll(world, worker)
    const [letter, ...others] = await letters(world)
    assert.deepEqual(others, [])
    assert.match(letter!.headers!['freshet.dlq.error']!, /int.*never widen a type.*map the topic's fields/)
    assert.equal(letter!.headers!['freshet.dlq.reason'], 'record-schema-incompatible')
  })

  test('kcat’s own partitioner is refused at the first record that lies elsewhere, with the remedy', {
    skip,
  }, async (t) => {
    const world = await newWorld(t)
    const worker = await openOwner(t, world)
    const sent = Array.from({ length: 50 }, (_, i) => {
      return { key: `u${i}`, value: search(ownSchema('search'), `u${i}`, `q ${i}`) }
    })
    await kcatProduce(world.bootstrap, world.topics[0].topic, sent)
    await until('it has stopped', () => worker.failures.length > 0)
    const [error] = worker.failures
    assert.ok(error instanceof ConfigError && error.code === 'topic-partitioner', String(error))
    assert.match(error.message, /murmur2/)
  })

  test('Kafka’s own client sees our group, its offsets and its lag', {
    skip: onPath('javac', process.env) === null ? 'expected a JDK, which runs a source file' : false,
  }, async (t) => {
    const world = await newWorld(t)
    const a = await openOwner(t, world)
    await say(world, searches(120))
    await committedAll(world, a)
    const ends = new Map<string, number>()
    for (let partition = 0; partition < world.partitionCount; partition++)
      for (const [topic, offset] of await a.source.committed(partition))
        ends.set(`${topic} ${partition}`, offset)
    assert.match(await kafkaSays(world), /^members 1 Stable$/m)
    await a.stop()
    await say(world, searches(40))
    const told = await kafkaSays(world)
    assert.match(told, /^members 0 Empty$/m)
    const seen = told
      .split('\n')
      .filter((line) => line.startsWith(world.prefix))
      .map((line) => line.split(' '))
    assert.deepEqual(new Map(seen.map(([topic, at, offset]) => [`${topic} ${at}`, Number(offset)])), ends)
    assert.equal(
      seen.reduce((total, [, , , lag]) => total + Number(lag), 0),
      40,
    )
  })
})

async function kafkaSays({ bootstrap, prefix }: World): Promise<string> {
  const { jvm } = await installKafka()
  const source = fileURLToPath(new URL('./GroupOffsets.java', import.meta.url))
  const quiet = '-Dorg.slf4j.simpleLogger.defaultLogLevel=error'
  const args = ['-XX:TieredStopAtLevel=1', quiet, '-cp', jvm.classPath, source, bootstrap, prefix]
  const { stdout } = await promisify(execFile)(findJava().command, args, { timeout: 60_000 })
  return stdout
}
