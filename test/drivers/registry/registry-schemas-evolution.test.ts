/** A producer changes its schema under us: from the registry's answer to the decoded record, in both frames. */

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { RegistryClient } from '../../../src/drivers/registry/registry-client.ts'
import { RegistrySchemas } from '../../../src/drivers/registry/registry-schemas.ts'
import { RecordError, UnavailableError } from '../../../src/errors.ts'
import { avroType, encodeAvro } from '../../../src/events/avro.ts'
import type { UserRecord } from '../../../src/events/behavior-event.ts'
import { createRecordDecoder } from '../../../src/events/decoder.ts'
import { ownSchema } from '../../../src/events/own-schemas.ts'
import { directorySchemas } from '../../../src/events/schema-source.ts'
import type { RecordDecoder } from '../../../src/events/source-record.ts'
import type { FieldRules } from '../../../src/events/topic.ts'
import { HEADER, recordError, sourceRecord } from '../../events/decoder-fixture.ts'
import { type RegistryDouble, startRegistryDouble } from './registry-double.ts'

type Json = Record<string, unknown>
interface Field extends Json {
  name: string
  type: unknown
}
interface Schema extends Json {
  fields: Field[]
}

const FIELDS_OF_ORDER: FieldRules = {
  user_id: 'buyer',
  event_id: 'id',
  event_time: 'placed',
  installments: 'parts',
  merchant_name: 'shop',
}

let double: RegistryDouble

/** A decoder as in a process that has just started: it has asked the registry for nothing yet. */
function freshDecoder(): RecordDecoder {
  const settings = { urls: [double.url], username: null, password: null, timeoutMs: 5_000, cacheSize: 10 }
  const schemas = new RegistrySchemas({
    client: new RegistryClient(settings, { roundsMax: 1 }),
    directory: directorySchemas(null),
    cacheSize: 10,
    sleep: async () => {},
  })
  const format = 'avro-confluent'
  return createRecordDecoder({
    topics: [
      { topic: 'paybill', holds: 'paybill', format, schema: null, fields: null },
      { topic: 'spm', holds: 'spm', format, schema: null, fields: null },
      { topic: 'orders', holds: 'paybill', format, schema: null, fields: FIELDS_OF_ORDER },
    ],
    schemas,
  })
}

/** As the pipeline does: a record whose schema isn't known waits, and is read again from its bytes. */
async function decoded(decoder: RecordDecoder, topic: string, value: Buffer): Promise<UserRecord> {
  for (;;)
    try {
      return decoder.decode(sourceRecord(topic, 'u1', value))
    } catch (error) {
      if (!(error instanceof UnavailableError) || error.answered === null) throw error
      await error.answered
    }
}

/** Registers a schema, and gives what its producer would write: with the 5-byte frame, and with the 17-byte one. */
function written(topic: string, schema: unknown, value: unknown): Buffer[] {
  const { id, guid } = double.put(`${topic}-value`, schema)
  const idFrame = Buffer.alloc(5)
  idFrame.writeUInt32BE(id, 1)
  const guidFrame = Buffer.concat([Buffer.from([1]), Buffer.from(guid.replaceAll('-', ''), 'hex')])
  const payload = encodeAvro(avroType(schema), value)
  return [idFrame, guidFrame].map((frame) => Buffer.concat([frame, payload]))
}

/** The fields of an event as every new process reads them, whichever frame they came in. */
async function readAs(topic: string, schema: unknown, value: unknown): Promise<Json> {
  const said = await Promise.all(
    written(topic, schema, value).map((bytes) => decoded(freshDecoder(), topic, bytes)),
  )
  assert.deepEqual(said[1], said[0])
  return said[0]!.kind === 'event' ? (said[0]!.event.fields as unknown as Json) : { kind: said[0]!.kind }
}

async function refused(topic: string, schema: unknown, value: unknown, message: RegExp): Promise<void> {
  for (const bytes of written(topic, schema, value))
    await assert.rejects(
      decoded(freshDecoder(), topic, bytes),
      recordError('record-schema-incompatible', message),
    )
}

/** Ours, as a producer of its own would change it. */
function changed(
  holds: 'paybill' | 'spm',
  change: (field: Field) => Field | null,
  ...added: Field[]
): Schema {
  const schema = structuredClone(ownSchema(holds)) as Schema
  const fields = schema.fields.flatMap((field) => change(field) ?? [])
  return { ...schema, fields: [...added, ...fields] }
}

const field = (name: string, change: (field: Field) => Field | null) => (one: Field) =>
  one.name === name ? change(one) : one

const PAYMENT = { header: HEADER, status: 'SETTLED', merchant_name: 'corner shop', installments: 3 }

