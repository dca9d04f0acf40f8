import assert from 'node:assert/strict'
import { test } from 'node:test'
import { checkVectorName, localName, serverName } from '../../../src/drivers/qdrant/server-names.ts'
import type { VectorName } from '../../../src/instructions/instruction.ts'
import type { CollectionName } from '../../../src/vectors/vector-store.ts'

const named = (prefix: string, name: string) => serverName(prefix, name as CollectionName)

test('a name that a URL takes for a path is refused before there is a URL', () => {
  for (const name of ['', '.', '..', 'a/b', 'a\\b', 'a?b', 'a:b', 'a*b', 'a"b', 'a<b', 'a|b', 'a\0b', 'a\nb'])
    assert.throws(() => checkVectorName(name as VectorName), { code: 'qdrant-name', name: 'ConfigError' })
  for (const name of ['', '.', '..', '../collections', 'a/b'])
    assert.throws(() => named('', name), { code: 'qdrant-name' })
})

test('names end where the server ends them, in bytes', () => {
  checkVectorName('x'.repeat(200) as VectorName)
  assert.throws(() => checkVectorName('x'.repeat(201) as VectorName), { code: 'qdrant-name' })
  assert.throws(() => checkVectorName('é'.repeat(101) as VectorName), { code: 'qdrant-name' })
  assert.equal(named('p-', 'x'.repeat(253)).length, 255)
  assert.throws(() => named('p-', 'x'.repeat(254)), { code: 'qdrant-name' })
})

test('every name that an instruction or a model can have is taken', () => {
  checkVectorName('will-they-repay@0a1b2c3d' as VectorName)
  assert.equal(named('staging-', 'freshet_main_tiny-2'), 'staging-freshet_main_tiny-2')
})

test('a name of another environment is none of ours', () => {
  assert.equal(localName('a-', 'a-freshet_main_m1'), 'freshet_main_m1')
  assert.equal(localName('', 'freshet_main_m1'), 'freshet_main_m1')
  assert.equal(localName('', 'a-freshet_main_m1'), null)
  assert.equal(localName('a-', 'freshet_main_m1'), null)
  assert.equal(localName('a-', 'b-freshet_main_m1'), null)
  assert.equal(localName('', 'products'), null)
})
