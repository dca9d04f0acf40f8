/** Keeps what readers see equal to what the registry says is active: a late switch may land after a roll-back (V5). */

import { SHADOW_GROUP } from '../instructions/instruction.ts'
import { aliasName } from '../vectors/names.ts'
import type { VectorStore } from '../vectors/vector-store.ts'
import type { View } from './view.ts'

/** @returns how many aliases were put right */
export async function reconcileAliases(view: View, vectors: VectorStore): Promise<number> {
  let count = 0
  for (const target of view.targets.values()) {
    if (target.model !== view.models.active || target.group === SHADOW_GROUP) continue
    const alias = aliasName(target.group)
    if ((await vectors.alias(alias)) === target.collection) continue
    await vectors.setAlias(alias, target.collection)
    count++
  }
  return count
}
