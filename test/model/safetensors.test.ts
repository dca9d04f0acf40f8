/** Holds the safetensors reader to the reference's files, and shows that no lie of a header gets through. */

import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import fc from 'fast-check'
import { BugError, ConfigError } from '../../src/errors.ts'
import {
  bfloat16FromFloat32,
  float32FromBfloat16,
  float32FromFloat16,
} from '../../src/model/float-formats.ts'
import { SafetensorsFile } from '../../src/model/safetensors.ts'
import { writeSafetensors } from '../../src/model/safetensors-writer.ts'

const golden = new URL('../golden/', import.meta.url).pathname
let directory: string

function fileOf(header: unknown, dataSizeBytes: number): string {
  const json = Buffer.from(typeof header === 'string' ? header : JSON.stringify(header))
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(json.length))
  const path = join(directory, 'case.safetensors')
  writeFileSync(path, Buffer.concat([length, json, Buffer.alloc(dataSizeBytes, 1)]))
  return path
}

const codeOf = (code: string) => (error: unknown) => error instanceof ConfigError && error.code === code

describe('safetensors', () => {
  before(() => {
    directory = mkdtempSync(join(tmpdir(), 'freshet-safetensors-'))
  })
  after(() => rmSync(directory, { recursive: true, force: true }))

  test('a file of the reference lists its tensors where their bytes are', () => {
    using file = SafetensorsFile.open(join(golden, 'bundle-linear/modules.safetensors'))
    const entry = file.entry('special_tokens.weight')
    assert.deepEqual(entry.shape, [13, 48])
    const bytes = readFileSync(file.path)
    const expected = Array.from({ length: 13 * 48 }, (_, i) => bytes.readFloatLE(entry.offsetBytes + 4 * i))
    assert.deepEqual([...file.read('special_tokens.weight')], expected)
    assert.deepEqual(
      [...file.readRows('special_tokens.weight', [12, 0, 12])],
      [12, 0, 12].flatMap((row) => expected.slice(row * 48, row * 48 + 48)),
    )
  })

  test('float16 is read as the engine itself reads it, over all 65,536 patterns', () => {
    // Float16Array is the JavaScript engine's own conversion: not ours. TypeScript's es2024 library doesn't know it yet.
    const { Float16Array } = globalThis as unknown as {
      Float16Array: new (buffer: ArrayBufferLike) => ArrayLike<number>
    }
    const halves = Uint16Array.from({ length: 65_536 }, (_, bits) => bits)
    const expected = Array.from(new Float16Array(halves.buffer))
    assert.deepEqual(Array.from(float32FromFloat16(halves)), expected)
  })

  test('bfloat16 rounds to the nearest, ties to even, and comes back exactly', () => {
    const values = Float32Array.of(1, -2.5, 0, 3.140625, 1 + 2 ** -8, 1 + 3 * 2 ** -8, 65_536)
    const expected = [1, -2.5, 0, 3.140625, 1, 1 + 2 ** -6, 65_536]
    assert.deepEqual([...float32FromBfloat16(bfloat16FromFloat32(values))], expected)
  })

  test('rows of a half-precision table are those of the whole table', () => {
    using file = SafetensorsFile.open(join(golden, 'bundle-mlp/encoders/paybill/model.safetensors'))
    const name = [...file.tensors.keys()].find((key) => key.endsWith('word_embeddings.weight'))!
    assert.equal(file.entry(name).dtype, 'F16')
    const whole = file.read(name)
    assert.deepEqual(
      file.readRows(name, [7, 3]),
      Float32Array.of(...whole.slice(7 * 32, 8 * 32), ...whole.slice(3 * 32, 4 * 32)),
    )
  })

  const entry = { dtype: 'F32', shape: [2, 2], data_offsets: [0, 16] }
  const lies: [name: string, code: string, header: unknown, dataSizeBytes: number][] = [
    ['no JSON', 'safetensors-header', '{"a":', 0],
    ['a list instead of an object', 'safetensors-header', [1], 0],
    ['null', 'safetensors-header', 'null', 0],
    ['a number instead of a tensor', 'safetensors-header', { a: 1 }, 0],
    ['an unknown type', 'safetensors-dtype', { a: { ...entry, dtype: 'F99' } }, 16],
    [
      'a type named like a method of objects',
      'safetensors-dtype',
      { a: { ...entry, dtype: 'toString' } },
      16,
    ],
    ['a negative size', 'safetensors-range', { a: { ...entry, shape: [-2, -2] } }, 16],
    ['a fractional size', 'safetensors-range', { a: { ...entry, shape: [1.5] } }, 16],
    ['a shape larger than its range', 'safetensors-range', { a: { ...entry, shape: [2, 3] } }, 16],
    [
      'a shape whose product overflows',
      'safetensors-range',
      { a: { ...entry, shape: [2 ** 40, 2 ** 40] } },
      16,
    ],
    ['a range that runs backwards', 'safetensors-range', { a: { ...entry, data_offsets: [16, 0] } }, 16],
    ['three offsets', 'safetensors-range', { a: { ...entry, data_offsets: [0, 16, 32] } }, 16],
    ['two tensors on the same bytes', 'safetensors-range', { a: entry, b: entry }, 16],
    [
      'a hole between tensors',
      'safetensors-range',
      { a: entry, b: { ...entry, data_offsets: [20, 36] } },
      36,
    ],
    ['a range past the end of the file', 'safetensors-size', { a: entry }, 15],
    ['bytes that nobody owns', 'safetensors-size', { a: entry }, 17],
  ]
  for (const [name, code, header, dataSizeBytes] of lies) {
    test(`a header with ${name} is refused`, () => {
      assert.throws(() => SafetensorsFile.open(fileOf(header, dataSizeBytes)), codeOf(code))
    })
  }

  test('a header length beyond the file is refused before anything is allocated', () => {
    const path = fileOf({ a: entry }, 16)
    const bytes = readFileSync(path)
    for (const length of [2n ** 63n, 2n ** 40n, BigInt(bytes.length)]) {
      bytes.writeBigUInt64LE(length)
      writeFileSync(path, bytes)
      assert.throws(() => SafetensorsFile.open(path), codeOf('safetensors-header'))
    }
    bytes.writeBigUInt64LE(BigInt(bytes.length - 24))
    bytes[10] = 0xff
    writeFileSync(path, bytes)
    assert.throws(() => SafetensorsFile.open(path), codeOf('safetensors-header'), 'bytes that are no UTF-8')
    writeFileSync(path, bytes.subarray(0, 5))
    assert.throws(() => SafetensorsFile.open(path), codeOf('safetensors-header'))
  })

  test('whatever bytes change, a file opens with ranges inside itself or is refused by name', () => {
    const original = readFileSync(join(golden, 'bundle-linear/lora/adapter_model.safetensors'))
    const path = join(directory, 'fuzz.safetensors')
    const headerSizeBytes = Number(original.readBigUInt64LE(0)) + 8
    let refused = 0
    const change = fc.record({ at: fc.nat(headerSizeBytes - 1), byte: fc.nat(255) })
    fc.assert(
      fc.property(
        fc.array(change, { minLength: 1, maxLength: 4 }),
        fc.option(fc.nat(original.length)),
        (changes, cut) => {
          const bytes = Buffer.from(original)
          for (const { at, byte } of changes) bytes[at] = byte
          writeFileSync(path, cut === null ? bytes : bytes.subarray(0, cut))
          try {
            using file = SafetensorsFile.open(path)
            for (const { offsetBytes, lengthBytes } of file.tensors.values()) {
              assert.ok(offsetBytes >= 8 && offsetBytes + lengthBytes <= file.sizeBytes)
            }
          } catch (error) {
            assert.ok(error instanceof ConfigError && error.code.startsWith('safetensors-'), String(error))
            refused++
          }
        },
      ),
      { seed: 3, numRuns: 400 },
    )
    assert.ok(refused > 100, `the fuzz must bite: only ${refused} of 400 were refused`)
  })

  test('what the writer writes, the reader reads back, and twice the same bytes', () => {
    const path = join(directory, 'written.safetensors')
    const tensors = [
      { name: 'b', shape: [2, 3], dtype: 'F32' as const, values: () => Float32Array.of(1, 2, 3, 4, 5, 6.5) },
      { name: 'a', shape: [2], dtype: 'BF16' as const, values: () => Float32Array.of(-1, 0.5) },
      { name: 'empty', shape: [0, 4], dtype: 'F32' as const, values: () => new Float32Array(0) },
    ]
    writeSafetensors(path, tensors)
    const bytes = readFileSync(path)
    using file = SafetensorsFile.open(path)
    assert.deepEqual([...file.tensors.keys()], ['b', 'a', 'empty'])
    assert.equal(file.entry('b').offsetBytes % 64, 0)
    for (const { name, values } of tensors) assert.deepEqual(file.read(name), values())
    writeSafetensors(path, tensors)
    assert.deepEqual(readFileSync(path), bytes)
  })

  test('reading what is not there is refused: tensor, row, type, closed file, no file', () => {
    const path = fileOf({ ids: { dtype: 'I64', shape: [2], data_offsets: [0, 16] } }, 16)
    const file = SafetensorsFile.open(path)
    assert.throws(() => file.read('weights'), codeOf('tensor-missing'))
    assert.throws(() => file.read('ids'), codeOf('tensor-not-float'))
    file.close()
    file.close()
    using table = SafetensorsFile.open(fileOf({ a: entry }, 16))
    assert.throws(() => table.readRows('a', [2]), BugError)
    assert.throws(() => table.readRows('a', [-1]), BugError)
    table.close()
    assert.throws(() => table.read('a'), BugError)
    assert.throws(() => SafetensorsFile.open(join(directory, 'absent')), codeOf('safetensors-unreadable'))
  })
})
