/** Holds the quality measures to the reference's values. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { binaryQuality, hitAt, ndcgAt, recallAt, reciprocalRank } from '../../src/evaluation/metrics.ts'
import { goldenFiles } from './golden-files.ts'

interface RankedScores {
  recall: number[]
  hit: number[]
  ndcg: number[]
}

interface Metrics {
  tolerance: number
  k: number[]
  binary: {
    name: string
    labels: number[]
    scores: number[]
    expected: { auc: number | null; ks: number | null }
  }[]
  ranking: {
    name: string
    ranked: string[]
    relevant: string[]
    expected: RankedScores & { reciprocalRank: number }
  }[]
  mean: RankedScores & { mrr: number }
}

function near(
  got: readonly (number | null)[],
  expected: readonly (number | null)[],
  tolerance: number,
  what: string,
): void {
  assert.equal(got.length, expected.length, what)
  for (const [i, value] of expected.entries()) {
    if (value === null) assert.equal(got[i], null, what)
    else assert.ok(Math.abs(got[i]! - value) <= tolerance, `${what}: expected ${expected}, got ${got}`)
  }
}

function mean(rows: readonly (readonly number[])[]): number[] {
  return rows[0]!.map((_, column) => rows.reduce((sum, row) => sum + row[column]!, 0) / rows.length)
}

for (const { name, content } of goldenFiles<Metrics>('metrics')) {
  const { k, tolerance, binary, ranking } = content

  test(`${name}: AUC and KS, ties included`, () => {
    for (const { name: label, labels, scores, expected } of binary) {
      const { auc, ks } = binaryQuality(labels, scores)
      near([auc, ks], [expected.auc, expected.ks], tolerance, label)
    }
  })

  test(`${name}: recall, hit rate, NDCG and reciprocal rank, of each list and on average`, () => {
    const all = ranking.map(({ name: label, ranked, relevant, expected }) => {
      const set = new Set(relevant)
      const got = {
        recall: k.map((limit) => recallAt(ranked, set, limit)),
        hit: k.map((limit) => hitAt(ranked, set, limit)),
        ndcg: k.map((limit) => ndcgAt(ranked, set, limit)),
        reciprocalRank: reciprocalRank(ranked, set),
      }
      for (const key of ['recall', 'hit', 'ndcg'] as const)
        near(got[key], expected[key], tolerance, `${label} ${key}`)
      near([got.reciprocalRank], [expected.reciprocalRank], tolerance, label)
      return got
    })
    for (const key of ['recall', 'hit', 'ndcg'] as const) {
      near(mean(all.map((row) => row[key])), content.mean[key], tolerance, `mean ${key}`)
    }
    near(mean(all.map((row) => [row.reciprocalRank])), [content.mean.mrr], tolerance, 'MRR')
  })
}
