/** A model whose vectors follow from the text of its input alone: what tests of the pipeline compare, without weights. */

import { createHash } from 'node:crypto'
import type { EmbeddingModel, ModelId, UserInput } from '../../src/model/embedding-model.ts'
import type { WindowSnapshot } from '../../src/window/user-state.ts'

const DIMENSIONS = 4

function vectorOf(text: string): Float32Array {
  const bytes = createHash('sha256').update(text).digest()
  const vector = Float32Array.from({ length: DIMENSIONS }, (_, i) => bytes.readInt32LE(4 * i) / 2 ** 31)
  const norm = Math.hypot(...vector)
  return vector.map((x) => x / norm)
}

/** Search queries and all features of a window, as they stand. */
export function textRender(window: WindowSnapshot): UserInput {
  const queries = window.events.search.map(({ fields }) => (fields as { query: string }).query)
  return {
    events: { search: queries },
    tabular: window.tabular === null ? null : [window.tabular.numeric.f ?? null],
  }
}

export const textModel: EmbeddingModel = {
  id: 'text' as ModelId,
  precision: 'fp32',
  provider: 'cpu',
  dimensions: DIMENSIONS,
  rendererVersion: 1,
  horizonDays: 90,
  slots: { paybill: 0, miniprogram: 0, spm: 0, app: 0, search: 4 },
  tabularFeatures: ['f'],
  contentHash: 'text',
  positions: () => 1,
  embedUsers: async (users, instructions) =>
    users.map((user) => instructions.map((instruction) => vectorOf(JSON.stringify([user, instruction])))),
  embedTexts: async (texts) => texts.map(vectorOf),
  counts: () => ({
    encoderComputed: 0,
    encoderCached: 0,
    backboneComputed: 0,
    backboneShared: 0,
    eventsEncoded: 0,
    eventsCached: 0,
    backboneRuns: 0,
    encodeMs: 0,
    backboneMs: 0,
  }),
  close: async () => {},
}
