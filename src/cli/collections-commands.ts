/** Verbs over the collections of vectors: what there is, what should be otherwise, and embedding everybody anew. */

import type { Command } from 'commander'
import { SHADOW_GROUP } from '../instructions/instruction.ts'
import { systemClock } from '../pipeline/clock.ts'
import { addPlanCommands } from './collection-plan-commands.ts'
import { requestGroupRebuild } from './look-at-group.ts'
import { lookAtVectors } from './look-at-vectors.ts'
import { note, print, printJson, printTable } from './output.ts'
import { type GlobalOptions, settingsOf } from './program-options.ts'
import { dropUnknown, requestRebuild } from './rebuild.ts'
import { addRecallCommand } from './recall-command.ts'
import { settle } from './service-access.ts'
import { openAsStored } from './stored-day.ts'

interface RebuildOptions extends GlobalOptions {
  takeOver?: boolean
}

export function addCollectionCommands(program: Command): void {
  const collections = program
    .command('collections')
    .description('collections of vectors: one per group and model')
  collections
    .command('list')
    .description('collections, their instructions, points and stubs; beside a running freshet, too')
    .option('--json', 'the answer as JSON')
    .addHelpText('after', '\nExamples:\n  freshet collections list\n  freshet collections list --json')
    .action((_options: unknown, command: Command) => list(command.optsWithGlobals()))
  addPlanCommands(collections)
  collections
    .command('rebuild')
    .description('embed everybody anew: for vectors that were lost, or that came back from a backup')
    .option('--take-over', 'drop collections that another data directory wrote, whose data is gone')
    .addHelpText(
      'after',
      `
States say what was written; vectors from a backup know less. Collections, vector names or a vectors.db that are gone, and
backups that are older than the last mark (a minute in the data directory, an hour on a server), are noticed at the next
start and rebuilt without being asked.

Examples:
  freshet collections rebuild
  freshet collections rebuild --take-over --config freshet.yaml`,
    )
    .action((_options: unknown, command: Command) => rebuild(command.optsWithGlobals()))
  addRecallCommand(collections)
}

async function list(options: GlobalOptions & { json?: boolean }): Promise<void> {
  const { settings } = settingsOf(options)
  const { vectors, view, close } = await lookAtVectors(settings, systemClock)
  try {
    const infos = await vectors.collections()
    if (options.json === true) {
      const told = infos.map((info) => ({
        ...info,
        readerNames: Object.fromEntries(info.readerNames),
        use: use(view, info.name),
      }))
      printJson(told)
      return
    }
    const rows = infos.map(({ name, model, vectorNames, points, stubs }) => [
      name,
      model,
      String(vectorNames.length),
      String(points),
      String(stubs),
      use(view, name),
    ])
    printTable(['collection', 'model', 'vectors a point', 'points', 'stubs', 'use'], rows)
    const { driver, qdrant } = settings.vectors
    if (driver === 'qdrant' && qdrant.prefix !== '')
      note(`on the server each name begins with ${qdrant.prefix}`)
  } finally {
    await close()
  }
}

function use(view: Awaited<ReturnType<typeof lookAtVectors>>['view'], name: string): string {
  const target = [...(view?.targets.values() ?? [])].find(({ collection }) => collection === name)
  if (target === undefined) return 'no record knows it'
  if (!target.inUse) return 'kept for roll-back'
  if (target.group === SHADOW_GROUP) return 'shadow: not served'
  return target.model === view?.models.active ? 'served' : 'in preparation'
}

async function rebuild(options: RebuildOptions): Promise<void> {
  const { settings } = settingsOf(options)
  if (settings.events.driver === 'kafka') {
    await requestGroupRebuild(settings, systemClock)
    print('every user is embedded anew by the workers: those that run begin within a second')
    return
  }
  const standalone = await openAsStored(settings, { takeOver: options.takeOver === true })
  try {
    const { controlLog, updater, vectors } = standalone.parts
    await requestRebuild(controlLog)
    await standalone.start()
    await settle('embedding', standalone)
    const { instructions, models } = updater.control.view
    for (const name of await dropUnknown(models, instructions.groups.keys(), vectors))
      note(`dropped ${name}, which no record knows`)
    print('every user was embedded anew')
  } finally {
    await standalone.close()
  }
}
