/** What does one new event cost, cache warm, from record bytes to the acknowledged upsert; and what would it cost without us? */

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Standalone } from '../src/cli/open-standalone.ts'
import { openStandalone } from '../src/cli/open-standalone.ts'
import { loadSettings } from '../src/config/load-settings.ts'
import { openOnnxRuntime } from '../src/drivers/onnx/onnx-runtime.ts'
import type { InstructionId } from '../src/instructions/instruction.ts'
import { MAIN_GROUP } from '../src/instructions/instruction.ts'
import { openBundle } from '../src/model/bundle.ts'
import { openBundleModel } from '../src/model/bundle-model.ts'
import type { UserInput } from '../src/model/embedding-model.ts'
import { initBundle } from '../src/model/init-bundle.ts'
import { conditions } from './conditions.ts'
import { interleaved, measurement, ratio, writeResult } from './result.ts'

const REPETITIONS = 9
const USERS = 8
const WINDOW_EVENTS = 190
const COALESCED = 10
/** With `general` eight. */
const INSTRUCTIONS = [
  'What will this user need next week?',
  'Will this user repay on time?',
  'What does this user like to do at weekends?',
  'Is this user about to leave?',
  'How does this user travel to work?',
  'Which shops does this user trust?',
  'Does this user plan something large?',
]

let events = 0

async function cpuMs(work: () => Promise<unknown>): Promise<number> {
  const before = process.cpuUsage()
  await work()
  const { user, system } = process.cpuUsage(before)
  return (user + system) / 1_000
}

/** New events of one user, each with a text that nobody has seen, appended and brought to their acknowledgement. */
async function update(standalone: Standalone, user: string, count: number): Promise<void> {
  const { encoder, log } = standalone.parts
  const appendTimeMs = Date.now()
  const records = Array.from({ length: count }, () => {
    const id = `event-${events++}`
    const { topic, key, value, headers } = encoder.object({
      topic: 'behavior.paybill',
      header: { event_id: id, user_id: user, event_time: appendTimeMs - 1_000_000 + events, source: 'bench' },
      bill_id: id,
      status: 'SETTLED',
      direction: 'OUT',
      amount: { amount_minor: 4_200, currency: 'CNY' },
      merchant_name: `bakery number ${events} at the corner`,
      channel: 'QR',
    })
    return { topic, key, value, appendTimeMs, headers }
  })
  await log.append(records)
  await standalone.untilIdle()
}

const root = mkdtempSync(join(tmpdir(), 'freshet-bench-update-'))
try {
  const directory = join(root, 'small')
  await initBundle({ preset: 'small', directory, seed: 1, id: 'small', createdMs: 0 })
  const flags = {
    dataDir: join(root, 'data'),
    'model.bundle': directory,
    'model.threads': 1,
    'refresh.quietMs': 0,
    'log.level': 'silent',
  }
  const standalone = await openStandalone(loadSettings({ file: null, env: {}, flags }).settings)
  for (const [i, text] of INSTRUCTIONS.entries())
    await standalone.parts.controlLog.appendInstruction({
      id: `bench-${i}` as InstructionId,
      text,
      lang: 'en',
      group: MAIN_GROUP,
      status: 'active',
      maxStalenessMs: 86_400_000,
      owner: null,
      previous: null,
    })
  await standalone.start()
  for (let user = 0; user < USERS; user++) await update(standalone, `user-${user}`, WINDOW_EVENTS)

  // The same user without cache, shared prefix and coalescing: what a service does that embeds on every event.
  const bundle = await openBundle(directory, { verify: false })
  const runtime = await openOnnxRuntime({ threads: 1 })
  const plain = await openBundleModel(bundle, runtime, { cache: null })
  const texts = Array.from(
    { length: WINDOW_EVENTS },
    (_, i) => `Paid tens of yuan at bakery number ${i} at the corner by qr.`,
  )
  const input: UserInput = { events: { paybill: texts }, tabular: null }
  let turn = 0
  let fresh = 0
  const samples = await interleaved(
    {
      one: () => cpuMs(() => update(standalone, `user-${turn++ % USERS}`, 1)),
      ten: () => cpuMs(() => update(standalone, `user-${turn++ % USERS}`, COALESCED)),
      everything: () =>
        cpuMs(() => {
          // Its memory of texts would help it: none of these has been seen.
          fresh++
          const unseen = { ...input, events: { paybill: texts.map((text) => `${text} ${fresh}`) } }
          return plain.embedUsers([unseen], [null, ...INSTRUCTIONS], { form: 'separate' })
        }),
    },
    REPETITIONS,
  )
  const perEvent = samples.ten.map((ms) => ms / COALESCED)
  const file = writeResult({
    bench: 'update',
    question: 'What does one new event cost, cache warm, from record bytes to the acknowledged upsert?',
    conditions: conditions(['onnxruntime-node']),
    settings: {
      model: 'small',
      threads: 1,
      windowEvents: WINDOW_EVENTS,
      instructions: INSTRUCTIONS.length + 1,
      users: USERS,
      coalesced: COALESCED,
    },
    measurements: [
      measurement('one event, an update of its own', 'CPU-ms', samples.one),
      measurement(`one event of ${COALESCED} in an update`, 'CPU-ms', perEvent),
      measurement('every event encoded anew, 8 separate passes', 'CPU-ms', samples.everything),
      measurement('resident memory of the process', 'MiB', [process.memoryUsage.rss() / 2 ** 20]),
    ],
    ratios: [
      ratio('embedding everything anew against one event an update', samples.everything, samples.one, null),
      ratio(
        `embedding everything anew against ${COALESCED} events an update`,
        samples.everything,
        perEvent,
        null,
      ),
    ],
  })
  await plain.close()
  await runtime.close()
  bundle.close()
  await standalone.close()
  console.log(`wrote ${file}`)
} finally {
  rmSync(root, { recursive: true, force: true })
}
