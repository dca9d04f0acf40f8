/** Who is parked: found by one walk over the users of each partition, then kept in step with what the pipeline says. */

import type { TenantId, UserId } from '../events/ids.ts'
import { splitUserKey, type UserKey, userKey } from '../events/ids.ts'
import { parked } from '../pipeline/channels.ts'
import type { Partition } from '../pipeline/partition.ts'
import type { UserRef } from '../server/service.ts'
import type { UserLookup } from './user-lookup.ts'

const PAGE_USERS = 500

export class ParkedUsers {
  private readonly lookup: UserLookup
  private readonly keys = new Set<UserKey>()
  private readonly unsubscribe: () => void
  /** A partition that comes back is another object. */
  private readonly walks = new WeakMap<Partition, Promise<void>>()

  constructor(lookup: UserLookup) {
    this.lookup = lookup
    this.unsubscribe = parked.subscribe(({ tenant, user }) =>
      this.keys.add(userKey(tenant as TenantId, user as UserId)),
    )
  }

  /** As far as is known without looking. */
  get count(): number {
    return this.keys.size
  }

  async list(limit: number): Promise<(UserRef & { reason: string; sinceMs: number })[]> {
    for (const partition of this.lookup.partitions()) {
      const walk = this.walks.get(partition) ?? this.lookAtEverybody(partition)
      this.walks.set(partition, walk)
      await walk
    }
    const found: (UserRef & { reason: string; sinceMs: number })[] = []
    for (const key of [...this.keys]) {
      const ref = splitUserKey(key)
      const state = this.lookup.find(ref)?.state
      if (state?.parked == null) this.keys.delete(key)
      else if (found.length < limit) found.push({ ...ref, ...state.parked })
    }
    return found
  }

  close(): void {
    this.unsubscribe()
  }

  private async lookAtEverybody(partition: Partition): Promise<void> {
    let after: UserKey | null = null
    for (;;) {
      const page: UserKey[] = partition.storedUsers(after, PAGE_USERS)
      for (const key of page)
        if (this.lookup.find(splitUserKey(key))?.state.parked != null) this.keys.add(key)
      if (page.length < PAGE_USERS) return
      after = page.at(-1)!
      await new Promise((resolve) => setImmediate(resolve))
    }
  }
}
