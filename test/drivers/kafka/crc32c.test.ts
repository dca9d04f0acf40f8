import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { test } from 'node:test'
import fc from 'fast-check'
import { crc32c } from '../../../src/drivers/kafka/crc32c.ts'

const reference: (bytes: Buffer) => number = createRequire(import.meta.url)(
  'kafkajs/src/protocol/recordBatch/crc32C',
)

test('the checksum of the check string is the published one', () => {
  assert.equal(crc32c(Buffer.from('123456789')), 0xe3069283)
  assert.equal(crc32c(Buffer.from('--123456789'), 2), 0xe3069283)
})

test("it is kafkajs's for any bytes, whatever their length", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
      assert.equal(crc32c(bytes), reference(Buffer.from(bytes)))
    }),
    { seed: 20261124 },
  )
})
