/** The index inputs that tell a backbone graph which rows attend to which: pure arithmetic on lengths. */

import type { Qwen2Config } from './model-configs.ts'
import type { Tensor, Tensors } from './tensor-session.ts'

/** Rows of one run's input that belong together. */
export interface Span {
  start: number
  length: number
}

/** One user of a run: the rows of the prefix, and of each block behind it. */
export interface UserSpans {
  /** Length 0 is allowed: blocks that stand alone. */
  prefix: Span
  /** As many for every user of a run. */
  blocks: readonly Span[]
}

type Heads = Pick<Qwen2Config, 'headCount' | 'kvHeadCount'>

/** A column of padding lies beyond every row; far below 3e38 / 1e30, the slope of masks. */
const PADDING_COLUMN = 1e6

/** A longest span of zero rows still gets one padded row: no provider likes empty tensors. */
const longest = (spans: readonly Span[]) => spans.reduce((max, { length }) => Math.max(max, length), 1)

/** Padding repeats a real row; what is computed for it is never read. */
const rowAt = ({ start, length }: Span, offset: number) => (offset < length ? start + offset : 0)

/** Inputs of PrefixAttention. @param prefixes at least one */
export function prefixFeeds({ headCount, kvHeadCount }: Heads, prefixes: readonly Span[]): Tensors {
  const group = headCount / kvHeadCount
  const width = longest(prefixes)
  const query = new Int32Array(prefixes.length * headCount * width)
  const key = new Int32Array(prefixes.length * kvHeadCount * width)
  let atQuery = 0
  let atKey = 0
  for (const prefix of prefixes) {
    for (let head = 0; head < headCount; head++) {
      for (let i = 0; i < width; i++) query[atQuery++] = rowAt(prefix, i) * headCount + head
    }
    for (let head = 0; head < kvHeadCount; head++) {
      for (let i = 0; i < width; i++) key[atKey++] = rowAt(prefix, i) * kvHeadCount + head
    }
  }
  return {
    'prefix.query': tensor(query, prefixes.length, kvHeadCount, group * width),
    'prefix.key': tensor(key, prefixes.length, kvHeadCount, width),
    'prefix.row': tensor(counting(group, width), group * width, 1),
    'prefix.col': tensor(counting(1, width), width),
  }
}

/** Inputs of BlockAttention. @param users at least one, each with the same number of blocks */
export function blockFeeds({ headCount, kvHeadCount }: Heads, users: readonly UserSpans[]): Tensors {
  const group = headCount / kvHeadCount
  const blockCount = users[0]!.blocks.length
  const prefixWidth = longest(users.map(({ prefix }) => prefix))
  const width = longest(users.flatMap(({ blocks }) => blocks))
  const query = new Int32Array(users.length * headCount * blockCount * width)
  const key = new Int32Array(users.length * kvHeadCount * blockCount * width)
  const col = new Float32Array(users.length * (prefixWidth + width))
  let atQuery = 0
  let atKey = 0
  for (const [user, { prefix, blocks }] of users.entries()) {
    for (let kv = 0; kv < kvHeadCount; kv++) {
      for (const block of blocks) {
        for (let g = 0; g < group; g++) {
          for (let i = 0; i < width; i++) query[atQuery++] = rowAt(block, i) * headCount + kv * group + g
        }
        for (let i = 0; i < width; i++) key[atKey++] = rowAt(block, i) * kvHeadCount + kv
      }
    }
    const at = user * (prefixWidth + width)
    for (let i = 0; i < prefixWidth; i++) col[at + i] = i < prefix.length ? -1 : PADDING_COLUMN
    for (let i = 0; i < width; i++) col[at + prefixWidth + i] = i
  }
  const sizes = (...values: number[]): Tensor => ({
    data: BigInt64Array.from(values, BigInt),
    dims: [values.length],
  })
  return {
    'block.query': tensor(query, users.length, kvHeadCount, blockCount, group * width),
    'block.key': tensor(key, users.length, kvHeadCount, blockCount, width),
    'block.row': tensor(counting(group, width), group * width, 1),
    'block.col': tensor(col, users.length, 1, 1, 1, prefixWidth + width),
    'block.apart': sizes(users.length, kvHeadCount, blockCount, -1, prefixWidth),
    'block.together': sizes(users.length, kvHeadCount, -1, prefixWidth),
    'block.widths': sizes(prefixWidth, width),
    ...lastBlockRows({ headCount, kvHeadCount }, users, blockCount),
  }
}

