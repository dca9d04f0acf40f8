/** Who is near whom: an instruction's readers' vector in the collection that the alias names, and nothing else. */

import { RequestError } from '../errors.ts'
import { TEXT_MODALITIES } from '../events/behavior-event.ts'
import type { Instruction, InstructionId, VectorName } from '../instructions/instruction.ts'
import type { Target } from '../pipeline/view.ts'
import type { EmbedAnswer, NearestAnswer, NearestRequest, Neighbour, UserRef } from '../server/service.ts'
import { aliasName, pointId } from '../vectors/names.ts'
import type { PointId, SearchQuery } from '../vectors/vector-store.ts'
import type { UserState } from '../window/user-state.ts'
import type { StandaloneParts } from './standalone.ts'
import type { UserLookup } from './user-lookup.ts'

interface Space {
  /** Its collection is the one that the alias named when the request came. */
  target: Target
  vectorName: VectorName
}

export class LocalSearch {
  private readonly parts: StandaloneParts
  private readonly lookup: UserLookup

  constructor(parts: StandaloneParts, lookup: UserLookup) {
    this.parts = parts
    this.lookup = lookup
  }

  async nearest(request: NearestRequest): Promise<NearestAnswer> {
    const space = await this.space(request.instruction)
    const { vector, exclude, stale } = await this.query(request, space)
    const query: SearchQuery = { vectorName: space.vectorName, vector, k: request.k, exclude }
    if (request.filter !== undefined) query.filter = request.filter
    if (request.scoreThreshold !== undefined) query.scoreThreshold = request.scoreThreshold
    // The concrete collection: an alias that moves meanwhile must not mix two models in one answer.
    const hits = await this.parts.vectors.search(space.target.collection, query)
    const { paused } = space.target.texts.group
    return {
      ...this.lookup.head(stale || paused || !this.parts.updater.sweep.idle),
      model: space.target.model,
      instruction: request.instruction,
      vectorName: space.vectorName,
      neighbours: hits.map(
        ({ score, payload }): Neighbour => ({
          tenant: payload.tenantId,
          user: payload.userId,
          score,
          segment: payload.segment,
          lastEventAtMs: payload.lastEventAtMs,
        }),
      ),
    }
  }

  async embedTexts(texts: readonly string[]): Promise<EmbedAnswer> {
    const vectors = await this.parts.opened.model.embedTexts(texts)
    return { ...this.lookup.head(false), vectors: vectors.map((vector) => [...vector]) }
  }

  /** @throws {RequestError} `instruction-unknown`, `instruction-not-read` */
  private async space(id: InstructionId): Promise<Space> {
    const { updater, vectors } = this.parts
    const { view } = updater.control
    const { group } = knownInstruction(view.instructions.instructions, id)
    const collection = await vectors.alias(aliasName(group))
    const target = [...view.targets.values()].find((one) => one.collection === collection)
    const readers = target === undefined ? undefined : await vectors.readerNames(target.collection)
    const vectorName = readers?.get(id)
    if (target === undefined || vectorName === undefined)
      throw new RequestError(
        'instruction-not-read',
        `expected an instruction that readers see, got ${id} of group ${group}: shadow and retired instructions are not served, and a new one is within a second`,
        { status: 404 },
      )
    return { target, vectorName }
  }

  private async query(
    { from }: NearestRequest,
    space: Space,
  ): Promise<{ vector: Float32Array; exclude: PointId[]; stale: boolean }> {
    if ('users' in from) return this.ofUsers(from.users, space)
    if ('text' in from) {
      const [vector] = await this.parts.opened.model.embedTexts([from.text])
      return { vector: vector!, exclude: [], stale: false }
    }
    if (from.model !== space.target.model)
      throw new RequestError(
        'vector-of-other-model',
        `expected a vector of model ${space.target.model}, which answers now, got one of ${from.model}: embed it again (POST /v1/embed)`,
        { status: 409 },
      )
    return { vector: Float32Array.from(from.vector), exclude: [], stale: false }
  }

  /** The mean direction of the users' vectors; the users themselves are not among the answers. */
  private async ofUsers(refs: readonly UserRef[], { target, vectorName }: Space) {
    if (refs.length === 0)
      throw new RequestError('nearest-from', 'expected at least one user to start from, got none: name one')
    const known = refs.map((ref) => this.lookup.known(ref))
    const exclude = known.map(({ key }) => pointId(key))
    const stored = await this.parts.vectors.get(target.collection, exclude)
    const vector = new Float32Array(this.parts.opened.model.dimensions)
    for (const [i, id] of exclude.entries()) {
      const point = stored.get(id)?.point
      const own = point?.kind === 'vectors' ? point.vectors.get(vectorName) : undefined
      if (own === undefined) throw notEmbedded(refs[i]!, known[i]!.state)
      for (let at = 0; at < vector.length; at++) vector[at]! += own[at]!
    }
    return { vector, exclude, stale: known.some((one) => this.lookup.isStale(one, target)) }
  }
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

function notEmbedded({ tenant, user }: UserRef, state: UserState): RequestError {
  return new RequestError(
    'user-not-embedded',
    `expected a user with a vector, got ${user} of tenant ${tenant} without one: ${whyNot(state)}`,
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
