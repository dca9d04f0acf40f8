/** `config lint` of topics: every fault of a settings file with its line. */

import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { loadSettings } from '../../src/config/load-settings.ts'
import { ConfigError } from '../../src/errors.ts'
import { lintTopics } from '../../src/events/lint-topics.ts'
import { directorySchemas } from '../../src/events/schema-source.ts'

const SETTINGS = `events:
  topics:
    - { topic: behavior.app, holds: app }
    - topic: shop.orders
      holds: paybill
      format: avro-raw
      schema: order
      fields:
        user_id: buyer
        event_id: id
        event_time: { path: placed, unit: s }
        status: { path: state, values: { paid: SETTLED } }
        merchant: shop
        amount_minor: totl
    - topic: other.orders
      holds: paybill
      format: avro-raw
      schema: order
    - topic: third
      holds: search
      format: avro-raw
      schema: queries
  schemas:
    directory: DIRECTORY
    ids: { 7: order.avsc }
`

const ORDER = {
  type: 'record',
  name: 'Order',
  fields: [
    { name: 'id', type: 'string' },
    { name: 'buyer', type: ['null', 'string'] },
    { name: 'placed', type: 'bytes' },
    { name: 'state', type: { type: 'enum', name: 'State', symbols: ['paid', 'open'] } },
    { name: 'total', type: 'long' },
  ],
}

test('lint says what does not fit in topics, mappings and schemas, each with its line', () => {
  const directory = mkdtempSync(join(tmpdir(), 'freshet-lint-'))
  try {
    const file = join(directory, 'settings.yaml')
    writeFileSync(file, SETTINGS.replace('DIRECTORY', directory))
    writeFileSync(join(directory, 'order.avsc'), JSON.stringify(ORDER))
    const { settings, placeOf } = loadSettings({ file, env: {} })
    const { directory: schemaDirectory, ids } = settings.events.schemas
    const schemas = directorySchemas(schemaDirectory, ids)
    assert.deepEqual(schemas.byId(7), ORDER)
    const said = lintTopics(settings.events.topics, schemas).map(({ at, severity, message }) => {
      const place = placeOf(['events', 'topics', ...at]).replace(file, 'settings.yaml')
      return `${place}: ${severity}: ${at.join('.')}: ${message}`
    })
    assert.deepEqual(said, [
      'settings.yaml:9: warning: 1.fields.user_id: required, but buyer may be null: such records go to the dead letters',
      "settings.yaml:11: error: 1.fields.event_time: placed is a bytes, which can't become a time",
      'settings.yaml:12: warning: 1.fields.status: open will read as UNKNOWN: add them to values',
      'settings.yaml:13: error: 1.fields.merchant: no such field of paybill: use one of user_id, event_id, event_time, source, tenant, status, direction, amount_minor, currency, merchant_name, category, item_text, channel, installments',
      "settings.yaml:14: error: 1.fields.amount_minor: totl is not in the writer's schema",
      "settings.yaml:18: error: 2.schema: topic other.orders: the writer schema order must be readable as dev.freshet.v1.PayBillEvent, got: no alias found for Order: give new fields a default, add an enum default, never widen a type in a shared topic, or map the topic's fields in the configuration",
      'settings.yaml:22: error: 3.schema: topic third must name a known schema, got queries: put queries.avsc into events.schemas.directory',
    ])
  } finally {
    rmSync(directory, { recursive: true })
  }
})

test('schema directories that are missing, hold no JSON, no schema, or lack a named file are refused', () => {
  const directory = mkdtempSync(join(tmpdir(), 'freshet-schemas-'))
  const refused = (code: string, open: () => unknown) =>
    assert.throws(open, (error) => error instanceof ConfigError && error.code === code)
  try {
    refused('schemas-unreadable', () => directorySchemas(join(directory, 'none')))
    refused('schemas-id-without-file', () => directorySchemas(directory, { 7: 'order' }))
    writeFileSync(join(directory, 'order.avsc'), '{"type":"recrod"}')
    refused('schemas-invalid', () => directorySchemas(directory))
    writeFileSync(join(directory, 'order.avsc'), '{')
    refused('schemas-unreadable', () => directorySchemas(directory))
  } finally {
    rmSync(directory, { recursive: true })
  }
})
