/**
 * Who gets which partition numbers: balanced within one, each number of all topics to one member (co-partitioned), and
 * as few as possible taken from those who hold them, because a user's state lies where their partition was.
 */

/** What a member held when the group last came together. */
export interface Claim {
  /** Of that time: who claims what somebody got later is mistaken. */
  generation: number
  partitions: readonly number[]
}

export interface Candidate {
  memberId: string
  /** null: it is new, or of a version whose claims nobody can read. */
  claim: Claim | null
}

/**
 * Deterministic in the members and their claims, whatever the order they come in.
 *
 * @returns partition numbers by member, each in rising order; everybody is there, maybe with none
 */
export function assignPartitions(
  candidates: readonly Candidate[],
  partitionCount: number,
): Map<string, number[]> {
  const members = candidates.toSorted((a, b) => (a.memberId < b.memberId ? -1 : 1))
  const claimed = rightfulClaims(members, partitionCount)
  const share = Math.floor(partitionCount / members.length)
  const larger = partitionCount % members.length
  // Those who hold most may keep one more: every number that somebody keeps is one that needn't move.
  const byHoldings = members.toSorted((a, b) => holdings(b) - holdings(a))
  const quota = new Map(byHoldings.map(({ memberId }, index) => [memberId, share + (index < larger ? 1 : 0)]))

  const assignment = new Map<string, number[]>()
  const free = new Set(Array.from({ length: partitionCount }, (_, partition) => partition))
  for (const { memberId } of members) {
    const kept = claimed.get(memberId)!.slice(0, quota.get(memberId))
    assignment.set(memberId, kept)
    for (const partition of kept) free.delete(partition)
  }
  const [...homeless] = free
  for (const { memberId } of members) {
    const partitions = assignment.get(memberId)!
    partitions.push(...homeless.splice(0, quota.get(memberId)! - partitions.length))
    partitions.sort((a, b) => a - b)
  }
  return assignment

  function holdings({ memberId }: Candidate): number {
    return claimed.get(memberId)!.length
  }
}

/** Of two who claim the same number, the one of the later generation is right; within one, it can't be told. */
function rightfulClaims(members: readonly Candidate[], partitionCount: number): Map<string, number[]> {
  const holder = new Map<number, { memberId: string; generation: number }>()
  for (const { memberId, claim } of members) {
    if (claim === null) continue
    for (const partition of claim.partitions) {
      if (!Number.isInteger(partition) || partition < 0 || partition >= partitionCount) continue
      const other = holder.get(partition)
      if (other === undefined || other.generation < claim.generation)
        holder.set(partition, { memberId, generation: claim.generation })
    }
  }
  const claimed = new Map<string, number[]>(members.map(({ memberId }) => [memberId, []]))
  for (const [partition, { memberId }] of [...holder].sort(([a], [b]) => a - b))
    claimed.get(memberId)!.push(partition)
  return claimed
}
