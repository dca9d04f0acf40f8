/** Useful floating-point operations of one packed pass: real positions only, no padding, no masked attention. */

import type { Bundle } from '../src/model/bundle.ts'
import { projectionShapes } from '../src/model/tensor-shapes.ts'

export interface PackedSizes {
  /** Positions of the prefix. */
  prefix: number
  /** Positions of each block, `<USER>` included. */
  blocks: readonly number[]
  /** Distinct event texts, each through its adapter once. */
  events: number
}

/** A product of [m, k] and [k, n] is 2 m n k; a visible pair of positions is one product with a key and one with a value. */
export function usefulFlops({ backbone, lora, manifest, modules }: Bundle, sizes: PackedSizes): number {
  const { config } = backbone
  const rank = lora?.config.rank ?? 0
  const positions = sizes.blocks.reduce((sum, block) => sum + block, sizes.prefix)
  const users = sizes.blocks.length
  const perRow = (name: string) => {
    const [out, input] = projectionShapes(config).get(name)!
    return 2 * (out * input + rank * (out + input))
  }
  let flops = 0
  for (let layer = 0; layer < config.layerCount; layer++) {
    // Of the last layer only keys and values are needed at every position.
    const isLast = layer === config.layerCount - 1
    for (const name of projectionShapes(config).keys()) {
      const everywhere = !isLast || /[kv]_proj$/.test(name)
      flops += (everywhere ? positions : users) * perRow(name)
    }
    flops += visiblePairs(sizes, isLast) * 4 * config.headCount * config.headSize
  }
  const matrix = (name: string) => {
    const [out, input] = modules.file.entry(name).shape as [number, number]
    return 2 * out * input
  }
  if (manifest.adapter === 'linear') flops += sizes.events * 2 * manifest.dModel * manifest.dEncoder
  if (manifest.head === 'mlp') flops += users * (matrix('head.fc1.weight') + matrix('head.fc2.weight'))
  return flops
}

function visiblePairs({ prefix, blocks }: PackedSizes, lastRowsOnly: boolean): number {
  if (lastRowsOnly) return blocks.reduce((sum, block) => sum + prefix + block, 0)
  const causal = (n: number) => (n * (n + 1)) / 2
  return blocks.reduce((sum, block) => sum + block * prefix + causal(block), causal(prefix))
}
