/** How good a score or a ranking is: AUC and KS of binary labels; recall, hit rate, NDCG and reciprocal rank of lists. */

import { BugError } from '../errors.ts'

export interface BinaryQuality {
  /** Probability that a positive scores above a negative, ties counted half; null where one class is missing. */
  auc: number | null
  /** Largest distance between the two classes' score distributions; null where one class is missing. */
  ks: number | null
}

/**
 * Scores of binary labels, by ranks with ties.
 *
 * @param labels [n], 1 or 0
 * @param scores [n], finite, higher means more likely 1
 * @throws {BugError} `metric-input`, when the lengths differ, or a label or score is neither
 */
export function binaryQuality(labels: readonly number[], scores: readonly number[]): BinaryQuality {
  check(
    labels.length === scores.length,
    `as many labels as scores, got ${labels.length} and ${scores.length}`,
  )
  check(
    labels.every((label) => label === 0 || label === 1),
    'labels of 0 and 1',
  )
  check(scores.every(Number.isFinite), 'finite scores')
  const order = [...scores.keys()].sort((a, b) => scores[a]! - scores[b]!)
  const positives = labels.reduce((sum, label) => sum + label, 0)
  const negatives = labels.length - positives
  if (positives === 0 || negatives === 0) return { auc: null, ks: null }

  let positivesBelow = 0
  let negativesBelow = 0
  let pairsWon = 0
  let ks = 0
  for (let start = 0; start < order.length; ) {
    // One step takes a whole run of equal scores: ties have no order, and a distribution jumps at distinct scores only.
    let end = start
    let positivesTied = 0
    while (end < order.length && scores[order[end]!] === scores[order[start]!])
      positivesTied += labels[order[end++]!]!
    const negativesTied = end - start - positivesTied
    pairsWon += positivesTied * (negativesBelow + negativesTied / 2)
    positivesBelow += positivesTied
    negativesBelow += negativesTied
    ks = Math.max(ks, Math.abs(positivesBelow / positives - negativesBelow / negatives))
    start = end
  }
  return { auc: pairsWon / (positives * negatives), ks }
}

/** Found among the first k, of all relevant; 0 where nothing is relevant. */
export function recallAt(ranked: readonly string[], relevant: ReadonlySet<string>, k: number): number {
  return relevant.size === 0 ? 0 : foundRanks(ranked, relevant, k).length / relevant.size
}

/** 1 when any relevant item is among the first k, else 0. */
export function hitAt(ranked: readonly string[], relevant: ReadonlySet<string>, k: number): number {
  return foundRanks(ranked, relevant, k).length > 0 ? 1 : 0
}

/** Gain 1, discount 1 / log2(rank + 1), against the ideal order of min(k, relevant) items; 0 where nothing is relevant. */
export function ndcgAt(ranked: readonly string[], relevant: ReadonlySet<string>, k: number): number {
  if (relevant.size === 0) return 0
  let ideal = 0
  for (let rank = 1; rank <= Math.min(k, relevant.size); rank++) ideal += discount(rank)
  return foundRanks(ranked, relevant, k).reduce((sum, rank) => sum + discount(rank), 0) / ideal
}

/** 1 / rank of the first relevant item of the whole list, 0 where none is found; its mean over lists is MRR. */
export function reciprocalRank(ranked: readonly string[], relevant: ReadonlySet<string>): number {
  const [first] = foundRanks(ranked, relevant, ranked.length)
  return first === undefined ? 0 : 1 / first
}

function foundRanks(ranked: readonly string[], relevant: ReadonlySet<string>, k: number): number[] {
  check(Number.isInteger(k) && k >= 0, `k a whole number >= 0, got ${k}`)
  const ranks: number[] = []
  for (const [index, item] of ranked.slice(0, k).entries()) if (relevant.has(item)) ranks.push(index + 1)
  // An item that stands twice would be found twice, and recall could exceed 1.
  check(new Set(ranks.map((rank) => ranked[rank - 1])).size === ranks.length, 'each item once in a ranking')
  return ranks
}

function discount(rank: number): number {
  return 1 / Math.log2(rank + 1)
}

function check(condition: boolean, expected: string): void {
  if (!condition) throw new BugError('metric-input', `expected ${expected}: correct the call`)
}
