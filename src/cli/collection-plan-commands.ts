/** `freshet collections plan|apply`: what registry and settings want otherwise than it is, said or done. */

import type { Command } from 'commander'
import type { Settings } from '../config/settings.ts'
import { InstructionRegistry } from '../instructions/registry.ts'
import { openBundle } from '../model/bundle.ts'
import type { ModelId } from '../model/embedding-model.ts'
import { systemClock } from '../pipeline/clock.ts'
import { readView, type View } from '../pipeline/view.ts'
import { ModelRegistry } from '../vectors/model-registry.ts'
import { BUILT_IN_MODEL } from './built-in-bundle.ts'
import { type PlannedChange, pending, planOf } from './collection-plan.ts'
import { lookAtVectors } from './look-at-vectors.ts'
import { EXIT, note, print, printJson } from './output.ts'
import { type GlobalOptions, settingsOf } from './program-options.ts'
import { isLocked } from './service-access.ts'
import { openAsStored } from './stored-day.ts'

type PlanOptions = GlobalOptions & { json?: boolean }

export function addPlanCommands(collections: Command): void {
  collections
    .command('plan')
    .description('what apply would do; exit code 0: nothing, 5: changes are pending')
    .option('--json', 'the changes as JSON')
    .addHelpText(
      'after',
      `
Changes nothing, and works beside a running freshet. create, change and alias: apply does it. remake: only a collection made
anew has it. rebuild: the next start embeds everybody anew. unknown: no record knows it, and only rebuild drops it.

Examples:
  freshet collections plan
  freshet collections plan --config freshet.yaml --json`,
    )
    .action((_options: unknown, command: Command) => plan(command.optsWithGlobals()))
  collections
    .command('apply')
    .description('make what is missing, and change settings and indexes; exit code 5: something is left')
    .option('--json', 'what was done and what is left, as JSON')
    .addHelpText(
      'after',
      `
Before the first start it makes everything, so that freshet itself can run with a key that may only write points. Where a
freshet runs, it changes settings and indexes alone: what is missing that one makes by itself.

Examples:
  freshet collections apply
  FRESHET_VECTORS__QDRANT__API_KEY_FILE=/run/secrets/admin-key freshet collections apply`,
    )
    .action((_options: unknown, command: Command) => apply(command.optsWithGlobals()))
}

async function plan(options: PlanOptions): Promise<void> {
  const { settings } = settingsOf(options)
  const changes = await planned(settings)
  if (options.json === true) printJson({ changes })
  else {
    printChanges(changes)
    print(summary(changes))
  }
  if (pending(changes).length > 0) process.exitCode = EXIT.pending
}

/** What is said where a start of ours would be a second one. */
const RUNS_ALREADY: Record<Settings['events']['driver'], string> = {
  sqlite: 'a freshet runs here: what is missing it makes by itself',
  kafka: 'what is missing a worker makes by itself, as soon as one runs',
}

async function apply(options: PlanOptions): Promise<void> {
  const { settings } = settingsOf(options)
  const before = await planned(settings)
  if (!(await makeWhatIsMissing(settings))) note(RUNS_ALREADY[settings.events.driver])
  await mendAll(settings)
  const left = await planned(settings)
  const done = before.filter((change) => !left.some((other) => isSame(other, change)))
  if (options.json === true) printJson({ done, left })
  else {
    printChanges(done)
    print(done.length === 0 ? 'nothing was to be done' : `${changesText(done.length)} made`)
    if (done.some(({ action }) => action === 'rebuild'))
      note('everybody is embedded anew by the next freshet run')
    for (const change of pending(left)) note(`left: ${line(change)}: ${REMEDY[change.action]}`)
  }
  if (pending(left).length > 0) process.exitCode = EXIT.pending
}

const REMEDY: Record<PlannedChange['action'], string> = {
  create: 'start freshet, which makes it',
  change: 'the server has kept its own; look at its configuration',
  alias: 'start freshet, which puts it right within a minute',
  remake:
    'set it back, or choose another vectors.qdrant.prefix and start: everybody is embedded anew beside the old ones',
  rebuild: 'start freshet, which embeds everybody anew',
  unknown: 'freshet collections rebuild drops it',
}

async function planned(settings: Settings): Promise<PlannedChange[]> {
  const { vectors, view, state, close } = await lookAtVectors(settings, systemClock, { orToCome: true })
  try {
    // Of a directory that was never taken over nothing can be lost.
    if (view === null)
      return await planOf({ vectors, view: await firstView(settings), state: 'matching', settings })
    return await planOf({ vectors, view, state, settings })
  } finally {
    await close()
  }
}

/** What a first start registers. */
async function firstView({ model: { bundle } }: Settings): Promise<View> {
  const model = bundle === null ? BUILT_IN_MODEL : await modelOf(bundle)
  const record = { offset: 0, active: model, also: null, existing: [model] }
  return readView(InstructionRegistry.initial(), ModelRegistry.first(record))
}

async function modelOf(path: string): Promise<ModelId> {
  const { manifest, close } = await openBundle(path, { verify: false })
  close()
  return manifest.id
}

/** A start makes it, as it always does; nobody is embedded. @returns false: a running freshet holds the directory */
async function makeWhatIsMissing(settings: Settings): Promise<boolean> {
  // A worker makes it, as soon as one runs.
  if (settings.events.driver === 'kafka') return false
  try {
    const standalone = await openAsStored(settings)
    try {
      standalone.parts.updater.refreshing = false
      await standalone.start()
    } finally {
      await standalone.close()
    }
    return true
  } catch (error) {
    if (isLocked(error)) return false
    throw error
  }
}

async function mendAll(settings: Settings): Promise<void> {
  const { vectors, view, close } = await lookAtVectors(settings, systemClock)
  try {
    const known = new Set([...(view?.targets.values() ?? [])].map(({ collection }) => collection))
    for (const { name } of await vectors.collections()) if (known.has(name)) await vectors.mend(name)
  } finally {
    await close()
  }
}

function isSame(a: PlannedChange, b: PlannedChange): boolean {
  return a.name === b.name && a.what === b.what && a.wanted === b.wanted
}

/** What apply can't do is counted apart: who is sent to it for nothing comes back none the wiser. */
function summary(changes: readonly PlannedChange[]): string {
  const all = pending(changes)
  const remade = all.filter(({ action }) => action === 'remake').length
  const parts: string[] = []
  if (remade < all.length)
    parts.push(`${changesText(all.length - remade)} pending: freshet collections apply`)
  if (remade > 0)
    parts.push(`${changesText(remade)} beyond what a collection can have in place: ${REMEDY.remake}`)
  return parts.length === 0 ? 'nothing is to be done' : parts.join('\n')
}

function changesText(count: number): string {
  return count === 1 ? '1 change is' : `${count} changes are`
}

function printChanges(changes: readonly PlannedChange[]): void {
  for (const change of changes) print(line(change))
}

function line({ action, name, what, found, wanted }: PlannedChange): string {
  const then = wanted === null ? '' : found === null ? `: ${wanted}` : `: ${found} -> ${wanted}`
  return `${action.padEnd(7)}  ${name}  ${what}${then}`
}
