/** `freshet dlq list|show|retry|purge`: dead letters, their bytes, their way back, and their end. */

import type { Command } from 'commander'
import { confirmed } from './confirm.ts'
import { follow } from './follow-change.ts'
import { note, print, printJson, printTable } from './output.ts'
import { type GlobalOptions, positiveInteger, settingsOf } from './program-options.ts'
import { timeText } from './query-commands.ts'
import { withService } from './service-access.ts'

export function addLetterCommands(program: Command): void {
  const dlq = program
    .command('dlq')
    .description('dead letters: records that could not be what their topic says')
  addList(dlq)
  addShow(dlq)
  addRetry(dlq)
  addPurge(dlq)
}

function addList(dlq: Command): void {
  dlq
    .command('list')
    .description('dead letters, oldest first')
    .option('--limit <count>', 'at most so many', positiveInteger, 100)
    .option('--after <id>', 'only letters behind this one')
    .option('--reason <code>', 'only those of this error')
    .option('--json', 'the answer as JSON')
    .addHelpText(
      'after',
      '\nExamples:\n  freshet dlq list\n  freshet dlq list --reason record-value-too-large',
    )
    .action(async (_options: unknown, command: Command) => {
      const options: GlobalOptions & { limit: number; after?: string; reason?: string; json?: boolean } =
        command.optsWithGlobals()
      const { limit, after, reason } = options
      const { settings } = settingsOf(options)
      const query = {
        limit,
        ...(after === undefined ? {} : { after }),
        ...(reason === undefined ? {} : { reason }),
      }
      const letters = await withService(settings, ({ service }) => service.deadLetters(query))
      if (options.json === true) {
        printJson(letters)
        return
      }
      printTable(
        ['id', 'topic', 'offset', 'bytes', 'tries', 'failed', 'reason'],
        letters.map((one) => [
          one.id,
          one.topic,
          String(one.offset),
          String(one.sizeBytes),
          String(one.attempts),
          timeText(one.failedAtMs),
          one.reason,
        ]),
      )
      if (letters.length === limit) note(`there may be more: --after ${letters.at(-1)!.id}`)
    })
}

function addShow(dlq: Command): void {
  dlq
    .command('show')
    .description('one dead letter: why, from where, and its bytes')
    .argument('<id>', 'id of the letter')
    .option('--json', 'the answer as JSON')
    .addHelpText('after', '\nExamples:\n  freshet dlq show 1\n  freshet dlq show behavior.search.dlq:6:0')
    .action(async (id: string, _options: unknown, command: Command) => {
      const options: GlobalOptions & { json?: boolean } = command.optsWithGlobals()
      const { settings } = settingsOf(options)
      const letter = await withService(settings, ({ service }) => service.deadLetter(id))
      if (options.json === true) {
        printJson(letter)
        return
      }
      print(`${letter.reason}: ${letter.error}`)
      print(
        `topic ${letter.topic}, partition ${letter.partition}, offset ${letter.offset}, ${letter.attempts === 1 ? '1 try' : `${letter.attempts} tries`}`,
      )
      for (const [name, value] of Object.entries(letter.headers)) print(`${name}: ${value}`)
      print(`key: ${letter.key ?? '(none)'}`)
      print(`value (base64): ${letter.valueBase64 ?? '(none)'}`)
    })
}

function addRetry(dlq: Command): void {
  dlq
    .command('retry')
    .description('put dead letters back on their topic, once the cause is mended')
    .argument('[ids...]', 'ids of letters; default: all')
    .option('--reason <code>', 'only those of this error')
    .option('--no-wait', 'return once they are back on their topic')
    .addHelpText(
      'after',
      `
Records come back with the append time that they had, by which lateness is judged; events from the future as of now: they
are taken once their time has come. Topics of Kafka with LogAppendTime, as topics apply makes them, stamp them anew.

Examples:
  freshet dlq retry 1 2
  freshet dlq retry behavior.search.dlq:6:0
  freshet dlq retry --reason record-schema-unknown`,
    )
    .action(async (ids: string[], _options: unknown, command: Command) => {
      const options: GlobalOptions & { wait: boolean; reason?: string } = command.optsWithGlobals()
      const { settings } = settingsOf(options)
      const query = {
        ...(ids.length === 0 ? {} : { ids }),
        ...(options.reason === undefined ? {} : { reason: options.reason }),
      }
      const count = await withService(settings, async (access) => {
        const retried = await access.service.retryDeadLetters(query)
        await follow(access, options)
        return retried
      })
      print(count === 1 ? 'one letter is back on its topic' : `${count} letters are back on their topics`)
    })
}

function addPurge(dlq: Command): void {
  dlq
    .command('purge')
    .description('remove dead letters for good')
    .argument('[ids...]', 'ids of letters; default: all')
    .option('--reason <code>', 'only those of this error')
    .option('--yes', 'do it without being asked')
    .addHelpText(
      'after',
      '\nExamples:\n  freshet dlq purge 1 2\n  freshet dlq purge --reason record-json --yes',
    )
    .action(async (ids: string[], _options: unknown, command: Command) => {
      const options: GlobalOptions & { yes?: boolean; reason?: string } = command.optsWithGlobals()
      const { settings } = settingsOf(options)
      const query = {
        ...(ids.length === 0 ? {} : { ids }),
        ...(options.reason === undefined ? {} : { reason: options.reason }),
      }
      if (options.yes !== true) await confirmed('Their bytes can not be brought back. Remove them?')
      const count = await withService(settings, ({ service }) => service.purgeDeadLetters(query))
      print(count === 1 ? 'one letter is gone for good' : `${count} letters are gone for good`)
    })
}
