import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { type TestContext, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { settingsSchema } from '../../../src/config/settings.ts'
import { partitionOf } from '../../../src/drivers/kafka/partitioner.ts'
import { createRecordDecoder } from '../../../src/events/decoder.ts'
import { directorySchemas } from '../../../src/events/schema-source.ts'
import { startBroker } from '../../kafka/broker.ts'
import { until } from '../../kafka/driver-fixture.ts'
import { kafkaSuite } from '../../kafka/kafka-suite.ts'
import { createTopic, endOffsets, readRecords } from '../../kafka/kafkajs-records.ts'

const SCRIPT = fileURLToPath(new URL('../../../examples/kafka/produce.ts', import.meta.url))
const PARTITIONS = 7
const { topics, valueBytesMax } = settingsSchema.parse({}).events

function produce(t: TestContext, bootstrap: string, ...args: string[]) {
  const child = spawn(process.execPath, [SCRIPT, '--brokers', bootstrap, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  t.after(() => child.kill('SIGKILL'))
  let printed = ''
  let complained = ''
  child.stderr.on('data', (chunk) => {
    complained += chunk
  })
  child.stdout.on('data', (chunk) => {
    printed += chunk
  })
  return { child, printed: () => printed, complained: () => complained }
}

kafkaSuite('the example producer', () => {
  test('what it publishes can be decoded, lies where murmur2 says, in the order of the events, until Ctrl-C', async (t) => {
    // Its topics are the default ones, which other tests of a shared broker may want, too.
    const broker = await startBroker()
    t.after(() => broker.close())
    const { bootstrap } = broker
    const names = topics.map(({ topic }) => topic)
    for (const topic of names) await createTopic(bootstrap, topic, PARTITIONS)
    const bounded = produce(t, bootstrap, '--users', '30', '--rate', '1000', '--events', '700')
    assert.deepEqual(await once(bounded.child, 'close'), [0, null])
    assert.match(bounded.printed(), /^700 records published\n$/m)
    assert.equal(bounded.complained(), '')

    const records = await readRecords(bootstrap, names)
    assert.equal(records.length, 700)
    const decoder = createRecordDecoder({ topics, valueBytesMax, schemas: directorySchemas(null) })
    const users = new Set<string>()
    const lastMs = new Map<string, number>()
    for (const record of records) {
      assert.equal(record.partition, partitionOf(record.key!, PARTITIONS))
      const decoded = decoder.decode(record)
      assert.ok(decoded.kind === 'event' || decoded.kind === 'tabular')
      assert.equal(decoded.user, String(record.key))
      users.add(decoded.user)
      const atMs = decoded.kind === 'event' ? decoded.event.eventTimeMs : decoded.asOfMs
      assert.ok(atMs <= record.appendTimeMs + 1, `an event of ${atMs} was appended at ${record.appendTimeMs}`)
      const place = `${record.topic} ${decoded.user}`
      assert.ok(atMs >= (lastMs.get(place) ?? 0))
      lastMs.set(place, atMs)
    }
    assert.ok(users.size > 20, `${users.size} users`)

    const endless = produce(t, bootstrap, '--rate', '200')
    const count = async () => {
      const ends = await Promise.all(names.map((topic) => endOffsets(bootstrap, topic)))
      return ends.flat().reduce((sum, end) => sum + end, 0)
    }
    await until('it publishes on', async () => (await count()) > 800)
    endless.child.kill('SIGINT')
    assert.deepEqual(await once(endless.child, 'close'), [0, null])
    const told = Number(/(\d+) records published\n$/.exec(endless.printed())?.[1])
    assert.equal(await count(), 700 + told)
    assert.equal(endless.complained(), '')
  })
})
