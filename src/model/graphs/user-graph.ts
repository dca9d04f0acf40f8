/** The graph of one backbone pass with what stands around it: adapters and input rows before, the head behind. */

import type { Manifest } from '../manifest.ts'
import { type BackbonePass, type BackboneSpec, Qwen2Backbone } from './qwen2-graph.ts'
import { type GraphForm, TensorOps } from './tensor-ops.ts'

/** Spec section 8, rule 6. */
const ADAPTER_NORM_EPS = 1e-6

export interface UserGraphSpec extends BackboneSpec {
  /** What of the bundle decides the adapters and the head; null: the backbone alone, fed with rows. */
  modules: { manifest: Manifest; dimsOf: (name: string) => readonly number[] } | null
}

/** `h`: the backbone's final states; `u`: the head's outputs, not normalised (for `head: none`, h). */
export const STATE_OUTPUT = 'h'
export const VECTOR_OUTPUT = 'u'

/** Input of a text modality's event vectors [events, dEncoder]. */
export const eventsInput = (modality: string) => `events.${modality}`

/**
 * Builds one pass. Inputs besides those of the attention feeds: `rows` [rows, dModel] (text tokens and special rows),
 * `events.<modality>`, `tabular` [vectors, 2 * features], and `order` [positions], which picks from all of them in this order.
 * Tensors of modules.safetensors are inputs under their own names.
 */
export function userGraph(spec: UserGraphSpec, pass: BackbonePass, form: GraphForm): Uint8Array {
  const ops = new TensorOps(form)
  const { hiddenSize } = spec.config
  const sources = [ops.input('rows', ['rows', hiddenSize])]
  if (spec.modules) sources.push(...adapted(ops, spec.modules, hiddenSize))
  const x = ops.rows(ops.concat(sources, 0), ops.indices('order', ['positions']))
  const states = new Qwen2Backbone(ops, spec, pass).run(x)
  if (states !== null) {
    ops.output(STATE_OUTPUT, states, ['outputs', hiddenSize])
    if (spec.modules) ops.output(VECTOR_OUTPUT, head(ops, spec.modules, states), ['outputs', 'dimensions'])
  }
  return ops.graph.finish()
}

type Modules = NonNullable<UserGraphSpec['modules']>

/** Positions in the LLM space of each modality's vectors, in the order of the manifest. */
function adapted(ops: TensorOps, modules: Modules, hiddenSize: number): string[] {
  const { manifest } = modules
  const held = (name: string) => ops.input(name, modules.dimsOf(name))
  const linear = (name: string, x: string) => ops.linear(x, held(`${name}.weight`), held(`${name}.bias`))
  return manifest.modalities.map(({ name }) => {
    const at = `adapters.${name}`
    if (name === 'tabular') {
      const wide = linear(at, ops.input('tabular', ['vectors', 2 * manifest.tabular!.features.length]))
      return ops.reshape(wide, [-1, hiddenSize])
    }
    const x = ops.input(eventsInput(name), [`events of ${name}`, manifest.dEncoder])
    if (manifest.adapter === 'linear') return linear(at, x)
    const normed = ops.layerNorm(x, held(`${at}.norm.weight`), held(`${at}.norm.bias`), ADAPTER_NORM_EPS)
    return linear(`${at}.fc2`, ops.gelu(linear(`${at}.fc1`, normed)))
  })
}

function head(ops: TensorOps, modules: Modules, states: string): string {
  if (modules.manifest.head === 'none') return states
  const held = (name: string) => ops.input(name, modules.dimsOf(name))
  const linear = (name: string, x: string) => ops.linear(x, held(`${name}.weight`), held(`${name}.bias`))
  return linear('head.fc2', ops.relu(linear('head.fc1', states)))
}
