/** The control topics as read so far, and the targets that follow from them: one per group and model. */

import { type GroupName, MAIN_GROUP } from '../instructions/instruction.ts'
import type { GroupTexts, InstructionRegistry } from '../instructions/registry.ts'
import type { ModelId } from '../model/embedding-model.ts'
import type { ModelRegistry } from '../vectors/model-registry.ts'
import { collectionName } from '../vectors/names.ts'
import type { CollectionName } from '../vectors/vector-store.ts'
import type { TargetKey } from '../window/user-state.ts'

/** One collection that users are written to. */
export interface Target {
  key: TargetKey
  group: GroupName
  texts: GroupTexts
  model: ModelId
  collection: CollectionName
  /** False: kept for roll-back only; forgotten users still leave stubs in it (V2). */
  inUse: boolean
  /** The active model's `main` acknowledges events; every other target keeps a durable due time. */
  acknowledges: boolean
  /** Offset of the model's last change of use (E1). */
  modelChangeNumber: number
}

export interface View {
  instructions: InstructionRegistry
  models: ModelRegistry
  targets: ReadonlyMap<TargetKey, Target>
  /** The target that acknowledges events. */
  main: Target
}

function targetKey(group: GroupName, model: ModelId): TargetKey {
  return `${group}/${model}`
}

export function readView(instructions: InstructionRegistry, models: ModelRegistry): View {
  const targets = new Map<TargetKey, Target>()
  for (const model of models.existing) {
    for (const [group, texts] of instructions.groups) {
      const key = targetKey(group, model)
      targets.set(key, {
        key,
        group,
        texts,
        model,
        collection: collectionName(group, model),
        inUse: models.isInUse(model),
        acknowledges: group === MAIN_GROUP && model === models.active,
        modelChangeNumber: models.changeNumbers.get(model)!,
      })
    }
  }
  return { instructions, models, targets, main: targets.get(targetKey(MAIN_GROUP, models.active))! }
}
