/** Settings and driver name the same precisions: what the lint lets through, a start doesn't refuse. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { loadSettings } from '../../src/config/load-settings.ts'
import { checkProvider } from '../../src/drivers/onnx/provider-check.ts'
import { ConfigError } from '../../src/errors.ts'

function isTaken(what: () => unknown): boolean {
  try {
    what()
    return true
  } catch (error) {
    assert.ok(error instanceof ConfigError)
    return false
  }
}

test('settings take a precision exactly where the provider computes in it', () => {
  const taken: string[] = []
  for (const provider of ['cpu', 'webgpu', 'cuda'] as const)
    for (const precision of ['fp32', 'fp16', 'int8'] as const) {
      const flags = { 'model.provider': provider, 'model.precision': precision }
      const bySettings = isTaken(() => loadSettings({ file: null, env: {}, flags }))
      assert.equal(
        bySettings,
        isTaken(() => checkProvider(provider, precision)),
        `${provider} ${precision}`,
      )
      if (bySettings) taken.push(`${provider} ${precision}`)
    }
  assert.deepEqual(taken, ['cpu fp32', 'webgpu fp32', 'cuda fp32', 'cuda fp16'])
})
