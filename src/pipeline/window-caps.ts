/** How many events windows keep: the slots of the largest bundle, so that no model that may be read is short of any (S1). */

import { TEXT_MODALITIES, type TextModality } from '../events/behavior-event.ts'
import type { WindowCaps } from '../window/user-state.ts'
import type { PipelineSettings } from './settings.ts'
import type { ModelSet } from './snapshot.ts'
import type { View } from './view.ts'

/** Models kept for roll-back count as well: a roll-back must find their windows full. */
export function windowCaps(view: View, models: ModelSet, settings: PipelineSettings): WindowCaps {
  const caps = {} as Record<TextModality, number>
  for (const modality of TEXT_MODALITIES) {
    const slots = view.models.existing.map((id) => models.get(id)?.slots[modality] ?? 0)
    caps[modality] = Math.max(settings.windowSlotsMin, settings.windowFactor * Math.max(...slots))
  }
  return caps
}
