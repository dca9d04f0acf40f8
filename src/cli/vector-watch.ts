/** Follows one user's vectors: how far each moved at its last refresh, and since the watching began. */

import { userKey } from '../events/ids.ts'
import type { InstructionId } from '../instructions/instruction.ts'
import type { UserRef } from '../server/service.ts'
import { pointId } from '../vectors/names.ts'
import type { StandaloneParts } from './parts.ts'

export interface Movement {
  id: InstructionId
  /** 1 - cosine between the vector and the one before it; null: it has not moved yet. */
  last: number | null
  /** 1 - cosine to the first one seen. */
  total: number
}

interface Trace {
  first: Float32Array
  current: Float32Array
  last: number | null
}

export class VectorWatch {
  private readonly parts: StandaloneParts
  private readonly ref: UserRef
  private readonly traces = new Map<InstructionId, Trace>()
  private write = ''

  constructor(parts: StandaloneParts, ref: UserRef) {
    this.parts = parts
    this.ref = ref
  }

  /** Looks at what is stored now. @returns one entry an instruction of the group `main`, in their order */
  async look(): Promise<Movement[]> {
    const { updater, vectors } = this.parts
    const { main } = updater.control.view
    const id = pointId(userKey(this.ref.tenant, this.ref.user))
    const stored = (await vectors.get(main.collection, [id])).get(id)
    if (stored?.point.kind === 'vectors') {
      const write = `${stored.version.epoch} ${stored.version.write}`
      const isNew = write !== this.write
      this.write = write
      for (const [instruction, name] of main.texts.readerNames) {
        const vector = stored.point.vectors.get(name)
        if (isNew && vector !== undefined) this.note(instruction, vector)
      }
    }
    return [...this.traces].map(([id, { first, current, last }]) => ({
      id,
      last,
      total: distance(first, current),
    }))
  }

  private note(id: InstructionId, vector: Float32Array): void {
    const trace = this.traces.get(id)
    if (trace === undefined) this.traces.set(id, { first: vector, current: vector, last: null })
    else this.traces.set(id, { ...trace, current: vector, last: distance(trace.current, vector) })
  }
}

/** Vectors of norm 1. */
function distance(a: Float32Array, b: Float32Array): number {
  let product = 0
  for (let i = 0; i < a.length; i++) product += a[i]! * b[i]!
  return Math.max(0, 1 - product)
}
