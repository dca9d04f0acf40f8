import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  decodeModelRecord,
  decodeRegistryRecord,
  encodeGroup,
  encodeInstruction,
  encodeModel,
  encodeRetiredText,
  type ModelDescription,
} from '../../../src/drivers/kafka/control-records.ts'
import { ConfigError } from '../../../src/errors.ts'
import { avroCodec } from '../../../src/events/own-schemas.ts'
import type { Instruction } from '../../../src/instructions/instruction.ts'

const at = (value: Uint8Array | null) => ({
  topic: 'freshet.instructions',
  partition: 0,
  offset: 41,
  appendTimeMs: 0,
  key: null,
  value,
})

const instruction: Instruction = {
  id: 'next-purchase' as never,
  text: 'What will they need next?',
  lang: 'en',
  group: 'main' as never,
  status: 'active',
  maxStalenessMs: 60_000,
  owner: 'growth',
  previous: { text: null, retireAtMs: 1_800_000_000_000 },
}

const about: ModelDescription = {
  modelId: 'm2' as never,
  stage: 'shadow',
  parentModelId: 'm1' as never,
  artifactUri: null,
  artifactSha256: 'ab'.repeat(32),
  dimensions: 128,
}

test('instructions and groups are read back as they were written, each with its offset', () => {
  for (const one of [
    instruction,
    { ...instruction, text: null, owner: null, previous: null, status: 'retired' as const },
    { ...instruction, previous: { text: 'before', retireAtMs: 5 }, status: 'shadow' as const },
  ])
    assert.deepEqual(decodeRegistryRecord(at(encodeInstruction(one, 1))), {
      offset: 41,
      kind: 'instruction',
      instruction: one,
    })
  const group = { name: 'weekly' as never, minRefreshMs: 3_600_000, paused: true }
  assert.deepEqual(decodeRegistryRecord(at(encodeGroup(group, 1))), { offset: 41, kind: 'group', group })
  for (const text of ['before', null]) {
    const retired = { id: instruction.id, text, retireAtMs: 5 }
    const read = decodeRegistryRecord(at(encodeRetiredText(retired, 1)))
    assert.deepEqual(read, { offset: 41, kind: 'retired-text', retired })
  }
})

test('a model record keeps what it leaves active and existing', () => {
  const record = { active: 'm1' as never, also: 'm2' as never, existing: ['m1', 'm2'] as never[] }
  assert.deepEqual(decodeModelRecord(at(encodeModel(record, about, 1))), { offset: 41, ...record })
  const rebuild = { ...record, also: null, rebuild: true }
  assert.deepEqual(decodeModelRecord(at(encodeModel(rebuild, about, 1))), { offset: 41, ...rebuild })
})

test('a text bears its hash, for readers that know only the topic', () => {
  const { change } = avroCodec<{ change: Record<string, { text_sha256: string }> }>('instruction').decode(
    encodeInstruction({ ...instruction, text: 'abc' }, 1),
  )
  // The published SHA-256 of "abc".
  assert.equal(
    Object.values(change)[0]!.text_sha256,
    'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad',
  )
})

test('what a newer freshet or a stranger wrote is refused with its offset', () => {
  const newer = avroCodec<{ change: Record<string, { status: string }> }>('instruction')
  const unknown = newer.decode(encodeInstruction(instruction, 1))
  Object.values(unknown.change)[0]!.status = 'UNKNOWN'
  const foreign = [
    null,
    Buffer.from('{"id":"x"}'),
    Buffer.from([0xc3, 1, 1, 2, 3, 4, 5, 6, 7, 8]),
    newer.encode(unknown),
  ]
  for (const value of foreign)
    assert.throws(
      () => decodeRegistryRecord(at(value)),
      (error) =>
        error instanceof ConfigError &&
        error.code === 'control-record-unreadable' &&
        /record 41/.test(error.message),
    )
  assert.throws(() => decodeModelRecord(at(Buffer.from('x'))), ConfigError)
})
