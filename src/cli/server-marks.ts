/**
 * Vectors on a server outlive the data directory that wrote them, and are restored without it: every collection bears a mark
 * that the directory knows, too. It tells whose they are, and whether both are of one time.
 */

import { randomUUID } from 'node:crypto'
import type { OfVectors, ServerMemory } from '../drivers/sqlite/of-vectors.ts'
import { ConfigError } from '../errors.ts'
import type { Clock } from '../pipeline/clock.ts'
import { vectorsLost } from '../pipeline/sender.ts'
import type { View } from '../pipeline/view.ts'
import type { CollectionInfo, CollectionName, VectorStore, WriteVersion } from '../vectors/vector-store.ts'

interface Mark {
  /** Who writes: the id of a data directory, or the name of a consumer group. */
  owner: string
  /** Rises with every mark. */
  count: number
  /** Tells marks of one count apart: after a backup was restored, counts are used a second time. */
  once: string
}

/** What a collection bears: a mark is announced before the directory takes it, so that a crash in between is seen as none. */
interface Note {
  mark: Mark
  next?: Mark
}

/** A server's collections, as far as a writer may note something on them. */
export interface NotedCollections {
  /** @returns the note of every collection there is; null: it bears none */
  notes(): Promise<Map<CollectionName, string | null>>
  noteAll(note: string): Promise<void>
  /** The note that collections get when they are made. */
  noteNew(note: string): void
  /** Whether any point bears the version, or a newer one. */
  holdsSince(name: CollectionName, version: WriteVersion): Promise<boolean>
}

type Written = ReadonlyMap<CollectionName, WriteVersion>

/**
 * What the server's vectors are, beside the states that say when they were written.
 * - `matching`: as this directory left them.
 * - `lacking`: collections or vector names are gone, came back from a backup, or were never there.
 * - `foreign`: younger than the states, which came from a backup: they may hold users that nobody knows any more.
 */
export type ServerVectors = 'matching' | 'lacking' | 'foreign'

/** How long a mark is kept: states from a backup that is younger than the last mark are not known as such. */
const MARK_AGE_MS = 3_600_000

export class ServerMarks {
  private readonly server: NotedCollections
  private readonly memory: OfVectors
  private readonly clock: Clock
  private readonly owner: string
  private markedMs = Number.NEGATIVE_INFINITY
  private confirmed = ''
  private written = ''
  private isRefused = false

  constructor(server: NotedCollections, memory: OfVectors, clock: Clock, owner = memory.owner()) {
    this.server = server
    this.memory = memory
    this.clock = clock
    this.owner = owner
  }

  /**
   * Looks at what is there, and changes nothing.
   *
   * @param infos the server's collections
   * @param view what the registry wants; null: it is empty yet
   * @throws {ConfigError} `vectors-not-ours`
   */
  async look(infos: readonly CollectionInfo[], view: View | null): Promise<ServerVectors> {
    const notes = await this.server.notes()
    const strangers = this.strangers(notes)
    if (strangers.length > 0) throw this.notOurs(strangers)
    const memory = this.memory.server()
    if (memory !== null) this.server.noteNew(noteOf(JSON.parse(memory.mark) as Mark))
    if (memory === null) return notes.size === 0 ? 'lacking' : 'foreign'
    const ages = [...notes.values()].map((text) => ageOf(JSON.parse(text!) as Note, memory))
    if (ages.includes('foreign')) return 'foreign'
    if (ages.includes('lacking') || isSomethingGone(infos, memory, view)) return 'lacking'
    return (await this.isOlder(memory, notes)) ? 'lacking' : 'matching'
  }

  /** A collection keeps its mark when a snapshot is put into it, so its points are asked as well. */
  private async isOlder(
    { written }: ServerMemory,
    notes: ReadonlyMap<CollectionName, unknown>,
  ): Promise<boolean> {
    for (const [name, version] of written)
      if (notes.has(name) && !(await this.server.holdsSince(name, version))) return true
    return false
  }

  /** Drops the collections of others: their data is gone, or never mattered. */
  async dropStrangers(vectors: Pick<VectorStore, 'dropCollection'>): Promise<void> {
    for (const { name } of this.strangers(await this.server.notes())) await vectors.dropCollection(name)
  }

