/** Texts become token ids: the backbone's segments and the encoders' event texts, and no user text becomes a control token. */

import { readFileSync } from 'node:fs'
import { Tokenizer } from '@huggingface/tokenizers'
import { ConfigError, RequestError } from '../errors.ts'

/** Tokens of the backbone's text segments (model-spec section 8, rules 2 and 3). */
export interface BackboneTokenizer {
  /** The token that ends an answer. */
  readonly eosId: number
  /** A segment that the bundle itself brings (the intro), exactly as written. */
  ids(text: string): number[]
  /** `"Instruction: " + instruction`, one string. @throws {RequestError} `instruction-control-token` */
  instructionIds(instruction: string): number[]
  /** The answer, then eos. @throws {RequestError} `instruction-control-token` */
  answerIds(answer: string): number[]
}

/** Tokens of one encoder's event texts (rule 4). */
export interface EncoderTokenizer {
  /**
   * [CLS], the first `maxTokens - 2` pieces, [SEP].
   *
   * @param maxTokens >= 2, [CLS] and [SEP] included
   */
  ids(text: string, maxTokens: number): number[]
}

const EOS = '<|endoftext|>'
const INSTRUCTION_PREFIX = 'Instruction: '
/**
 * UTF-16 units of an event text that are looked at. The first 50 pieces lie far before it, unless the words are absurd;
 * without a limit a text of megabytes would stop everything else for seconds.
 */
const EVENT_TEXT_LENGTH_MAX = 100_000

/** Ideographs beyond the basic plane, of the blocks that BERT's normaliser sets apart. */
const SUPPLEMENTARY_IDEOGRAPHS =
  /[\u{20000}-\u{2a6df}\u{2a700}-\u{2b73f}\u{2b740}-\u{2b81f}\u{2b820}-\u{2ceaf}\u{2f800}-\u{2fa1f}]/gu

/**
 * Loads the backbone's `tokenizer.json`; a real vocabulary takes a second or two.
 *
 * @param vocabSize rows of the embedding table: every id must be below it
 * @throws {ConfigError} `tokenizer-unreadable`, `tokenizer-token-missing`, `tokenizer-vocabulary`
 */
export function openBackboneTokenizer(path: string, vocabSize: number): BackboneTokenizer {
  const { tokenizer, addedTokens } = load(path, vocabSize)
  // The literal, not `eos_token` of tokenizer_config.json: instruct models set that to the end of a chat turn.
  const eosId = requiredId(tokenizer, EOS, path)
  const addedIds = new Map(addedTokens.map(({ id, content }) => [id, content]))
  const ids = (text: string) => encode(tokenizer, text)

  const userIds = (text: string, prefix: string): number[] => {
    const found = addedTokens.find(({ content }) => text.includes(content))?.content
    const encoded = ids(prefix + text)
    // A tokenizer may match added tokens in the normalised text, where the literal shows only now.
    const literal = found ?? addedIds.get(encoded.find((id) => addedIds.has(id)) ?? -1)
    if (literal === undefined) return encoded
    throw new RequestError(
      'instruction-control-token',
      `expected a text without control tokens, got ${JSON.stringify(literal)} in it: take it out, the model would obey it`,
    )
  }
  return {
    eosId,
    ids,
    instructionIds: (instruction) => userIds(instruction, INSTRUCTION_PREFIX),
    answerIds: (answer) => [...userIds(answer, ''), eosId],
  }
}

/**
 * Loads an encoder's `tokenizer.json`.
 *
 * @param vocabSize rows of the word embeddings: every id must be below it
 * @throws {ConfigError} `tokenizer-unreadable`, `tokenizer-token-missing`, `tokenizer-vocabulary`
 */
export function openEncoderTokenizer(path: string, vocabSize: number): EncoderTokenizer {
  const { json, tokenizer, addedTokens } = load(path, vocabSize)
  if (json.model?.type !== 'WordPiece') {
    throw unreadable(path, 'a WordPiece tokenizer', String(json.model?.type))
  }
  const clsId = requiredId(tokenizer, '[CLS]', path)
  const sepId = requiredId(tokenizer, '[SEP]', path)
  const special = addedTokens.filter((token) => token.special)
  const literals = special.map(({ content }) => content)
  const controlIds = new Set(
    special.filter(({ content }) => content !== json.model?.unk_token).map(({ id }) => id),
  )
  const setsIdeographsApart =
    json.normalizer?.type === 'BertNormalizer' && json.normalizer.handle_chinese_chars === true

  return {
    ids(text, maxTokens) {
      let plain = withoutLiterals(text.slice(0, EVENT_TEXT_LENGTH_MAX), literals)
      // The library sets ideographs apart by UTF-16 unit and so misses these; the reference does not.
      if (setsIdeographsApart) plain = plain.replace(SUPPLEMENTARY_IDEOGRAPHS, ' $& ')
      const pieces = encode(tokenizer, plain).filter((id) => !controlIds.has(id))
      return [clsId, ...pieces.slice(0, maxTokens - 2), sepId]
    },
  }
}

/** Takes literals out until none is left: taking one out can join the halves of another. */
function withoutLiterals(text: string, literals: readonly string[]): string {
  let before: string
  let after = text
  do {
    before = after
    for (const literal of literals) after = after.replaceAll(literal, '')
  } while (after !== before)
  return after
}

function encode(tokenizer: Tokenizer, text: string): number[] {
  return tokenizer.encode(text, { add_special_tokens: false }).ids
}

interface AddedToken {
  id: number
  content: string
  special: boolean
}

interface TokenizerJson {
  model?: { type?: unknown; unk_token?: unknown }
  normalizer?: { type?: unknown; handle_chinese_chars?: unknown } | null
  added_tokens?: AddedToken[]
}

interface Loaded {
  json: TokenizerJson
  tokenizer: Tokenizer
  addedTokens: readonly AddedToken[]
}

function load(path: string, vocabSize: number): Loaded {
  let json: TokenizerJson
  let tokenizer: Tokenizer
  try {
    json = JSON.parse(readFileSync(path, 'utf8')) as TokenizerJson
    tokenizer = new Tokenizer(json, {})
  } catch (cause) {
    throw unreadable(path, 'a tokenizer of the Hugging Face layout', (cause as Error).message, cause)
  }
  let idMax = -1
  for (const id of tokenizer.get_vocab().values()) idMax = Math.max(idMax, id)
  if (idMax >= vocabSize) {
    throw new ConfigError(
      'tokenizer-vocabulary',
      `expected token ids below ${vocabSize}, the vocab_size of the config.json beside ${path}, got ${idMax}: tokenizer and weights are of different models`,
    )
  }
  // An empty literal would be found in every text.
  return { json, tokenizer, addedTokens: (json.added_tokens ?? []).filter(({ content }) => content !== '') }
}

function requiredId(tokenizer: Tokenizer, literal: string, path: string): number {
  const id = tokenizer.token_to_id(literal)
  if (id !== undefined) return id
  throw new ConfigError(
    'tokenizer-token-missing',
    `expected the token ${literal} in ${path}, got a vocabulary without it: use the tokenizer that belongs to the weights`,
  )
}

function unreadable(path: string, expected: string, got: string, cause?: unknown): ConfigError {
  return new ConfigError(
    'tokenizer-unreadable',
    `expected ${expected} in ${path}, got ${got}: restore the tokenizer.json that belongs to the weights`,
    { cause },
  )
}
