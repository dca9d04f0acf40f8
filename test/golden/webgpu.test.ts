/** The golden forward cases on the webgpu provider, on whatever Vulkan driver is found; a software one is enough. */

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { goldenNames } from './golden-files.ts'

/** Debian's chromium brings SwiftShader and the Vulkan loader. */
const SWIFTSHADER = '/usr/lib/chromium/vk_swiftshader_icd.json'
const NO_ADAPTER = 3
/** Software Vulkan compiles every shape anew: a minute on two idle cores. */
const LIMIT_MS = 600_000

interface Outcome {
  code: number
  output: string
}

/** The environments to try: SwiftShader first, so that machines agree; then what the system has. */
function environments(): NodeJS.ProcessEnv[] {
  const own = { ...process.env, XDG_RUNTIME_DIR: process.env.XDG_RUNTIME_DIR ?? '/tmp' }
  if (!existsSync(SWIFTSHADER)) return [own]
  const folders = [dirname(SWIFTSHADER), process.env.LD_LIBRARY_PATH].filter((one) => one !== undefined)
  const software = {
    VK_DRIVER_FILES: SWIFTSHADER,
    VK_ICD_FILENAMES: SWIFTSHADER,
    LD_LIBRARY_PATH: folders.join(':'),
  }
  return [{ ...own, ...software }, own]
}

async function run(env: NodeJS.ProcessEnv, args: readonly string[]): Promise<Outcome> {
  const script = join(import.meta.dirname, '..', 'tools', 'webgpu-golden.ts')
  return await new Promise((resolve) => {
    // A driver that hangs may not heed a polite signal.
    const options = { env, timeout: LIMIT_MS, killSignal: 'SIGKILL' } as const
    execFile(process.execPath, [script, ...args], options, (error, stdout, stderr) => {
      const end = error?.killed === true ? `\nended after ${LIMIT_MS} ms without a result` : ''
      resolve({ code: error === null ? 0 : Number(error.code ?? -1), output: stdout + stderr + end })
    })
  })
}

test('every golden forward case meets the reference on webgpu, and no node falls back to the CPU', async (context: TestContext) => {
  // `npm run check` must take seconds: there one backbone is enough. Everywhere else, the whole set.
  const isShort = process.env.npm_lifecycle_event === 'test:unit' && !process.env.CI
  let outcome: Outcome = { code: NO_ADAPTER, output: '' }
  for (const env of environments()) {
    if (outcome.code === NO_ADAPTER) outcome = await run(env, isShort ? ['--short'] : [])
  }
  if (outcome.code === NO_ADAPTER && !process.env.CI) {
    context.skip(`no Vulkan driver for webgpu here: ${outcome.output.trim().split('\n').at(-1)}`)
    return
  }
  assert.equal(outcome.code, 0, outcome.output)
  const cases = isShort ? [] : [...goldenNames('embed'), ...goldenNames('answers')]
  for (const name of cases) assert.ok(outcome.output.includes(name), `${name} did not run`)
})
