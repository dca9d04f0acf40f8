/** The changelog and the local disks of the consistency model's workers, as the real state store reaches them. */

import type { UserKey } from '../../../src/events/ids.ts'
import type { Changelog, ChangelogPage, LocalStates } from '../../../src/pipeline/changelog.ts'
import type { Disk, PendingAppend, World } from './world.ts'

export type { PendingAppend }

/**
 * The changelog as one worker reaches it; its appends wait in a queue until they land.
 *
 * @param turn passes when the worker may read the next page
 */
export function changelogOf(
  world: World,
  appends: PendingAppend[],
  turn: () => Promise<void> = async () => {},
): Changelog {
  return {
    topicId: async () => world.changelogId,
    read: (partition, from) => pagesOf(world, partition, from, turn),
    append: (partition, records) =>
      new Promise((resolve) => {
        if (records.length === 0) return resolve(-1)
        const positions: number[] = []
        const done = () => resolve(inARow(positions))
        appends.push({ partition, records: [...records], positions, done })
      }),
  }
}

/** @returns the first; -1 where others lie between them */
function inARow(positions: readonly number[]): number {
  const first = positions[0]!
  return positions.every((position, at) => position === first + at) ? first : -1
}

/** In two pages, so that what one knows of the other matters. */
async function* pagesOf(
  world: World,
  partition: number,
  from: number,
  turn: () => Promise<void>,
): AsyncGenerator<ChangelogPage> {
  const end = world.changelogEnd[partition]!
  const records = world.changelog[partition]!.filter(({ position }) => position >= from)
  const half = records.length >> 1
  await turn()
  if (half > 0) yield { records: records.slice(0, half), next: records[half - 1]!.position + 1, end }
  yield { records: records.slice(half), next: end, end }
}

/** A disk, as whoever runs on it finds it. */
export function localStatesOf(world: World, diskId: number): LocalStates {
  const disk = (): Disk => world.disk(diskId)
  const name = (partition: number, user: UserKey) => `${partition} ${user}`
  const usersIn = (map: ReadonlyMap<string, unknown>, partition: number) =>
    [...map.keys()].filter((key) => key.startsWith(`${partition} `)).map((key) => key.slice(2) as UserKey)
  return {
    head: (partition) => disk().heads.get(partition),
    writePage: (partition, copied, head) => {
      const { copies, lives, heads } = disk()
      for (const [user, local] of copied) {
        const live = lives.get(name(partition, user))
        if (live !== undefined && Buffer.compare(live.state, local.state) === 0)
          lives.delete(name(partition, user))
        copies.set(name(partition, user), local)
      }
      heads.set(partition, head)
    },
    copied: (partition, user) => disk().copies.get(name(partition, user)),
    live: (partition, user) => disk().lives.get(name(partition, user)),
    liveUsers: (partition) => usersIn(disk().lives, partition),
    writeLive: (partition, user, local) => disk().lives.set(name(partition, user), local),
    users: (partition, after, limit) => {
      const users = new Set([...usersIn(disk().copies, partition), ...usersIn(disk().lives, partition)])
      return [...users]
        .filter((user) => after === null || user > after)
        .sort()
        .slice(0, limit)
    },
    clear: (partition) => {
      for (const map of [disk().copies, disk().lives])
        for (const key of [...map.keys()]) if (key.startsWith(`${partition} `)) map.delete(key)
      disk().heads.delete(partition)
    },
  }
}
