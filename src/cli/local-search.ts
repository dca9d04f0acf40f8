/** Who is near whom: an instruction's readers' vector in the collection that the alias names, and nothing else. */

import { FreshetError, RequestError, UnavailableError } from '../errors.ts'
import { TEXT_MODALITIES } from '../events/behavior-event.ts'
import { userKey } from '../events/ids.ts'
import type { Instruction, InstructionId, VectorName } from '../instructions/instruction.ts'
import type { ModelId } from '../model/embedding-model.ts'
import type { Target } from '../pipeline/view.ts'
import { type PageCursor, pageSize, readCursor, writeCursor } from '../server/pages.ts'
import type { EmbedAnswer, NearestAnswer, NearestRequest, Neighbour, UserRef } from '../server/service.ts'
import { aliasName, pointId } from '../vectors/names.ts'
import type { Hit, PointId, SearchQuery, VectorStore } from '../vectors/vector-store.ts'
import type { UserState } from '../window/user-state.ts'
import type { Parts } from './parts.ts'
import type { UserLookup } from './user-lookup.ts'

/** What a search needs of a freshet; the store may be any. */
export type SearchParts = Pick<Parts, 'updater' | 'opened'> & {
  vectors: Pick<VectorStore, 'alias' | 'readerNames' | 'get' | 'search' | 'alwaysExact'>
}

/** One instruction's vectors in one collection, which is searched under its own name: no alias moves below an answer. */
export interface Space {
  target: Target
  vectorName: VectorName
}

export class LocalSearch {
  private readonly parts: SearchParts
  private readonly lookup: UserLookup

  constructor(parts: SearchParts, lookup: UserLookup) {
    this.parts = parts
    this.lookup = lookup
  }

  /** @throws {RequestError} `page-of-other-model`, when the page before was answered from vectors that are gone */
  async nearest(request: NearestRequest): Promise<NearestAnswer> {
    const { after, instruction } = request
    const cursor = after === undefined ? undefined : readCursor(after, request)
    try {
      if (cursor === undefined) return await this.page(request, await this.space(instruction), 0)
      return await this.page(request, this.pinned(instruction, cursor), cursor.offset)
    } catch (error) {
      if (!isGone(error)) throw error
      // Dropped since the alias or the registry was looked at.
      throw cursor === undefined ? notReady(instruction, error) : pageGone(cursor, error)
    }
  }

  async embedTexts(texts: readonly string[]): Promise<EmbedAnswer> {
    const vectors = await this.parts.opened.model.embedTexts(texts)
    return { ...this.lookup.head(false), vectors: vectors.map((vector) => [...vector]) }
  }

  /**
   * Where readers of an instruction search now.
   *
   * @throws {RequestError} `instruction-unknown`, `instruction-not-read`
   * @throws {UnavailableError} `instruction-not-ready`
   */
  async space(id: InstructionId): Promise<Space> {
    const { updater, vectors } = this.parts
    const { view } = updater.control
    const { group } = this.served(id)
    const collection = await vectors.alias(aliasName(group))
    const target = [...view.targets.values()].find((one) => one.collection === collection)
    const readers = target === undefined ? undefined : await vectors.readerNames(target.collection)
    const vectorName = readers?.get(id)
    if (target === undefined || vectorName === undefined) throw notReady(id)
    return { target, vectorName }
  }

  private async page(request: NearestRequest, space: Space, offset: number): Promise<NearestAnswer> {
    const { shown, asked } = pageSize(request.k, offset)
    const { vector, exclude, stale } = await this.query(request, space)
    const { target, vectorName } = space
    const { filter, scoreThreshold, exact } = request
    const query: SearchQuery = { vectorName, vector, k: asked, offset, exclude }
    if (filter !== undefined) query.filter = filter
    if (scoreThreshold !== undefined) query.scoreThreshold = scoreThreshold
    if (exact !== undefined) query.exact = exact
    const hits = await this.parts.vectors.search(target.collection, query)
    const hasMore = hits.length > shown || (asked === shown && hits.length === shown)
    const after = { model: target.model, vectorName, offset: offset + shown }
    const isBehind = target.texts.group.paused || !target.inUse || !this.parts.updater.sweep.idle
    return {
      ...this.lookup.head(stale || isBehind),
      model: target.model,
      instruction: request.instruction,
      vectorName,
      neighbours: hits.slice(0, shown).map(neighbourOf),
      next: hasMore ? writeCursor(after, request) : null,
    }
  }

  /**
   * Where the pages before were searched, however the alias has moved since.
   *
   * @throws {RequestError} `page-of-other-model`, as well as what `space` throws
   */
  private pinned(id: InstructionId, cursor: PageCursor): Space {
    const { view } = this.parts.updater.control
    const { group } = this.served(id)
    const target = [...view.targets.values()].find((one) => one.group === group && one.model === cursor.model)
    // The text of a page from before a change is one of the group's for as long as its vectors are kept.
    if (target === undefined || !target.texts.texts.has(cursor.vectorName)) throw pageGone(cursor)
    return { target, vectorName: cursor.vectorName }
  }

  /** @throws {RequestError} `instruction-unknown`, `instruction-not-read` */
  private served(id: InstructionId): Instruction {
    const instruction = knownInstruction(this.parts.updater.control.view.instructions.instructions, id)
    if (instruction.status === 'active') return instruction
    throw new RequestError(
      'instruction-not-read',
      `expected an instruction that readers see, got ${id}, which is ${instruction.status}: name another, or register it anew (freshet instructions add)`,
      { status: 404 },
    )
  }

