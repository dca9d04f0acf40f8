/** One rating as MovieLens knows it, whichever file it came from. */

export interface Movie {
  movieId: number
  /** Without the year. */
  title: string
  year: number | null
  genres: readonly string[]
}

export interface Rating {
  userId: number
  movie: Movie
  /** 0.5 to 5, in halves. */
  stars: number
  /** Seconds since the Unix epoch. */
  timeS: number
}

/** MovieLens writes `Action|Crime`, and `(no genres listed)` for none. */
export function splitGenres(text: string): string[] {
  return text === '' || text === '(no genres listed)' ? [] : text.split('|')
}
