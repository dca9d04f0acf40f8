import assert from 'node:assert/strict'
import { test } from 'node:test'
import { decodeRecord, encodeRecord } from '../../../src/drivers/kafka/changelog-codec.ts'
import { ConfigError } from '../../../src/errors.ts'
import { userKey } from '../../../src/events/ids.ts'
import type { ChangelogRecord } from '../../../src/pipeline/changelog.ts'
import { emptyState } from '../../../src/window/apply.ts'
import { encodeState } from '../../../src/window/state-codec.ts'

function source(key: Uint8Array | null, value: Uint8Array | null) {
  return { topic: 'freshet.state', partition: 3, offset: 17, appendTimeMs: 0, key, value }
}

function read(record: ChangelogRecord): ChangelogRecord | null {
  const { key, value } = encodeRecord(record)
  return decodeRecord(source(key, value))
}

const tenant = 'default' as never
const checkpoint = {
  epoch: 7,
  positions: new Map([
    ['behavior.app', 2 ** 40],
    ['user.tabular', 0],
  ]),
  confirmed: true,
  day: 20_000,
  partitionCount: 24,
}

test('every record is read back as it was written, deletions too', () => {
  const state = { ...emptyState(tenant, '客戶\u{1f600}' as never), epoch: 7, tombstoneMs: 5 }
  state.acknowledged.set('main/m1', { inputHash: 'h', epoch: 7 })
  const user = userKey(state.tenant, state.user)
  const records: ChangelogRecord[] = [
    { kind: 'state', user, epoch: 7, state: encodeState(state) },
    { kind: 'state', user, epoch: 6, state: null },
    { kind: 'checkpoint', epoch: 7, checkpoint },
    { kind: 'checkpoint', epoch: 6, checkpoint: null },
    { kind: 'claim', epoch: 1_764_000_000 },
  ]
  for (const record of records) assert.deepEqual(read(record), record)
})

test('keys are those that compaction has known from the first day on', () => {
  const user = userKey(tenant, 'u1' as never)
  const keyOf = (record: ChangelogRecord) => encodeRecord(record).key.toString('latin1')
  assert.equal(keyOf({ kind: 'state', user, epoch: 9, state: null }), 'state\0' + '9\0default\0u1')
  assert.equal(keyOf({ kind: 'checkpoint', epoch: 9, checkpoint: null }), 'checkpoint\0' + '9')
  assert.equal(keyOf({ kind: 'claim', epoch: 9 }), 'claim\0' + '9')
})

test('what a newer worker adds is passed over: fields of a checkpoint, and records of other kinds', () => {
  const { key, value } = encodeRecord({ kind: 'checkpoint', epoch: 7, checkpoint })
  const newer = Buffer.from(JSON.stringify({ ...JSON.parse(value!.toString()), newField: { a: 1 } }))
  assert.deepEqual(decodeRecord(source(key, newer)), { kind: 'checkpoint', epoch: 7, checkpoint })
  assert.equal(decodeRecord(source(Buffer.from('lease\x009'), Buffer.from('x'))), null)
})

test('what nobody of us wrote is refused, never guessed at', () => {
  const { key } = encodeRecord({ kind: 'checkpoint', epoch: 7, checkpoint })
  const whole = { positions: { t: 1 }, confirmed: true, day: 1, partitionCount: 2 }
  const wrong: [Uint8Array | null, Uint8Array | null][] = [
    [null, Buffer.from('x')],
    [Buffer.from('claim\0seven'), Buffer.from('{}')],
    [Buffer.from('claim\x001.5'), Buffer.from('{}')],
    [Buffer.from('state\x007\0default'), null],
    [key, Buffer.from('not json')],
    ...[
      { positions: undefined },
      { positions: { t: -1 } },
      { confirmed: 1 },
      { day: null },
      { partitionCount: 'x' },
    ].map((change): [Buffer, Buffer] => [key, Buffer.from(JSON.stringify({ ...whole, ...change }))]),
  ]
  for (const [k, v] of wrong)
    assert.throws(
      () => decodeRecord(source(k, v)),
      (error) => error instanceof ConfigError && error.code === 'changelog-damaged',
      `${k} ${v}`,
    )
})
