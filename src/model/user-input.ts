/** Turns a user's window into what a model embeds: sentences per modality, and raw features in the model's order. */

import {
  type BehaviorEvent,
  type TabularSnapshot,
  TEXT_MODALITIES,
  type TextModality,
} from '../events/behavior-event.ts'
import type { EmbeddingModel, UserInput } from './embedding-model.ts'
import type { RenderEvent } from './renderer.ts'
import { tabularInput } from './tabular-input.ts'

/** A window as one reading sees it. */
export interface EventsAndFeatures {
  /** Per modality, oldest first. */
  events: Readonly<Record<TextModality, readonly BehaviorEvent[]>>
  tabular: TabularSnapshot | null
}

/**
 * Renders what the model will look at: windows may hold more than its slots, and a sentence nobody reads costs as much.
 *
 * @param render of the model's `rendererVersion`
 */
export function userInput(
  model: Pick<EmbeddingModel, 'slots' | 'tabularFeatures'>,
  render: RenderEvent,
  { events, tabular }: EventsAndFeatures,
): UserInput {
  const rendered: Partial<Record<TextModality, readonly string[]>> = {}
  for (const modality of TEXT_MODALITIES) {
    const slots = model.slots[modality]
    // slice(-0) would be everything.
    if (slots > 0 && events[modality].length > 0)
      rendered[modality] = events[modality].slice(-slots).map(render)
  }
  const known = tabular !== null && model.tabularFeatures !== null
  return { events: rendered, tabular: known ? tabularInput(model.tabularFeatures, tabular) : null }
}
