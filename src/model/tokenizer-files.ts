/** Makes the two `tokenizer.json` files of a new bundle, trained on our sample texts, in the Hugging Face layout. */

import { COMMON_WORDS } from './common-words.ts'
import { learnPieces } from './piece-merges.ts'
import { sampleEventTexts, sampleQuestions } from './sample-texts.ts'

export interface TokenizerFile {
  /** The content of `tokenizer.json`. */
  json: string
  /** Ids run from 0 to this, exclusive. */
  vocabSize: number
}

export interface EncoderTokenizerFile extends TokenizerFile {
  /** How often each token is a whole word of the sample sentences; index = id. */
  wordCounts: readonly number[]
}

const END_OF_TEXT = '<|endoftext|>'
const SPECIAL_TOKENS = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]']

/** With the 256 bytes and the end of text this stays below 3,072 rows of the embedding table. */
const BPE_MERGES_MAX = 2_800
const WORDPIECE_MERGES_MAX = 2_800
const PAIR_COUNT_MIN = 2
/** A common word counts as often as a rare word of the sentences. */
const COMMON_WORD_COUNT = 3

/** How Qwen2 splits a text before byte-pair encoding: contractions, words with their space, single digits, punctuation. */
const QWEN2_SPLIT =
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

/** A byte-level BPE for the backbone: every text has ids, whatever its script. */
export function backboneTokenizerFile(): TokenizerFile {
  const texts = [...sampleEventTexts(), ...sampleQuestions()]
  const split = new RegExp(QWEN2_SPLIT, 'gu')
  const counted = countWords(texts.flatMap((text) => text.match(split) ?? []))
  for (const word of COMMON_WORDS) addCount(counted, ` ${word}`, COMMON_WORD_COUNT)
  const byteSymbols = bytesAsCharacters()
  const encoder = new TextEncoder()
  const words = [...counted].map(([word, count]) => ({
    symbols: Array.from(encoder.encode(word), (byte) => byteSymbols[byte]!),
    count,
  }))
  const { merges, pieces } = learnPieces(words, {
    mergesMax: BPE_MERGES_MAX,
    pairCountMin: PAIR_COUNT_MIN,
    join: (left, right) => left + right,
  })
  const tokens = [...byteSymbols.toSorted(), ...pieces]
  const vocab = Object.fromEntries(tokens.map((token, id) => [token, id]))
  const byteLevel = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: false, use_regex: false }
  const json = tokenizerJson({
    added_tokens: [addedToken(END_OF_TEXT, tokens.length)],
    normalizer: { type: 'NFC' },
    pre_tokenizer: {
      type: 'Sequence',
      pretokenizers: [
        { type: 'Split', pattern: { Regex: QWEN2_SPLIT }, behavior: 'Isolated', invert: false },
        byteLevel,
      ],
    },
    post_processor: byteLevel,
    decoder: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true },
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: false,
      vocab,
      merges,
    },
  })
  return { json, vocabSize: tokens.length + 1 }
}

