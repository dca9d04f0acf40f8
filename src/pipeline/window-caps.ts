/** How many events windows keep: the slots of the largest bundle in use, so that no model in use is short of any (S1). */

import { TEXT_MODALITIES, type TextModality } from '../events/behavior-event.ts'
import type { WindowCaps } from '../window/user-state.ts'
import type { Snapshots } from './snapshot.ts'
import type { View } from './view.ts'

/** @param factor 2 where training examples are built (design 4) */
export function windowCaps(view: View, snapshots: Snapshots, factor: number): WindowCaps {
  const caps = {} as Record<TextModality, number>
  for (const modality of TEXT_MODALITIES) {
    const slots = view.models.inUse.map((model) => snapshots.model(model).slots[modality])
    caps[modality] = factor * Math.max(...slots)
  }
  return caps
}
