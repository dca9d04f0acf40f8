/** What is said about a subject, by what a registry has; and that registering never forces anything. */

import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, test } from 'node:test'
import { RegistryClient } from '../../../src/drivers/registry/registry-client.ts'
import {
  registerSubject,
  reportSubject,
  type SubjectReport,
  type SubjectStrategy,
} from '../../../src/drivers/registry/subject-report.ts'
import { UnavailableError } from '../../../src/errors.ts'
import { ownSchema } from '../../../src/events/own-schemas.ts'
import { directorySchemas } from '../../../src/events/schema-source.ts'
import type { TopicSettings } from '../../../src/events/topic.ts'
import { HOLDS } from '../../events/decoder-fixture.ts'
import { type RegistryDouble, type RegistryDoubleOptions, startRegistryDouble } from './registry-double.ts'

interface Schema {
  name: string
  fields: { name: string; type: unknown; default?: unknown }[]
}

const SCHEMAS = directorySchemas(null)
const SUBJECT = 'behavior.search-value'
const TEXT = JSON.stringify(ownSchema('search'))
const SEARCH: TopicSettings = {
  topic: 'behavior.search',
  holds: 'search',
  format: 'avro-confluent',
  schema: null,
  fields: null,
}

let double: RegistryDouble
let client: RegistryClient

async function connect(options: RegistryDoubleOptions = {}): Promise<void> {
  double = await startRegistryDouble(options)
  const settings = { urls: [double.url], username: null, password: null, timeoutMs: 5_000, cacheSize: 10 }
  client = new RegistryClient(settings, { roundsMax: 1 })
}

const report = (topic = SEARCH, strategy: SubjectStrategy = 'topic') =>
  reportSubject(client, topic, SCHEMAS, strategy)

async function registered(
  topic = SEARCH,
  options: { dryRun?: boolean; keepLevel?: boolean; strategy?: SubjectStrategy } = {},
): Promise<SubjectReport> {
  const { dryRun = false, keepLevel = false, strategy } = options
  const found = await report(topic, strategy)
  await registerSubject(client, found, topic, SCHEMAS, { dryRun, keepLevel })
  return found
}

/** Ours with other fields. */
function search(change: (fields: Schema['fields']) => Schema['fields']): Schema {
  const schema = structuredClone(ownSchema('search')) as Schema
  return { ...schema, fields: change(schema.fields) }
}

const writes = () =>
  double.requests.filter((request) => /^(PUT|POST \/subjects\/[^/]*\/versions)/.test(request))