function lastBlockRows(
  { headCount, kvHeadCount }: Heads,
  users: readonly UserSpans[],
  blockCount: number,
): Tensors {
  const group = headCount / kvHeadCount
  const query = new Int32Array(users.length * headCount * blockCount)
  const merge = new Int32Array(users.length * blockCount * headCount)
  let at = 0
  for (let user = 0; user < users.length; user++) {
    for (let kv = 0; kv < kvHeadCount; kv++) {
      for (let block = 0; block < blockCount; block++) {
        for (let g = 0; g < group; g++) {
          const row = (user * blockCount + block) * headCount + kv * group + g
          merge[row] = at
          query[at++] = row
        }
      }
    }
  }
  const blocks = users.flatMap((user) => user.blocks)
  return {
    'last.query': tensor(query, users.length, kvHeadCount, blockCount, group),
    'last.merge': tensor(merge, users.length * blockCount, headCount),
    'last.row': tensor(
      Float32Array.from(blocks, ({ length }) => length - 1),
      users.length,
      1,
      blockCount,
      1,
      1,
    ),
    'last.rows': lastRows(blocks),
  }
}

/** Inputs of LastRowAttention. @param sequences none empty */
export function lastRowFeeds({ headCount, kvHeadCount }: Heads, sequences: readonly Span[]): Tensors {
  const heads = Int32Array.from({ length: sequences.length * headCount }, (_, i) => i)
  return {
    'last.query': tensor(heads, sequences.length, kvHeadCount, headCount / kvHeadCount),
    'last.merge': tensor(heads.slice(), sequences.length, headCount),
    'last.row': tensor(
      Float32Array.from(sequences, ({ length }) => length - 1),
      sequences.length,
      1,
      1,
      1,
    ),
    'last.rows': lastRows(sequences),
  }
}

/**
 * Where the attended rows of each input row stand, once prefix rows and block rows follow each other.
 *
 * @param prefixes as in prefixFeeds; empty for a pass that was fed its prefix
 * @param users as in blockFeeds; empty for a pass without blocks
 */
export function mergeFeed(
  { headCount, kvHeadCount }: Heads,
  rowCount: number,
  prefixes: readonly Span[],
  users: readonly UserSpans[],
): Tensors {
  const group = headCount / kvHeadCount
  const merge = new Int32Array(rowCount * headCount)
  const prefixWidth = longest(prefixes)
  for (const [user, { start, length }] of prefixes.entries()) {
    for (let i = 0; i < length; i++) {
      for (let head = 0; head < headCount; head++) {
        merge[(start + i) * headCount + head] = (user * headCount + head) * prefixWidth + i
      }
    }
  }
  const before = prefixes.length * headCount * prefixWidth
  const width = longest(users.flatMap(({ blocks }) => blocks))
  for (const [user, { blocks }] of users.entries()) {
    for (const [block, { start, length }] of blocks.entries()) {
      for (let head = 0; head < headCount; head++) {
        const kv = Math.floor(head / group)
        const lane = ((user * kvHeadCount + kv) * blocks.length + block) * group + (head % group)
        for (let i = 0; i < length; i++) merge[(start + i) * headCount + head] = before + lane * width + i
      }
    }
  }
  return { merge: tensor(merge, rowCount, headCount) }
}

function lastRows(spans: readonly Span[]): Tensor {
  return tensor(
    Int32Array.from(spans, ({ start, length }) => start + length - 1),
    spans.length,
  )
}

/** 0 .. width - 1, `times` over. */
function counting(times: number, width: number): Float32Array<ArrayBuffer> {
  return Float32Array.from({ length: times * width }, (_, i) => i % width)
}

function tensor(data: Float32Array<ArrayBuffer> | Int32Array<ArrayBuffer>, ...dims: number[]): Tensor {
  return { data, dims }
}
