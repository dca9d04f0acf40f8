import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { assignPartitions, type Candidate } from '../../../src/drivers/kafka/sticky-assigner.ts'

const claim = fc.option(
  fc.record({
    generation: fc.integer({ min: 1, max: 4 }),
    // Also what nobody can hold: of a topic that had more partitions, or of a broken member.
    partitions: fc.uniqueArray(fc.integer({ min: -1, max: 40 }), { maxLength: 20 }),
  }),
)
const members = fc.uniqueArray(fc.string({ minLength: 1, maxLength: 4 }), { minLength: 1, maxLength: 8 })
const group = members.chain((ids) =>
  fc.tuple(...ids.map((memberId) => claim.map((claim): Candidate => ({ memberId, claim })))),
)
const partitionCount = fc.integer({ min: 0, max: 36 })

describe('assigning partitions', () => {
  test('every number has one owner, and nobody has two more than another', () => {
    fc.assert(
      fc.property(group, partitionCount, (candidates, count) => {
        const assignment = assignPartitions(candidates, count)
        assert.deepEqual([...assignment.keys()].sort(), candidates.map(({ memberId }) => memberId).sort())
        const all = [...assignment.values()].flat().sort((a, b) => a - b)
        assert.deepEqual(
          all,
          Array.from({ length: count }, (_, i) => i),
        )
        const sizes = [...assignment.values()].map((partitions) => partitions.length)
        assert.ok(Math.max(...sizes) - Math.min(...sizes) <= 1)
      }),
      { seed: 20261124 },
    )
  })

  test('it is the same in whatever order members come', () => {
    fc.assert(
      fc.property(
        group.chain((all) => fc.tuple(fc.constant(all), fc.shuffledSubarray(all, { minLength: all.length }))),
        partitionCount,
        ([all, shuffled], count) => {
          const sorted = (assignment: Map<string, number[]>) =>
            [...assignment].sort(([a], [b]) => (a < b ? -1 : 1))
          assert.deepEqual(sorted(assignPartitions(all, count)), sorted(assignPartitions(shuffled, count)))
        },
      ),
      { seed: 20261124 },
    )
  })

  test('whoever comes and goes, no balanced assignment would move fewer', () => {
    const steps = fc.array(fc.constantFrom('join', 'leave-first', 'leave-last'), { maxLength: 12 })
    fc.assert(
      fc.property(steps, partitionCount, (changes, count) => {
        let next = 0
        let held = new Map<string, number[]>([[`m${next++}`, []]])
        let generation = 0
        for (const change of ['join', ...changes]) {
          const names = [...held.keys()]
          if (change === 'join') held.set(`m${next++}`, [])
          else if (names.length > 1) held.delete(change === 'leave-first' ? names[0]! : names.at(-1)!)
          generation++
          const candidates = [...held].map(([memberId, partitions]) => ({
            memberId,
            claim: partitions.length === 0 ? null : { generation, partitions },
          }))
          const after = assignPartitions(candidates, count)
          let kept = 0
          for (const [member, partitions] of held)
            kept += partitions.filter((partition) => after.get(member)!.includes(partition)).length
          assert.equal(
            kept,
            mostThatCanStay(
              [...held.values()].map((p) => p.length),
              count,
            ),
          )
          held = after
        }
      }),
      { seed: 20261124 },
    )
  })

  test('of two who claim a number, the one of the later generation keeps it', () => {
    const candidates: Candidate[] = [
      { memberId: 'a', claim: { generation: 3, partitions: [0, 1] } },
      { memberId: 'b', claim: { generation: 5, partitions: [1, 2] } },
    ]
    assert.deepEqual(
      [...assignPartitions(candidates, 3)],
      [
        ['a', [0]],
        ['b', [1, 2]],
      ],
    )
  })

  test('one who joins takes a share, and nobody else gets anything new', () => {
    const before = assignPartitions(
      ['a', 'b', 'c'].map((memberId) => ({ memberId, claim: null })),
      12,
    )
    const candidates = [...before].map(([memberId, partitions]) => ({
      memberId,
      claim: { generation: 1, partitions },
    }))
    const after = assignPartitions([...candidates, { memberId: 'd', claim: null }], 12)
    assert.equal(after.get('d')!.length, 3)
    for (const [member, partitions] of before)
      assert.deepEqual(
        after.get(member)!.filter((partition) => !partitions.includes(partition)),
        [],
      )
  })
})

/** Each member can keep as many as its share; shares are as even as can be, and the larger go to who holds most. */
function mostThatCanStay(holdings: readonly number[], count: number): number {
  const share = Math.floor(count / holdings.length)
  const larger = count % holdings.length
  return holdings
    .toSorted((a, b) => b - a)
    .reduce((kept, held, rank) => kept + Math.min(held, share + (rank < larger ? 1 : 0)), 0)
}
