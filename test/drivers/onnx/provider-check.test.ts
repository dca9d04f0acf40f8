/** What the native library says when a provider can't be had becomes an error that says what to do. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openingError } from '../../../src/drivers/onnx/provider-check.ts'

/** Messages as onnxruntime-node 1.30.0 gave them. */
const CASES = [
  [
    'webgpu',
    'webgpu_context.cc:136 Failed to get a WebGPU adapter: No supported adapters',
    'provider-unavailable',
    /Vulkan/,
  ],
  [
    'cuda',
    'OrtSessionOptionsAppendExecutionProvider_Cuda: Failed to load shared library',
    'provider-unavailable',
    /CUDA 12/,
  ],
  ['cpu', 'External data path escapes model directory', 'session-open', /verify the bundle/],
  [
    'webgpu',
    'This session contains graph nodes that are assigned to the default CPU EP, but fallback to CPU EP has been explicitly disabled by the user.',
    'graph-fallback',
    /report it/,
  ],
] as const

for (const [provider, message, code, remedy] of CASES) {
  test(`${provider}: "${message.slice(0, 60)}" becomes ${code}`, () => {
    const error = openingError(provider, 'open', message)
    assert.equal(error.code, code)
    assert.match(error.message, remedy)
    assert.ok(error.message.includes(provider) || provider === 'cpu')
  })
}

test('a native library that is missing is told as such, for every provider', () => {
  for (const provider of ['cpu', 'webgpu', 'cuda'] as const) {
    assert.equal(openingError(provider, 'load', 'Cannot find module').code, 'provider-unavailable')
  }
})
