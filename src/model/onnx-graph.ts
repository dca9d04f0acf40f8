/** Builds an ONNX graph node by node; a value is its name, so graphs read like arithmetic. */

import { invariant } from '../errors.ts'
import {
  type Attribute,
  type Dimension,
  type ElementType,
  type OnnxInitializer,
  type OnnxNode,
  type OnnxValue,
  writeOnnxModel,
} from './onnx-writer.ts'

/** Opset 23 brings RMSNormalization and RotaryEmbedding; it asks for IR version 11. */
const OPSET = 23
const IR_VERSION = 11
/** Domain of the operators that only ONNX Runtime has (FusedMatMul, QuickGelu). */
export const MICROSOFT = 'com.microsoft'

/** A number with a fraction, or a whole number that the operator declares as float, must say so. */
export const float = (value: number): Attribute => ({ kind: 'float', value })

/** Whole numbers are ints, lists are ints. */
type AttributeInput = number | readonly number[] | Attribute

/** A tensor inside a file of the bundle. */
export interface FileRange {
  /** Relative to the folder that the session is opened with. */
  path: string
  offset: number
  lengthBytes: number
  type: ElementType
  dims: readonly number[]
}

export class OnnxGraph {
  readonly #nodes: OnnxNode[] = []
  readonly #initializers = new Map<string, OnnxInitializer>()
  readonly #inputs = new Map<string, OnnxValue>()
  readonly #outputs: OnnxValue[] = []
  #valueCount = 0

  input(name: string, type: ElementType, dims: readonly Dimension[]): string {
    invariant(!this.#inputs.has(name), `graph input ${name} is declared twice`)
    this.#inputs.set(name, { name, type, dims })
    return name
  }

  /** Gives a value a name under which a run can ask for it. */
  output(name: string, value: string, type: ElementType, dims: readonly Dimension[]): void {
    this.#nodes.push({ op: 'Identity', domain: '', inputs: [value], outputs: [name], attributes: {} })
    this.#outputs.push({ name, type, dims })
  }

  /** Adds an operator with one output. */
  node(
    op: string,
    inputs: readonly string[],
    attributes: Record<string, AttributeInput> = {},
    domain = '',
  ): string {
    return this.nodes(op, inputs, 1, attributes, domain)[0]!
  }

  /** Adds an operator with several outputs. */
  nodes(
    op: string,
    inputs: readonly string[],
    outputCount: number,
    attributes: Record<string, AttributeInput> = {},
    domain = '',
  ): string[] {
    const outputs = Array.from({ length: outputCount }, () => `v${this.#valueCount++}`)
    const entries = Object.entries(attributes).map(([name, value]) => [name, attribute(value)] as const)
    this.#nodes.push({ op, domain, inputs, outputs, attributes: Object.fromEntries(entries) })
    return outputs
  }

  /** A tensor that stays in its file and is mapped when the session opens; asking twice shares it. */
  mapped(name: string, range: FileRange): string {
    this.#initializers.set(name, { name, type: range.type, dims: range.dims, data: range })
    return name
  }

  /** A small float32 constant inside the model. */
  floats(values: readonly number[], dims: readonly number[] = [values.length]): string {
    return this.#inline('f32', dims, new Uint8Array(Float32Array.from(values).buffer), values)
  }

  /** A small int64 constant inside the model: shapes and axes. */
  ints(values: readonly number[]): string {
    const bytes = new Uint8Array(BigInt64Array.from(values, BigInt).buffer)
    return this.#inline('i64', [values.length], bytes, values)
  }

  finish(): Uint8Array {
    return writeOnnxModel({
      irVersion: IR_VERSION,
      opsets: { '': OPSET, [MICROSOFT]: 1 },
      nodes: this.#nodes,
      initializers: [...this.#initializers.values()],
      inputs: [...this.#inputs.values()],
      outputs: this.#outputs,
    })
  }

  #inline(type: ElementType, dims: readonly number[], data: Uint8Array, values: readonly number[]): string {
    const name = `${type}[${dims.join(',')}]:${values.join(',')}`
    this.#initializers.set(name, { name, type, dims, data })
    return name
  }
}

function attribute(value: AttributeInput): Attribute {
  if (typeof value === 'number') return { kind: 'int', value }
  return 'kind' in value ? value : { kind: 'ints', value }
}
