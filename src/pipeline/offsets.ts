/** Offsets by topic index: small dense arrays, Infinity where a topic has none, because they are touched for every record. */

export type Offsets = number[]

export function noOffsets(topicCount: number): Offsets {
  return new Array<number>(topicCount).fill(Number.POSITIVE_INFINITY)
}

/** The smaller of each; `a` is changed and returned. */
export function earliest(a: Offsets, b: Readonly<Offsets>): Offsets {
  for (let i = 0; i < a.length; i++) if (b[i]! < a[i]!) a[i] = b[i]!
  return a
}
