/** Schemas as set: with a registry, without one, and with one that can't be right. */

import assert from 'node:assert/strict'
import { after, before, beforeEach, describe, test } from 'node:test'
import { openSchemas } from '../../src/cli/open-schemas.ts'
import { loadSettings } from '../../src/config/load-settings.ts'
import { ConfigError, UnavailableError } from '../../src/errors.ts'
import { ownSchema } from '../../src/events/own-schemas.ts'
import type { Holds, TopicSettings } from '../../src/events/topic.ts'
import { type RegistryDouble, startRegistryDouble } from '../drivers/registry/registry-double.ts'

let double: RegistryDouble
let said: string[] = []

function opened(flags: Record<string, unknown> = {}) {
  const ids = { 'events.schemas.ids': { 7: 'search' } }
  const { settings } = loadSettings({ file: null, env: {}, flags: { ...ids, ...flags } })
  return openSchemas(settings, (_component, text) => said.push(text))
}

describe('schemas as set', () => {
  before(async () => {
    double = await startRegistryDouble({ username: 'me', password: 'horse' })
    double.put('app-value', ownSchema('app'))
  })

  beforeEach(() => {
    double.fault = null
    said = []
  })

  after(() => double.close())

  const named = () => ({
    'events.registry.urls': [double.url],
    'events.registry.username': 'me',
    'events.registry.password': 'horse',
  })

  test('without a registry the directory knows all there is to know', async () => {
    const { schemas, close } = await opened()
    assert.deepEqual([schemas.byId(7), schemas.byId(1)], [ownSchema('search'), undefined])
    close()
  })

  test('with one, what the directory lacks is asked for', async () => {
    const { schemas, close } = await opened(named())
    assert.deepEqual(schemas.byId(7), ownSchema('search'))
    let asked: unknown
    assert.throws(
      () => schemas.byId(1),
      (error: unknown) => {
        asked = error
        return error instanceof UnavailableError
      },
    )
    await (asked as UnavailableError).answered
    assert.deepEqual(schemas.byId(1), ownSchema('app'))
    close()
  })

  test('the id to write with is that of a file, else the one that the registry has, under whatever subject', async () => {
    const topicOf = (topic: string, holds: Holds): TopicSettings => ({
      topic,
      holds,
      format: 'avro-confluent',
      schema: null,
      fields: null,
    })
    const search = topicOf('searches', 'search')
    const app = topicOf('app', 'app')
    const spm = topicOf('pages', 'spm')
    const paybill = topicOf('orders', 'paybill')
    const alone = await opened()
    assert.equal(await alone.findId(search, ownSchema('search')), 7)
    assert.equal(await alone.findId(app, ownSchema('app')), undefined)
    double.put('searches-value', ownSchema('search'))
    const { id } = double.put('pages-dev.freshet.v1.SpmEvent', ownSchema('spm'))
    const { findId, close } = await opened(named())
    assert.equal(await findId(search, ownSchema('search')), 7)
    assert.equal(await findId(app, ownSchema('app')), 1)
    assert.equal(await findId(spm, ownSchema('spm')), id)
    assert.equal(await findId(paybill, ownSchema('paybill')), undefined)
    double.fault = { kind: 'down' }
    await assert.rejects(findId(spm, ownSchema('spm')), { code: 'registry-unavailable' })
    close()
  })

  test('a wrong secret, or an address of something else, stops the start; a registry that is down doesn’t', async () => {
    const wrong = { ...named(), 'events.registry.password': 'house' }
    await assert.rejects(opened(wrong), { constructor: ConfigError, code: 'registry-unauthorized' })
    double.fault = { kind: 'page' }
    await assert.rejects(opened(named()), { constructor: ConfigError, code: 'registry-answer' })
    double.fault = { kind: 'down' }
    const { schemas, close } = await opened(named())
    assert.throws(() => schemas.byId(1), UnavailableError)
    assert.equal(said.length, 1)
    assert.match(said[0]!, /schema registry.*other side closed.*records whose schema it has wait/)
    close()
  })
})