describe('schemas that change', () => {
  before(async () => {
    double = await startRegistryDouble()
  })

  after(() => double.close())

  test('ours comes through as it is', async () => {
    const { merchantName, installments, status } = await readAs('paybill', ownSchema('paybill'), PAYMENT)
    assert.deepEqual([merchantName, installments, status], ['corner shop', 3, 'SETTLED'])
  })

  test('a field and a record that are renamed with an alias come through', async () => {
    const schema = changed(
      'paybill',
      field('merchant_name', (one) => ({ ...one, name: 'shop', aliases: ['merchant_name'] })),
    )
    const renamed = { ...schema, name: 'Payment', namespace: 'com.shop', aliases: ['PayBillEvent'] }
    const { merchantName } = await readAs('paybill', renamed, { ...PAYMENT, shop: 'market' })
    assert.equal(merchantName, 'market')
  })

  test('renamed without an alias, what we can do without is gone, and what we need is refused by name', async () => {
    const optional = changed(
      'paybill',
      field('merchant_name', (one) => ({ ...one, name: 'shop' })),
    )
    assert.equal((await readAs('paybill', optional, { ...PAYMENT, shop: 'market' })).merchantName, null)
    const needed = changed(
      'spm',
      field('spm_a', (one) => ({ ...one, name: 'site' })),
    )
    await refused('spm', needed, { header: HEADER, site: 'a', spm_b: 'b' }, /spm_a/)
    const record = { ...(ownSchema('spm') as Schema), name: 'Click' }
    await refused('spm', record, { header: HEADER, spm_a: 'a', spm_b: 'b' }, /Click/)
  })

  test('fields that are added, with a default or without, change nothing for us', async () => {
    const schema = changed(
      'paybill',
      (one) => one,
      { name: 'till', type: 'string' },
      { name: 'loyalty', type: ['null', 'string'], default: null },
    )
    const { merchantName, installments } = await readAs('paybill', schema, { ...PAYMENT, till: '7' })
    assert.deepEqual([merchantName, installments], ['corner shop', 3])
  })

  test('an optional field of ours that a producer leaves out takes our default', async () => {
    const schema = changed(
      'paybill',
      field('installments', () => null),
    )
    assert.equal((await readAs('paybill', schema, PAYMENT)).installments, 1)
  })

  test('a symbol that we don’t know reads as UNKNOWN', async () => {
    const schema = changed(
      'paybill',
      field('status', (one) => ({
        ...one,
        type: { ...(one.type as Json), symbols: ['UNKNOWN', 'SETTLED', 'DISPUTED'] },
      })),
    )
    assert.equal((await readAs('paybill', schema, { ...PAYMENT, status: 'DISPUTED' })).status, 'UNKNOWN')
  })

  test('an int where we have a long is promoted', async () => {
    const schema = structuredClone(ownSchema('spm')) as Schema
    const header = schema.fields.find(({ name }) => name === 'header')!.type as Schema
    header.fields = header.fields.map((one) => (one.name === 'event_time' ? { ...one, type: 'int' } : one))
    const [bytes] = written('spm', schema, {
      header: { ...HEADER, event_time: 1_700_000 },
      spm_a: 'a',
      spm_b: 'b',
    })
    const said = await decoded(freshDecoder(), 'spm', bytes!)
    assert.equal(said.kind === 'event' && said.event.eventTimeMs, 1_700_000)
  })

  test('a long where we have an int is refused with what to do, for every record of that schema and no other', async () => {
    const schema = changed(
      'paybill',
      field('installments', (one) => ({ ...one, type: 'long' })),
    )
    await refused('paybill', schema, PAYMENT, /PayBillEvent.*int.*never widen a type.*map the topic's fields/)
    const decoder = freshDecoder()
    const [wide] = written('paybill', schema, PAYMENT)
    const [ours] = written('paybill', ownSchema('paybill'), PAYMENT)
    for (const bytes of [wide!, ours!, wide!, ours!]) {
      const outcome = await decoded(decoder, 'paybill', bytes).catch((error: RecordError) => error.code)
      assert.equal(typeof outcome === 'string', bytes === wide)
    }
  })

  test('a mapped topic takes the long, as a mapping converts', async () => {
    const order = {
      type: 'record',
      name: 'Order',
      fields: [
        { name: 'id', type: 'string' },
        { name: 'buyer', type: 'string' },
        { name: 'placed', type: { type: 'long', logicalType: 'timestamp-millis' } },
        { name: 'parts', type: 'long' },
        { name: 'shop', type: 'string' },
      ],
    }
    const value = { id: 'o1', buyer: 'u1', placed: HEADER.event_time, parts: 5, shop: 'market' }
    const { installments, merchantName } = await readAs('orders', order, value)
    assert.deepEqual([installments, merchantName], [5, 'market'])
  })

  test('an id that nobody registered is refused by its number, and a cut frame as one', async () => {
    const decoder = freshDecoder()
    const unknown = Buffer.from([0, 0, 0, 0xff, 0xff, 1, 2, 3])
    await assert.rejects(decoded(decoder, 'spm', unknown), recordError('record-schema-unknown', /65535/))
    const guid = Buffer.from(`01${'ab'.repeat(16)}02`, 'hex')
    await assert.rejects(decoded(decoder, 'spm', guid), recordError('record-schema-unknown', /abababab-abab/))
    await assert.rejects(decoded(decoder, 'spm', guid.subarray(0, 16)), recordError('record-frame'))
    await assert.rejects(decoded(decoder, 'spm', unknown.subarray(0, 4)), recordError('record-frame'))
  })

  test('another kind of schema under the id is refused, and the next record is read', async () => {
    const { id } = double.put('spm-value', 'syntax = "proto3";', { schemaType: 'PROTOBUF' })
    const decoder = freshDecoder()
    const bytes = Buffer.from([0, 0, 0, 0, id, 9])
    await assert.rejects(decoded(decoder, 'spm', bytes), (error: unknown) => {
      assert.ok(error instanceof RecordError && /PROTOBUF/.test(error.message))
      return true
    })
    const [next] = written('spm', ownSchema('spm'), { header: HEADER, spm_a: 'a', spm_b: 'b' })
    assert.equal((await decoded(decoder, 'spm', next!)).kind, 'event')
  })
})