  /**
   * Remembers what was written, and marks both sides as of one time, where an hour has passed or collections and names are
   * others than those remembered.
   *
   * @param view what the registry wants, and is there; null: nothing yet
   * @throws {UnavailableError} the former mark still holds
   * @throws {ConfigError} `vectors-lost`, `vectors-not-ours`: somebody put others in their place meanwhile
   */
  async agree(view: View | null, written: Written): Promise<void> {
    const confirmed = view === null ? new Map<CollectionName, string[]>() : namesOf(view)
    const text = JSON.stringify([...confirmed])
    if (view !== null) await this.checkUnchanged()
    const nowMs = this.clock.nowMs()
    const isDue = text !== this.confirmed || nowMs - this.markedMs >= MARK_AGE_MS
    if (!isDue || this.isRefused) {
      this.remember(written)
      return
    }
    const before = this.memory.server()
    const mark = before === null ? null : (JSON.parse(before.mark) as Mark)
    const next: Mark = { owner: this.owner, count: (mark?.count ?? 0) + 1, once: randomUUID() }
    try {
      await this.note({ mark: mark ?? next, next })
    } catch (error) {
      // Collections that somebody with more rights made: they are as they were marked then.
      if (!isForbidden(error)) throw error
      this.isRefused = true
      this.remember(written)
      return
    }
    this.memory.rememberServer({ mark: JSON.stringify(next), confirmed, written })
    await this.note({ mark: next })
    this.markedMs = nowMs
    this.confirmed = text
  }

  /** A new mark would hide a collection that came back from a snapshot, or that another freshet has taken over. */
  private async checkUnchanged(): Promise<void> {
    const memory = this.memory.server()
    if (memory === null) return
    const notes = await this.server.notes()
    const strangers = this.strangers(notes)
    if (strangers.length > 0) throw this.notOurs(strangers)
    for (const [name, text] of notes)
      if (ageOf(JSON.parse(text!) as Note, memory) !== 'matching')
        throw vectorsLost(name, 'one that was put in its place, from a snapshot')
  }

  /** Costs the server nothing, so it may be done as often as one likes. */
  remember(written: Written): void {
    const text = JSON.stringify([...written])
    if (text === this.written) return
    this.memory.rememberWritten(written)
    this.written = text
  }

  private strangers(notes: ReadonlyMap<CollectionName, string | null>) {
    return [...notes].flatMap(([name, text]) => {
      const owner = text === null ? null : (JSON.parse(text) as Note).mark.owner
      return owner === this.owner ? [] : [{ name, owner }]
    })
  }

  private async note(note: Note): Promise<void> {
    const text = JSON.stringify(note)
    this.server.noteNew(text)
    await this.server.noteAll(text)
  }

  private notOurs(strangers: readonly { name: CollectionName; owner: string | null }[]): ConfigError {
    const names = strangers.map(({ name, owner }) => `${name} (of ${owner ?? 'nobody who says so'})`)
    return new ConfigError(
      'vectors-not-ours',
      `expected no collections but those of this data directory (${this.owner}), got ${names.join(', ')}: if another freshet writes them, choose another vectors.qdrant.prefix; if its data is gone, run freshet collections rebuild --take-over, which drops them and embeds everybody anew`,
    )
  }
}

function noteOf(mark: Mark): string {
  return JSON.stringify({ mark } satisfies Note)
}

function ageOf({ mark, next }: Note, memory: ServerMemory): ServerVectors {
  const mine = JSON.parse(memory.mark) as Mark
  if (mark.once === mine.once || next?.once === mine.once) return 'matching'
  return mark.count < mine.count ? 'lacking' : 'foreign'
}

/** What was there, is still wanted, and is there no more. */
function isSomethingGone(
  infos: readonly CollectionInfo[],
  { confirmed }: ServerMemory,
  view: View | null,
): boolean {
  const present = new Map(infos.map(({ name, vectorNames }) => [name, new Set<string>(vectorNames)]))
  const wanted = view === null ? new Map<CollectionName, string[]>() : namesOf(view)
  return [...wanted].some(([collection, names]) => {
    const were = confirmed.get(collection)
    if (were === undefined) return false
    const are = present.get(collection)
    return are === undefined || names.some((name) => were.includes(name) && !are.has(name))
  })
}

function namesOf({ targets }: View): Map<CollectionName, string[]> {
  const inUse = [...targets.values()].filter((target) => target.inUse)
  return new Map(inUse.map(({ collection, texts }) => [collection, [...texts.texts.keys()].sort()]))
}

const FORBIDDEN = new Set(['qdrant-key-read-only', 'qdrant-key-rights'])

function isForbidden(error: unknown): boolean {
  return error instanceof ConfigError && FORBIDDEN.has(error.code)
}
