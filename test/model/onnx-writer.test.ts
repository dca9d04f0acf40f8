/** What we write as ONNX, another decoder reads as what we meant; and writes back byte for byte. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fromBinary, toBinary } from '@bufbuild/protobuf'
import fc from 'fast-check'
import { ModelProtoSchema } from 'onnx-buf'
import { userGraph } from '../../src/model/graphs/user-graph.ts'
import type { Qwen2Config } from '../../src/model/model-configs.ts'
import { float, MICROSOFT, OnnxGraph } from '../../src/model/onnx-graph.ts'
import { writeOnnxModel } from '../../src/model/onnx-writer.ts'
import { backboneShapes } from '../../src/model/tensor-shapes.ts'

const CONFIG: Qwen2Config = {
  hiddenSize: 16,
  layerCount: 2,
  headCount: 4,
  kvHeadCount: 2,
  headSize: 4,
  intermediateSize: 32,
  rmsNormEps: 1e-6,
  ropeTheta: 10_000,
  maxPositions: 64,
  vocabSize: 10,
}

test('a decoder of the official schema finds every field where we put it', () => {
  const graph = new OnnxGraph()
  const x = graph.input('x', 'f32', ['rows', 3])
  const range = {
    path: 'a/b.safetensors',
    offset: 5_000_000_000,
    lengthBytes: 24,
    type: 'bf16',
    dims: [2, 3],
  } as const
  const weight = graph.mapped('w', range)
  const y = graph.node('Made', [x, '', weight], { scale: float(0.25), axis: -1, perm: [0, -2, 1] }, MICROSOFT)
  const [left] = graph.nodes('Split', [y, graph.ints([-1, 2 ** 40])], 2)
  graph.output('out', left!, 'i32', ['rows'])

  const model = fromBinary(ModelProtoSchema, graph.finish())
  assert.equal(model.irVersion, 11n)
  assert.deepEqual(
    model.opsetImport.map(({ domain, version }) => [domain, version]),
    [
      ['', 23n],
      [MICROSOFT, 1n],
    ],
  )
  const { node, initializer, input, output } = model.graph!
  assert.deepEqual(node[0]!.input, ['x', '', 'w'])
  assert.equal(node[0]!.domain, MICROSOFT)
  const attributes = Object.fromEntries(node[0]!.attribute.map((one) => [one.name, one]))
  assert.deepEqual([attributes.scale!.f, attributes.scale!.type], [0.25, 1])
  assert.deepEqual([attributes.axis!.i, attributes.axis!.type], [-1n, 2])
  assert.deepEqual([attributes.perm!.ints, attributes.perm!.type], [[0n, -2n, 1n], 7])
  assert.equal(node[1]!.output.length, 2)
  const mapped = initializer.find(({ name }) => name === 'w')!
  assert.deepEqual([mapped.dataType, mapped.dims, mapped.dataLocation], [16, [2n, 3n], 1])
  assert.deepEqual(
    mapped.externalData.map(({ key, value }) => [key, value]),
    [
      ['location', 'a/b.safetensors'],
      ['offset', '5000000000'],
      ['length', '24'],
    ],
  )
  const sizes = initializer.find(({ dataType }) => dataType === 7)!
  assert.deepEqual([...new BigInt64Array(sizes.rawData.slice().buffer)], [-1n, 1_099_511_627_776n])
  const type = input[0]!.type!.value
  assert.ok(type.case === 'tensorType')
  assert.deepEqual(
    type.value.shape!.dim.map(({ value }) => value.value),
    ['rows', 3n],
  )
  assert.equal(output[0]!.name, 'out')
})

test('a whole backbone graph is decoded and written back to the same bytes', () => {
  const shapes = backboneShapes(CONFIG)
  const weights = (name: string) => {
    const dims = shapes.get(name)
    assert.ok(dims, `the graph asks for ${name}, which no backbone has`)
    return {
      path: 'w',
      offset: 0,
      lengthBytes: 4 * dims.reduce((a, b) => a * b, 1),
      type: 'f32' as const,
      dims,
    }
  }
  for (const pass of ['packed', 'prefix', 'suffix', 'whole', 'states'] as const) {
    for (const kind of ['fused', 'portable'] as const) {
      const form = { kind, compute: 'f32' } as const
      const bytes = userGraph({ config: CONFIG, weights, loraRank: 2, modules: null }, pass, form)
      const decoded = fromBinary(ModelProtoSchema, bytes)
      assert.deepEqual(toBinary(ModelProtoSchema, decoded), bytes)
      const known = new Set(['', ...decoded.graph!.input.map(({ name }) => name)])
      for (const { name } of decoded.graph!.initializer) known.add(name)
      for (const { input, output, opType } of decoded.graph!.node) {
        for (const name of input) assert.ok(known.has(name), `${opType} reads ${name} before it is made`)
        for (const name of output) known.add(name)
      }
    }
  }
})

test('portable graphs use no operator that falls back from webgpu to the CPU', () => {
  const weights = (name: string) => ({
    path: name,
    offset: 0,
    lengthBytes: 4,
    type: 'f32' as const,
    dims: [1],
  })
  const spec = { config: CONFIG, weights, loraRank: 2, modules: null }
  for (const pass of ['packed', 'prefix', 'suffix', 'whole', 'states'] as const) {
    const model = fromBinary(ModelProtoSchema, userGraph(spec, pass, { kind: 'portable', compute: 'f32' }))
    const used = new Set(model.graph!.node.map(({ opType }) => opType))
    for (const op of ['FusedMatMul', 'Attention', 'QuickGelu', 'DynamicQuantizeMatMul'])
      assert.ok(!used.has(op), op)
    // Arithmetic on int64 falls back; sizes may only go where a shape is asked for.
    const sizes = model
      .graph!.input.map(({ name }) => name)
      .filter((name) => /apart|together|widths/.test(name))
    for (const { opType, input } of model.graph!.node) {
      if (input.some((name) => sizes.includes(name))) assert.match(opType, /^(Reshape|Split)$/)
    }
  }
})

test('any whole number survives, negative and beyond 32 bits', () => {
  fc.assert(
    fc.property(fc.maxSafeInteger(), (value) => {
      const node = { op: 'X', domain: '', inputs: [], outputs: ['y'] }
      const attributes = { a: { kind: 'int', value } as const }
      const model = {
        irVersion: 11,
        opsets: {},
        nodes: [{ ...node, attributes }],
        initializers: [],
        inputs: [],
        outputs: [],
      }
      const decoded = fromBinary(ModelProtoSchema, writeOnnxModel(model))
      assert.equal(decoded.graph!.node[0]!.attribute[0]!.i, BigInt(value))
    }),
    { seed: 7, numRuns: 200 },
  )
})
