/** Verbs over the collections of vectors: what there is, and embedding everybody anew after a loss. */

import type { Command } from 'commander'
import { note, print, printJson, printTable } from './output.ts'
import { type GlobalOptions, settingsOf } from './program-options.ts'
import { dropUnknown, requestRebuild } from './rebuild.ts'
import { addRecallCommand } from './recall-command.ts'
import { settle } from './service-access.ts'
import type { Standalone } from './standalone.ts'
import { openAsStored } from './stored-day.ts'

export function addCollectionCommands(program: Command): void {
  const collections = program
    .command('collections')
    .description('collections of vectors: one per group and model')
  collections
    .command('list')
    .description(
      'collections, their instructions, points and stubs; no running freshet may hold the directory',
    )
    .option('--json', 'the answer as JSON')
    .addHelpText('after', '\nExamples:\n  freshet collections list')
    .action((_options: unknown, command: Command) => list(command.optsWithGlobals()))
  collections
    .command('rebuild')
    .description('embed everybody anew: for vectors that were lost, or that came back from a backup')
    .addHelpText(
      'after',
      `
States say what was written; a vectors.db from a backup knows less. A vectors.db that is gone altogether is noticed at
the next start, and rebuilt without being asked.

Examples:
  freshet collections rebuild`,
    )
    .action((_options: unknown, command: Command) => rebuild(command.optsWithGlobals()))
  addRecallCommand(collections)
}

async function withStandalone<T>(
  options: GlobalOptions,
  use: (standalone: Standalone) => Promise<T>,
): Promise<T> {
  const standalone = await openAsStored(settingsOf(options).settings)
  try {
    return await use(standalone)
  } finally {
    await standalone.close()
  }
}

async function list(options: GlobalOptions & { json?: boolean }): Promise<void> {
  const infos = await withStandalone(options, ({ parts }) => parts.vectors.collections())
  if (options.json === true) {
    printJson(infos.map((info) => ({ ...info, readerNames: Object.fromEntries(info.readerNames) })))
    return
  }
  const rows = infos.map(({ name, model, vectorNames, points, stubs }) => [
    name,
    model,
    String(vectorNames.length),
    String(points),
    String(stubs),
  ])
  printTable(['collection', 'model', 'vectors a point', 'points', 'stubs'], rows)
}

async function rebuild(options: GlobalOptions): Promise<void> {
  await withStandalone(options, async (standalone) => {
    const { controlLog, updater, vectors } = standalone.parts
    await requestRebuild(controlLog)
    await standalone.start()
    await settle('embedding', standalone)
    const { instructions, models } = updater.control.view
    for (const name of await dropUnknown(models, instructions.groups.keys(), vectors))
      note(`dropped ${name}, which no record knows`)
    print('every user was embedded anew')
  })
}
