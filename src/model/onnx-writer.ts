/** Writes ONNX models as protobuf bytes: the few messages of onnx.proto that our graphs need. */

/** A float32, float16, bfloat16, int32 or int64 tensor's element type, by its number in onnx.proto. */
const ELEMENT_TYPE = { f32: 1, u8: 2, i8: 3, i32: 6, i64: 7, f16: 10, bf16: 16 } as const
export type ElementType = keyof typeof ELEMENT_TYPE

/** A number fixes a dimension; a string names a symbolic one. */
export type Dimension = number | string

export type Attribute =
  | { kind: 'float'; value: number }
  | { kind: 'int'; value: number }
  | { kind: 'ints'; value: readonly number[] }

export interface OnnxNode {
  op: string
  /** '' is the standard operator set. */
  domain: string
  /** '' leaves an optional input out. */
  inputs: readonly string[]
  outputs: readonly string[]
  attributes: Readonly<Record<string, Attribute>>
}

export interface OnnxInitializer {
  name: string
  type: ElementType
  dims: readonly number[]
  /** Little-endian bytes inside the model, or a byte range of a file beside it. */
  data: Uint8Array | { path: string; offset: number; lengthBytes: number }
}

export interface OnnxValue {
  name: string
  type: ElementType
  dims: readonly Dimension[]
}

export interface OnnxModel {
  irVersion: number
  /** Version by domain. */
  opsets: Readonly<Record<string, number>>
  nodes: readonly OnnxNode[]
  initializers: readonly OnnxInitializer[]
  inputs: readonly OnnxValue[]
  outputs: readonly OnnxValue[]
}

const VARINT = 0
const LENGTH_DELIMITED = 2
const FIXED32 = 5

/** One protobuf message under construction; fields must be added in rising order to read as other writers' output does. */
class Message {
  readonly #parts: Uint8Array[] = []
  #lengthBytes = 0

  int(field: number, value: number): this {
    return this.#varint(BigInt(field * 8 + VARINT)).#varint(BigInt.asUintN(64, BigInt(value)))
  }

  float(field: number, value: number): this {
    return this.#varint(BigInt(field * 8 + FIXED32)).#push(new Uint8Array(new Float32Array([value]).buffer))
  }

  bytes(field: number, value: Uint8Array): this {
    return this.#varint(BigInt(field * 8 + LENGTH_DELIMITED))
      .#varint(BigInt(value.length))
      .#push(value)
  }

  text(field: number, value: string): this {
    return this.bytes(field, new TextEncoder().encode(value))
  }

  message(field: number, value: Message): this {
    return this.bytes(field, value.finish())
  }

  finish(): Uint8Array {
    const bytes = new Uint8Array(this.#lengthBytes)
    let at = 0
    for (const part of this.#parts) {
      bytes.set(part, at)
      at += part.length
    }
    return bytes
  }

  #varint(value: bigint): this {
    const bytes: number[] = []
    let rest = value
    while (rest > 0x7fn) {
      bytes.push(Number(rest & 0x7fn) | 0x80)
      rest >>= 7n
    }
    bytes.push(Number(rest))
    return this.#push(Uint8Array.from(bytes))
  }

  #push(part: Uint8Array): this {
    this.#parts.push(part)
    this.#lengthBytes += part.length
    return this
  }
}

/** @returns the bytes of a ModelProto */
export function writeOnnxModel(model: OnnxModel): Uint8Array {
  const graph = new Message()
  for (const node of model.nodes) graph.message(1, nodeMessage(node))
  graph.text(2, 'freshet')
  for (const initializer of model.initializers) graph.message(5, tensorMessage(initializer))
  for (const input of model.inputs) graph.message(11, valueMessage(input))
  for (const output of model.outputs) graph.message(12, valueMessage(output))
  const proto = new Message().int(1, model.irVersion).text(2, 'freshet').message(7, graph)
  for (const [domain, version] of Object.entries(model.opsets)) {
    const opset = new Message()
    if (domain !== '') opset.text(1, domain)
    proto.message(8, opset.int(2, version))
  }
  return proto.finish()
}

function nodeMessage(node: OnnxNode): Message {
  const message = new Message()
  for (const input of node.inputs) message.text(1, input)
  for (const output of node.outputs) message.text(2, output)
  message.text(4, node.op)
  for (const [name, attribute] of Object.entries(node.attributes)) {
    message.message(5, attributeMessage(name, attribute))
  }
  if (node.domain !== '') message.text(7, node.domain)
  return message
}

function attributeMessage(name: string, attribute: Attribute): Message {
  const message = new Message().text(1, name)
  // The last field is AttributeProto.type: FLOAT 1, INT 2, INTS 7.
  if (attribute.kind === 'float') return message.float(2, attribute.value).int(20, 1)
  if (attribute.kind === 'int') return message.int(3, attribute.value).int(20, 2)
  for (const value of attribute.value) message.int(8, value)
  return message.int(20, 7)
}

function tensorMessage(initializer: OnnxInitializer): Message {
  const message = new Message()
  for (const dim of initializer.dims) message.int(1, dim)
  message.int(2, ELEMENT_TYPE[initializer.type]).text(8, initializer.name)
  const { data } = initializer
  if (data instanceof Uint8Array) return message.bytes(9, data)
  const entries = { location: data.path, offset: String(data.offset), length: String(data.lengthBytes) }
  for (const [key, value] of Object.entries(entries)) {
    message.message(13, new Message().text(1, key).text(2, value))
  }
  return message.int(14, 1) // data_location EXTERNAL
}

function valueMessage(value: OnnxValue): Message {
  const shape = new Message()
  for (const dim of value.dims) {
    shape.message(1, typeof dim === 'number' ? new Message().int(1, dim) : new Message().text(2, dim))
  }
  const tensor = new Message().int(1, ELEMENT_TYPE[value.type]).message(2, shape)
  return new Message().text(1, value.name).message(2, new Message().message(1, tensor))
}