describe('a subject', () => {
  beforeEach(() => connect())

  afterEach(() => double.close())

  test('that nobody has is missing, and registering gives it the level that suits it first', async () => {
    const found = await report()
    assert.deepEqual(found, {
      topic: 'behavior.search',
      subject: SUBJECT,
      status: 'missing',
      level: 'BACKWARD',
      levelRecommended: 'FULL_TRANSITIVE',
      id: null,
      version: null,
      versionNewest: null,
      reasons: [],
      unreadable: [],
      warnings: [],
      done: null,
    })
    assert.deepEqual(writes(), [])
    const { done, id, level } = await registered()
    assert.deepEqual([done, id, level], ['registered', 1, 'FULL_TRANSITIVE'])
    assert.deepEqual(writes(), [`PUT /config/${SUBJECT}`, `POST /subjects/${SUBJECT}/versions`])
    assert.equal(double.levelOf(SUBJECT), 'FULL_TRANSITIVE')
    const again = await registered()
    assert.deepEqual(
      [again.status, again.version, again.id, again.done, again.warnings],
      ['same', 1, 1, null, []],
    )
    assert.equal(writes().length, 2)
  })

  test('a dry run writes nothing, and a level is left alone where that is asked', async () => {
    assert.equal((await registered(SEARCH, { dryRun: true })).done, 'would-register')
    assert.deepEqual(writes(), [])
    const { done, level } = await registered(SEARCH, { keepLevel: true })
    assert.deepEqual([done, level, double.levelOf(SUBJECT)], ['registered', 'BACKWARD', undefined])
  })

  test('every schema that we ship registers under its level, and is the same from then on', async () => {
    for (const holds of HOLDS) {
      const topic = { ...SEARCH, topic: holds, holds }
      assert.equal((await registered(topic)).done, 'registered')
      const { status, unreadable } = await report(topic)
      assert.deepEqual([status, unreadable], ['same', []])
      const expected = holds === 'userqa' ? 'BACKWARD_TRANSITIVE' : 'FULL_TRANSITIVE'
      assert.equal(double.levelOf(`${holds}-value`), expected)
    }
  })

  test('with an older version of ours it is compatible, and registering makes ours the next one', async () => {
    double.put(
      SUBJECT,
      search((fields) => fields.filter(({ default: value }) => value === undefined)),
    )
    const { status, versionNewest, unreadable, warnings } = await report()
    assert.deepEqual([status, versionNewest, unreadable], ['compatible', 1, []])
    assert.deepEqual(warnings, ['the level is BACKWARD, and FULL_TRANSITIVE is recommended'])
    const { done, id } = await registered()
    assert.deepEqual([done, id], ['registered', 2])
    assert.equal(double.levelOf(SUBJECT), undefined, 'a subject that is there keeps its level')
    assert.deepEqual([(await report()).status, double.versionsOf(SUBJECT)], ['same', 2])
  })

  test('a level that forbids ours is obeyed, with the registry’s reasons', async () => {
    double.level = 'FULL'
    double.put(
      SUBJECT,
      search((fields) => [...fields, { name: 'must', type: 'string' }]),
    )
    const found = await registered()
    assert.deepEqual([found.status, found.done, found.id], ['incompatible', null, null])
    assert.equal(found.reasons.length, 1)
    assert.match(found.reasons[0]!, /READER_WRITER_MISMATCH.*must/)
    assert.deepEqual(writes(), [])
  })

  test('where the registry gives no reasons, ours are given', async () => {
    await double.close()
    await connect({ givesReasons: false })
    double.level = 'FULL_TRANSITIVE'
    double.put(
      SUBJECT,
      search((fields) => [...fields, { name: 'must', type: 'string' }]),
    )
    double.put(
      SUBJECT,
      search((fields) => fields.map((one) => (one.name === 'query' ? { ...one, type: 'long' } : one))),
    )
    const { reasons } = await report()
    assert.equal(reasons.length, 3)
    assert.match(reasons[0]!, /^version 1 can't read ours: .*must/)
    assert.match(reasons[1]!, /^ours can't read version 2: .*string/)
    assert.match(reasons[2]!, /^version 2 can't read ours: .*long/)
  })

  test('what the recommended level would forbid is said before somebody finds out', async () => {
    double.put(
      SUBJECT,
      search((fields) => [...fields, { name: 'must', type: 'string' }]),
    )
    const { status, warnings } = await report()
    assert.equal(status, 'compatible')
    assert.match(warnings[1]!, /^under FULL_TRANSITIVE: version 1 can't read ours: .*must/)
  })

  test('a version whose records would be dead letters is named, even where ours is registered, too', async () => {
    double.level = 'NONE'
    double.put(SUBJECT, TEXT)
    double.put(
      SUBJECT,
      search((fields) => fields.filter(({ name }) => name !== 'query')),
    )
    double.put(SUBJECT, 'syntax = "proto3";', { schemaType: 'PROTOBUF' })
    const { status, version, versionNewest, unreadable } = await report()
    assert.deepEqual([status, version, versionNewest], ['same', 1, 3])
    assert.deepEqual(
      unreadable.map(({ version, id }) => [version, id]),
      [
        [2, 2],
        [3, 3],
      ],
    )
    assert.match(unreadable[0]!.reason, /query/)
    assert.match(unreadable[1]!.reason, /PROTOBUF/)
  })

  test('subjects are named after the topic, the record, or both', async () => {
    const names = await Promise.all(
      (['topic', 'record', 'topic-record'] as const).map(
        async (strategy) => (await report(SEARCH, strategy)).subject,
      ),
    )
    assert.deepEqual(names, [
      'behavior.search-value',
      'dev.freshet.v1.SearchEvent',
      'behavior.search-dev.freshet.v1.SearchEvent',
    ])
    await registered(SEARCH, { strategy: 'record' })
    assert.equal(double.versionsOf('dev.freshet.v1.SearchEvent'), 1)
  })

  test('a mapped topic is its producer’s: nothing is registered, and each version is held against the mapping', async () => {
    const topic: TopicSettings = {
      ...SEARCH,
      topic: 'shop.queries',
      fields: { user_id: 'who', event_id: 'id', event_time: 'at', query: 'q' },
    }
    const field = (name: string, type: unknown = 'string') => ({ name, type })
    const record = (...fields: unknown[]) => ({ type: 'record', name: 'Query', fields })
    const missing = await registered(topic)
    assert.deepEqual(
      [missing.status, missing.subject, missing.versionNewest],
      ['mapped', 'shop.queries-value', null],
    )
    double.put('shop.queries-value', record(field('who'), field('id'), field('at', 'long'), field('q')))
    double.put('shop.queries-value', record(field('who'), field('id'), field('at', 'long')))
    const { status, done, unreadable } = await registered(topic)
    assert.deepEqual([status, done], ['mapped', null])
    assert.deepEqual(unreadable, [{ version: 2, id: 2, reason: "query: q is not in the writer's schema" }])
    assert.equal((await report(topic, 'record')).subject, null)
    assert.deepEqual(writes(), [])
  })

  test('a refusal that comes after the check is passed on, and a registry that goes away is nobody’s fault', async () => {
    const found = await report()
    double.level = 'FULL'
    double.put(
      SUBJECT,
      search((fields) => [...fields, { name: 'must', type: 'string' }]),
    )
    await registerSubject(client, found, SEARCH, SCHEMAS, { dryRun: false, keepLevel: true })
    assert.equal(found.done, 'refused')
    assert.match(found.reasons[0]!, /incompatible: .*must/)
    double.fault = { kind: 'down' }
    await assert.rejects(report(), UnavailableError)
  })
})
