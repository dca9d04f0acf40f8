/** Learns sub-word pieces from counted words by joining the commonest neighbours again and again (byte-pair encoding). */

export interface LearnedPieces {
  /** In the order learnt: earlier means commoner, and is joined first when a text is tokenised. */
  merges: readonly (readonly [left: string, right: string])[]
  /** The piece that each merge makes, same order, without repeats. */
  pieces: readonly string[]
}

export interface LearnOptions {
  /** How many merges at most; fewer where the words give no more. */
  mergesMax: number
  /** A pair seen less often is left alone: it would be learnt from noise. */
  pairCountMin: number
  /** How two neighbours are written as one. */
  join: (left: string, right: string) => string
}

interface Word {
  symbols: string[]
  count: number
}

const SEPARATOR = '\0'

/**
 * Learns merges; the same words give the same merges, whatever their order: equal counts are decided by the text.
 *
 * @param words word, split into its first symbols -> how often it occurs
 */
export function learnPieces(
  words: readonly { symbols: readonly string[]; count: number }[],
  { mergesMax, pairCountMin, join }: LearnOptions,
): LearnedPieces {
  const split: Word[] = words.map(({ symbols, count }) => ({ symbols: [...symbols], count }))
  const counts = new Map<string, number>()
  const wordsOfPair = new Map<string, Set<Word>>()
  for (const word of split) countPairs(word, 1, counts, wordsOfPair)

  const merges: [string, string][] = []
  const pieces = new Set<string>()
  while (merges.length < mergesMax) {
    const best = commonest(counts, pairCountMin)
    if (best === null) break
    const [left, right] = best.split(SEPARATOR) as [string, string]
    const piece = join(left, right)
    merges.push([left, right])
    pieces.add(piece)
    for (const word of [...wordsOfPair.get(best)!]) {
      countPairs(word, -1, counts, wordsOfPair)
      word.symbols = joined(word.symbols, left, right, piece)
      countPairs(word, 1, counts, wordsOfPair)
    }
  }
  return { merges, pieces: [...pieces] }
}

function countPairs(
  word: Word,
  sign: 1 | -1,
  counts: Map<string, number>,
  wordsOfPair: Map<string, Set<Word>>,
): void {
  for (let i = 0; i + 1 < word.symbols.length; i++) {
    const pair = word.symbols[i]! + SEPARATOR + word.symbols[i + 1]!
    const count = (counts.get(pair) ?? 0) + sign * word.count
    if (count > 0) counts.set(pair, count)
    else counts.delete(pair)
    const members = wordsOfPair.get(pair) ?? new Set()
    if (sign > 0) members.add(word)
    else members.delete(word)
    wordsOfPair.set(pair, members)
  }
}

function commonest(counts: ReadonlyMap<string, number>, countMin: number): string | null {
  let best: string | null = null
  let bestCount = countMin - 1
  for (const [pair, count] of counts) {
    if (count > bestCount || (count === bestCount && best !== null && pair < best)) {
      best = pair
      bestCount = count
    }
  }
  return best
}

function joined(symbols: readonly string[], left: string, right: string, piece: string): string[] {
  const out: string[] = []
  for (let i = 0; i < symbols.length; i++) {
    if (symbols[i] === left && symbols[i + 1] === right) {
      out.push(piece)
      i++
    } else out.push(symbols[i]!)
  }
  return out
}
