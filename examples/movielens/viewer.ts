/** What is known of one viewer after each of their ratings: the running counts behind derived events and features. */

import type { Rating } from './rating.ts'

/** Ratings after which usage and features are told. */
export const BLOCK_RATINGS = 20
const DAY_S = 86_400
const DAY_PARTS = ['night', 'morning', 'afternoon', 'evening'] as const

export class Viewer {
  /** Ratings so far. */
  count = 0
  private sum = 0
  private sumOfSquares = 0
  private readonly genres = new Map<string, number>()
  private readonly blockGenres = new Map<string, number>()
  private readonly dayParts = [0, 0, 0, 0]
  private readonly timesS: number[] = []
  private recent: Rating[] = []

  /** Takes the next rating in time order. */
  add(rating: Rating): void {
    if (this.count % BLOCK_RATINGS === 0) this.blockGenres.clear()
    this.count++
    this.sum += rating.stars
    this.sumOfSquares += rating.stars ** 2
    for (const genre of rating.movie.genres) {
      increment(this.genres, genre)
      increment(this.blockGenres, genre)
    }
    const part = Math.floor((rating.timeS % DAY_S) / (DAY_S / 4))
    this.dayParts[part]!++
    this.timesS.push(rating.timeS)
    this.recent.push(rating)
  }

  /** Whether the last rating ends a block. */
  get blockEnds(): boolean {
    return this.count % BLOCK_RATINGS === 0
  }

  /** Genres of the current block by falling count, ties by name, at most `limit`. */
  topGenres(limit: number): { genre: string; ratings: number }[] {
    return [...this.blockGenres]
      .map(([genre, ratings]) => ({ genre, ratings }))
      .sort((a, b) => b.ratings - a.ratings || (a.genre < b.genre ? -1 : 1))
      .slice(0, limit)
  }

  /** The best rated film since the last call, the earliest of equals. */
  takeFavourite(): Rating | undefined {
    let best = this.recent[0]
    for (const rating of this.recent) if (best && rating.stars > best.stars) best = rating
    this.recent = []
    return best
  }

  /** Features up to the last rating, which is taken as now. Only what has happened: no feature looks ahead. */
  features(): Record<string, number> {
    const nowS = this.timesS.at(-1) ?? 0
    const mean = this.sum / this.count
    const month = this.timesS.slice(-this.since(nowS - 30 * DAY_S))
    const features: Record<string, number> = {
      ratings_total: this.count,
      stars_mean: mean,
      stars_variance: Math.max(0, this.sumOfSquares / this.count - mean ** 2),
      // Activity counters by the names that the built-in model reads; a rating is a mini program's event.
      miniprogram_1d: this.since(nowS - DAY_S),
      miniprogram_7d: this.since(nowS - 7 * DAY_S),
      miniprogram_30d: month.length,
      active_days_30d: new Set(month.map((timeS) => Math.floor(timeS / DAY_S))).size,
      night_share_30d: month.filter((timeS) => timeS % DAY_S < DAY_S / 4).length / month.length,
      weekend_share_30d: month.filter(isWeekend).length / month.length,
    }
    for (const [genre, ratings] of this.genres)
      features[`genre_share_${featureWord(genre)}`] = ratings / this.count
    for (const [i, part] of DAY_PARTS.entries())
      features[`hour_share_${part}`] = this.dayParts[i]! / this.count
    return features
  }

  /** Ratings after the time; times rise, so halving finds the first of them. */
  private since(timeS: number): number {
    let low = 0
    let high = this.timesS.length
    while (low < high) {
      const middle = (low + high) >> 1
      if (this.timesS[middle]! <= timeS) low = middle + 1
      else high = middle
    }
    return this.timesS.length - low
  }
}

function isWeekend(timeS: number): boolean {
  return new Date(timeS * 1_000).getUTCDay() % 6 === 0
}

function increment(counts: Map<string, number>, key: string): void {
  counts.set(key, (counts.get(key) ?? 0) + 1)
}

/** `Sci-Fi` -> `sci_fi`. */
export function featureWord(genre: string): string {
  return genre.toLowerCase().replaceAll(/[^a-z0-9]+/g, '_')
}