  private async query(
    { from, after }: NearestRequest,
    space: Space,
  ): Promise<{ vector: Float32Array; exclude: PointId[]; stale: boolean }> {
    const { model } = space.target
    if ('users' in from) return this.ofUsers(from.users, space)
    if ('text' in from)
      return { vector: await this.ofText(from.text, space, after), exclude: [], stale: false }
    if (from.model !== model)
      throw new RequestError(
        'vector-of-other-model',
        `expected a vector of model ${model}, which answers now, got one of ${from.model}: embed it again (POST /v1/embed)`,
        { status: 409 },
      )
    return { vector: Float32Array.from(from.vector), exclude: [], stale: false }
  }

  /** Embedded with the very model that is searched. */
  private async ofText(text: string, space: Space, after: string | undefined): Promise<Float32Array> {
    const { model } = this.parts.opened
    const { target, vectorName } = space
    if (target.model === model.id) return (await model.embedTexts([text]))[0]!
    if (after !== undefined) throw pageGone({ model: target.model, vectorName })
    throw new UnavailableError(
      'alias-of-other-model',
      `expected readers to be given model ${model.id}, which is active, got ${target.model}: the alias is put right within a minute; ask again`,
      { retryAfterMs: 5_000 },
    )
  }

  /** The mean direction of the users' vectors as they are stored now; the users themselves are not among the answers. */
  private async ofUsers(refs: readonly UserRef[], { target, vectorName }: Space) {
    if (refs.length === 0)
      throw new RequestError('nearest-from', 'expected at least one user to start from, got none: name one')
    // Another worker's user has a point like any other; only whether it is behind can't be told here.
    const known = refs.map((ref) => (this.lookup.isHere(ref) ? this.lookup.known(ref) : null))
    const exclude = refs.map(({ tenant, user }) => pointId(userKey(tenant, user)))
    const stored = await this.parts.vectors.get(target.collection, exclude, [vectorName])
    let vector: Float32Array | undefined
    for (const [i, id] of exclude.entries()) {
      const point = stored.get(id)?.point
      const own = point?.kind === 'vectors' ? point.vectors.get(vectorName) : undefined
      if (own === undefined) throw notEmbedded(refs[i]!, known[i]?.state)
      vector ??= new Float32Array(own.length)
      // A store may give vectors back at norm 1 or as they were written: only their directions count.
      const scale = 1 / Math.hypot(...own)
      for (let at = 0; at < vector.length; at++) vector[at]! += own[at]! * scale
    }
    return {
      vector: vector!,
      exclude,
      stale: known.some((one) => one !== null && this.lookup.isStale(one, target)),
    }
  }
}

function neighbourOf({ score, payload }: Hit): Neighbour {
  const { tenantId: tenant, userId: user, segment, lastEventAtMs } = payload
  return { tenant, user, score, segment, lastEventAtMs }
}

/** The same loss, as whoever sees it first says it: the check of a query, or the server behind a driver. */
const GONE: ReadonlySet<string> = new Set(['collection-missing', 'search-vector-name', 'vector-name-unknown'])

function isGone(error: unknown): boolean {
  return error instanceof FreshetError && GONE.has(error.code)
}

function notReady(id: InstructionId, cause?: unknown): UnavailableError {
  return new UnavailableError(
    'instruction-not-ready',
    `expected vectors that readers of ${id} are given, got none yet: a new instruction has them within a second; ask again`,
    { cause },
  )
}

function pageGone(
  { model, vectorName }: { model: ModelId; vectorName: VectorName },
  cause?: unknown,
): RequestError {
  return new RequestError(
    'page-of-other-model',
    `expected the vectors that the page before was answered from, ${vectorName} of model ${model}, got none: they were replaced meanwhile; ask for the first page again, without after`,
    { status: 410, cause },
  )
}

/** @throws {RequestError} `instruction-unknown` */
export function knownInstruction(
  instructions: ReadonlyMap<InstructionId, Instruction>,
  id: InstructionId,
): Instruction {
  const instruction = instructions.get(id)
  if (instruction !== undefined) return instruction
  throw new RequestError(
    'instruction-unknown',
    `expected one of ${[...instructions.keys()].join(', ')}, got ${JSON.stringify(id)}: register it first (freshet instructions add)`,
    { status: 404 },
  )
}

/** @param state undefined: another worker has it */
function notEmbedded({ tenant, user }: UserRef, state: UserState | undefined): RequestError {
  return new RequestError(
    'user-not-embedded',
    `expected a user with a vector, got ${user} of tenant ${tenant} without one: ${state === undefined ? 'ask the worker that holds the user why (freshet explain)' : whyNot(state)}`,
    { status: 404 },
  )
}

function whyNot({ parked, tombstoneMs, windows }: UserState): string {
  if (parked !== null) return 'the user is parked: see freshet users parked, then freshet users retry'
  // The windows hold nothing from before the tombstone.
  const isSilent = TEXT_MODALITIES.every((name) => windows[name].length === 0)
  if (tombstoneMs !== null && isSilent)
    return `the user was forgotten as of ${new Date(tombstoneMs).toISOString()}; later events make a new vector`
  return 'events are read and the vector follows within refresh.maxDelayMs; a user without events inside the horizon has none'
}