/** A WordPiece for the encoders: whole English words, the commonest Chinese characters, letters of other scripts. */
export function encoderTokenizerFile(): EncoderTokenizerFile {
  const counted = countWords(
    sampleEventTexts().flatMap((text) => text.toLowerCase().match(/\p{L}+|[^\s\p{L}]/gu) ?? []),
  )
  const seen = new Map(counted)
  for (const word of COMMON_WORDS) addCount(counted, word, COMMON_WORD_COUNT)
  const words = [...counted].map(([word, count]) => ({
    symbols: [...word].map((letter, i) => (i === 0 ? letter : `##${letter}`)),
    count,
  }))
  const { pieces } = learnPieces(words, {
    mergesMax: WORDPIECE_MERGES_MAX,
    pairCountMin: PAIR_COUNT_MIN,
    join: (left, right) => left + right.slice(2),
  })
  const letters = alphabetLetters()
  const tokens = [
    ...SPECIAL_TOKENS,
    ...letters,
    ...letters.map((letter) => `##${letter}`),
    ...commonIdeographs(),
  ]
  const all = [...new Set([...tokens, ...pieces])]
  const vocab = Object.fromEntries(all.map((token, id) => [token, id]))
  const special = (id: string, typeId: number) => ({ SpecialToken: { id, type_id: typeId } })
  const sequence = (id: string, typeId: number) => ({ Sequence: { id, type_id: typeId } })
  const named = (token: string) => ({ id: token, ids: [vocab[token]], tokens: [token] })
  const json = tokenizerJson({
    added_tokens: SPECIAL_TOKENS.map(addedToken),
    normalizer: {
      type: 'BertNormalizer',
      clean_text: true,
      handle_chinese_chars: true,
      strip_accents: null,
      lowercase: true,
    },
    pre_tokenizer: { type: 'BertPreTokenizer' },
    post_processor: {
      type: 'TemplateProcessing',
      single: [special('[CLS]', 0), sequence('A', 0), special('[SEP]', 0)],
      pair: [
        special('[CLS]', 0),
        sequence('A', 0),
        special('[SEP]', 0),
        sequence('B', 1),
        special('[SEP]', 1),
      ],
      special_tokens: { '[CLS]': named('[CLS]'), '[SEP]': named('[SEP]') },
    },
    decoder: { type: 'WordPiece', prefix: '##', cleanup: true },
    model: {
      type: 'WordPiece',
      unk_token: '[UNK]',
      continuing_subword_prefix: '##',
      max_input_chars_per_word: 100,
      vocab,
    },
  })
  return { json, vocabSize: all.length, wordCounts: all.map((token) => seen.get(token) ?? 0) }
}

function tokenizerJson(parts: Record<string, unknown>): string {
  return `${JSON.stringify({ version: '1.0', truncation: null, padding: null, ...parts })}\n`
}

function addedToken(content: string, id: number): object {
  return { id, content, single_word: false, lstrip: false, rstrip: false, normalized: false, special: true }
}

function countWords(words: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>()
  for (const word of words) addCount(counts, word, 1)
  return counts
}

function addCount(counts: Map<string, number>, word: string, count: number): void {
  counts.set(word, (counts.get(word) ?? 0) + count)
}

/**
 * The character that stands for each byte in a byte-level vocabulary: itself where it can be seen, else the next
 * character from U+0100 on. The table is that of every byte-level tokenizer, so that libraries read ours.
 */
function bytesAsCharacters(): string[] {
  let hidden = 0
  return Array.from({ length: 256 }, (_, byte) => {
    const visible = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae
    return String.fromCodePoint(visible ? byte : 0x100 + hidden++)
  })
}

/** Lower case, without accents, as the normaliser leaves them; Hangul comes apart into its letters there. */
function alphabetLetters(): string[] {
  const ranges: [from: number, to: number][] = [
    [0x21, 0x40],
    [0x5b, 0x7e],
    [0x3b1, 0x3c9],
    [0x430, 0x44f],
    [0x5d0, 0x5ea],
    [0x621, 0x64a],
    [0x905, 0x939],
    [0xe01, 0xe2e],
    [0x1100, 0x1112],
    [0x1161, 0x1175],
    [0x11a8, 0x11c2],
    [0x3041, 0x3096],
    [0x30a1, 0x30fa],
  ]
  const symbols = '£€¥°·–—’“”…、。「」《》！，：；？（）'
  const letters = ranges.flatMap(([from, to]) => Array.from({ length: to - from + 1 }, (_, i) => from + i))
  return [...letters.map((code) => String.fromCodePoint(code)), ...symbols]
}

/** The 3,755 characters of GB 2312's first level, which orders by use: most of what a Chinese sentence is made of. */
function commonIdeographs(): string[] {
  const decoder = new TextDecoder('gbk')
  const characters: string[] = []
  for (let row = 0xb0; row <= 0xd7; row++) {
    const lastCell = row === 0xd7 ? 0xf9 : 0xfe
    for (let cell = 0xa1; cell <= lastCell; cell++) characters.push(decoder.decode(Uint8Array.of(row, cell)))
  }
  return characters
}
