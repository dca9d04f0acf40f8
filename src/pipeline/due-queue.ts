/** Who is looked at next: a binary heap by time; an item whose entry was scheduled anew since is stale and skipped. */

import type { UserEntry } from './user-entry.ts'

interface Item {
  atMs: number
  /** Breaks ties: first come, first served. */
  order: number
  entry: UserEntry
}

export class DueQueue {
  private readonly heap: Item[] = []
  private order = 0

  /** Looks at the user at the given time, or earlier if that is planned already. */
  schedule(entry: UserEntry, atMs: number): void {
    if (atMs >= entry.scheduledMs) return
    entry.scheduledMs = atMs
    this.push({ atMs, order: this.order++, entry })
  }

  /** The next user whose time has come; undefined: nobody's has. */
  pop(nowMs: number): UserEntry | undefined {
    for (let top = this.heap[0]; top !== undefined && top.atMs <= nowMs; top = this.heap[0]) {
      this.removeTop()
      if (top.entry.scheduledMs !== top.atMs) continue
      top.entry.scheduledMs = Number.POSITIVE_INFINITY
      if (top.entry.partition.owned) return top.entry
    }
    return undefined
  }

  /** When somebody is due, milliseconds; Infinity: never. A stale item may make it too early, never too late. */
  get nextMs(): number {
    return this.heap[0]?.atMs ?? Number.POSITIVE_INFINITY
  }

  clear(): void {
    this.heap.length = 0
  }

  private push(item: Item): void {
    const { heap } = this
    let at = heap.length
    heap.push(item)
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (!before(item, heap[parent]!)) break
      heap[at] = heap[parent]!
      at = parent
    }
    heap[at] = item
  }

  private removeTop(): void {
    const { heap } = this
    const last = heap.pop()!
    if (heap.length === 0) return
    let at = 0
    for (;;) {
      let child = 2 * at + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && before(heap[child + 1]!, heap[child]!)) child++
      if (!before(heap[child]!, last)) break
      heap[at] = heap[child]!
      at = child
    }
    heap[at] = last
  }
}

function before(a: Item, b: Item): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order)
}
