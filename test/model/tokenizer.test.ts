/** Shows that no text of a user becomes a control token, whatever it contains. */

import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import fc from 'fast-check'
import { ConfigError, RequestError } from '../../src/errors.ts'
import { openBackboneTokenizer, openEncoderTokenizer } from '../../src/model/tokenizer.ts'
import { codePoint } from '../tools/code-point.ts'
import { GOLDEN } from './golden-bundle.ts'

const backbonePath = join(GOLDEN, 'bundle-linear/backbone/tokenizer.json')
const encoderPath = join(GOLDEN, 'bundle-linear/encoders/paybill/tokenizer.json')
const backbone = openBackboneTokenizer(backbonePath, 704)
const encoder = openEncoderTokenizer(encoderPath, 560)
const [CLS, SEP, UNK] = [2, 3, 1]

/** A tokenizer.json changed by a test, in a directory of its own. */
function changed(
  path: string,
  change: (json: { added_tokens: object[] }) => object,
): { path: string } & Disposable {
  const directory = mkdtempSync(join(tmpdir(), 'freshet-tokenizer-'))
  const copy = join(directory, 'tokenizer.json')
  writeFileSync(copy, JSON.stringify(change(JSON.parse(readFileSync(path, 'utf8')))))
  return { path: copy, [Symbol.dispose]: () => rmSync(directory, { recursive: true, force: true }) }
}

test('an instruction or answer with the literal of an added token is refused', () => {
  for (const literal of ['<|endoftext|>', '<|im_start|>', '<|im_end|>']) {
    for (const text of [literal, `a ${literal}`, `a${literal}b`]) {
      const refused = (error: unknown) =>
        error instanceof RequestError &&
        error.code === 'instruction-control-token' &&
        error.message.includes(literal)
      assert.throws(() => backbone.instructionIds(text), refused)
      assert.throws(() => backbone.answerIds(text), refused)
    }
  }
  assert.ok(backbone.instructionIds('<USER> <start_paybill> <|im_startle|>').every((id) => id < 700))
})

test('a literal that shows only after normalisation is refused, too', () => {
  // U+212B normalises to U+00C5 under NFC: the raw text doesn't contain the literal.
  const token = {
    id: 703,
    content: '<\u00c5>',
    normalized: true,
    special: false,
    lstrip: false,
    rstrip: false,
    single_word: false,
  }
  using file = changed(backbonePath, (json) => ({ ...json, added_tokens: [...json.added_tokens, token] }))
  const tokenizer = openBackboneTokenizer(file.path, 704)
  assert.throws(() => tokenizer.instructionIds('say <\u212b>'), RequestError)
})

test('an empty instruction is an instruction, an empty answer is eos', () => {
  assert.ok(backbone.instructionIds('').length > 0)
  assert.deepEqual(backbone.answerIds(''), [backbone.eosId])
  assert.equal(backbone.eosId, 700)
})

test('an event text loses the literals of special tokens, those that removal creates included', () => {
  const plain = encoder.ids('paid a coffee', 16)
  for (const text of [
    '[CLS]paid a coffee',
    'paid a co[SEP]ffee',
    'paid [CL[SEP]S]a coffee',
    '[MA[PAD]SK]paid a coffee[UNK]',
    '[UN[SEP]K]paid a coffee',
  ]) {
    assert.deepEqual(encoder.ids(text, 16), plain, text)
  }
})

test('whatever an event text holds, its ids begin with [CLS], end with [SEP], hold no other special token and fit', () => {
  const pieces = fc.oneof(
    fc.constantFrom('[CLS]', '[SEP]', '[', 'SEP', ']', '[PA', 'D]', ' ', '用', '𠀀', 'é'),
    fc.string({ unit: codePoint }),
  )
  fc.assert(
    fc.property(fc.array(pieces, { maxLength: 12 }), fc.integer({ min: 2, max: 20 }), (parts, maxTokens) => {
      const ids = encoder.ids(parts.join(''), maxTokens)
      assert.ok(ids.length <= maxTokens)
      assert.equal(ids[0], CLS)
      assert.equal(ids.at(-1), SEP)
      assert.ok(ids.slice(1, -1).every((id) => id === UNK || id > 4))
    }),
    { seed: 11, numRuns: 300 },
  )
})

test('ideographs beyond the basic plane are words of their own, as in the reference', () => {
  assert.deepEqual(encoder.ids('𠀀𠀁', 16), [CLS, UNK, UNK, SEP])
})

test('a text of five megabytes costs no more than its head', () => {
  const start = process.cpuUsage()
  assert.deepEqual(
    encoder.ids(`paid a coffee ${'again '.repeat(800_000)}`, 16),
    encoder.ids(`paid a coffee ${'again '.repeat(50)}`, 16),
  )
  // 0.1 s was seen, 4 s without the limit; of the processor, for others may keep us waiting.
  const { user, system } = process.cpuUsage(start)
  assert.ok(user + system < 2_000_000, `${user + system} us`)
})

test('a tokenizer that does not belong to the weights is refused by name', () => {
  const codeOf = (code: string) => (error: unknown) => error instanceof ConfigError && error.code === code
  assert.throws(() => openBackboneTokenizer(backbonePath, 702), codeOf('tokenizer-vocabulary'))
  assert.throws(() => openBackboneTokenizer(encoderPath, 704), codeOf('tokenizer-token-missing'))
  assert.throws(() => openEncoderTokenizer(backbonePath, 704), codeOf('tokenizer-unreadable'))
  assert.throws(() => openEncoderTokenizer(join(GOLDEN, 'absent.json'), 704), codeOf('tokenizer-unreadable'))
  using noModel = changed(encoderPath, ({ added_tokens }) => ({ added_tokens }))
  assert.throws(() => openEncoderTokenizer(noModel.path, 560), codeOf('tokenizer-unreadable'))
})
