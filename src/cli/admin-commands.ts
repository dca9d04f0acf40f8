/** Verbs that change things: `forget`, `instructions`, `users`. */

import { setTimeout as sleep } from 'node:timers/promises'
import type { Command } from 'commander'
import { readInstructionFile } from '../config/instruction-files.ts'
import { FreshetError, RequestError } from '../errors.ts'
import { DEFAULT_TENANT } from '../events/ids.ts'
import { GENERAL, type InstructionId } from '../instructions/instruction.ts'
import type { ForgetStatus, FreshetService } from '../server/service.ts'
import { register } from './declared-instructions.ts'
import { follow } from './follow-change.ts'
import { addLetterCommands } from './letter-commands.ts'
import { note, print, printJson, printTable } from './output.ts'
import { type GlobalOptions, positiveInteger, settingsOf } from './program-options.ts'
import { timeText, userRef } from './query-commands.ts'
import { type Access, withService } from './service-access.ts'

interface ChangeOptions extends GlobalOptions {
  wait: boolean
  json?: boolean
}

/** A tombstone that is read is acted on at once: longer takes only an outage. */
const FORGET_MS_MAX = 10_000
const FORGET_POLL_MS = 100

export function addAdminCommands(program: Command): void {
  program
    .command('forget')
    .description('forget a user: everything up to now is hidden, and every vector goes')
    .argument('<user>', 'user id')
    .option('--tenant <id>', 'tenant of the user', DEFAULT_TENANT)
    .option('--no-wait', 'return once the request is durable')
    .option('--json', 'the answer as JSON')
    .addHelpText('after', '\nExamples:\n  freshet forget ada')
    .action((user: string, _options: unknown, command: Command) => forget(user, command.optsWithGlobals()))
  addInstructionCommands(program)
  addUserCommands(program)
  addLetterCommands(program)
}

async function forget(user: string, options: ChangeOptions & { tenant: string }): Promise<void> {
  const { settings } = settingsOf(options)
  const ref = userRef(user, options)
  const status = await withService(settings, async (access) => {
    const asked = await access.service.forget(ref)
    await follow(access, options)
    return options.wait ? untilForgotten(access.service, asked) : asked
  })
  if (options.json === true) printJson(status)
  else print(`${status.user}: forgotten as of ${timeText(status.atMs)}, ${status.state}`)
  if (status.state === 'pending') note(`it is under way: GET /v1/users/${user}/forget says when it is done`)
}

/** @returns as it is when nothing has a vector any more, or after some seconds, or where only another worker can tell */
async function untilForgotten(service: FreshetService, asked: ForgetStatus): Promise<ForgetStatus> {
  const untilMs = Date.now() + FORGET_MS_MAX
  let status = asked
  while (status.state === 'pending' && Date.now() < untilMs) {
    try {
      status = await service.forgetStatus(asked)
    } catch (error) {
      if (error instanceof FreshetError && error.code === 'user-elsewhere') return asked
      throw error
    }
    if (status.state === 'pending') await sleep(FORGET_POLL_MS)
  }
  return status
}

function addInstructionCommands(program: Command): void {
  const instructions = program.command('instructions').description('what is asked about every user')
  instructions
    .command('add')
    .description('register an instruction, or change its text; every user gets a vector for it')
    .argument('[id]', '1 to 40 of a-z, 0-9 and -')
    .argument('[text]', 'what the model reads, at most 2,000 characters')
    .option('--file <file>', 'a YAML file of instructions instead, see configs/instructions/default.yaml')
    .option('--group <name>', 'those of one group are embedded and written together', 'main')
    .option('--shadow', 'embedded, but not served: for trying out')
    .option('--lang <tag>', 'language of the text', 'en')
    .option('--owner <name>', 'who answers for it')
    .option('--no-wait', 'return once the request is durable')
    .option('--json', 'the answer as JSON')
    .addHelpText(
      'after',
      `
Examples:
  freshet instructions add next-need "What will this user need next?"
  freshet instructions add --file examples/movielens/instructions.yaml`,
    )
    .action((id: string | undefined, text: string | undefined, _options: unknown, command: Command) =>
      addInstruction(id, text, command.optsWithGlobals()),
    )
  instructions
    .command('list')
    .description('all instructions and groups')
    .option('--json', 'the answer as JSON')
    .addHelpText('after', '\nExamples:\n  freshet instructions list')
    .action((_options: unknown, command: Command) => listInstructions(command.optsWithGlobals()))
  instructions
    .command('retire')
    .description('take an instruction out of use and remove its vectors')
    .argument('<id>')
    .option('--no-wait', 'return once the request is durable')
    .option('--json', 'the answer as JSON')
    .addHelpText('after', '\nExamples:\n  freshet instructions retire churn')
    .action((id: string, _options: unknown, command: Command) => retire(id, command.optsWithGlobals()))
}

interface AddOptions extends ChangeOptions {
  file?: string
  group: string
  shadow?: boolean
  lang: string
  owner?: string
}

async function addInstruction(
  id: string | undefined,
  text: string | undefined,
  options: AddOptions,
): Promise<void> {
  const { settings } = settingsOf(options)
  if ((options.file === undefined) === (id === undefined))
    throw new RequestError('instruction-id', 'expected an id and a text, or --file: name one of them')
  const isGeneral = id === GENERAL && text === undefined
  if (id !== undefined && text === undefined && !isGeneral)
    throw new RequestError('instruction-text', `expected a text for ${id}: write it behind the id, in quotes`)
  const added = await withService(settings, async (access) => {
    if (options.file !== undefined)
      await register(access.service, readInstructionFile(options.file, process.env))
    else
      await access.service.addInstruction({
        id: id as InstructionId,
        text: text ?? null,
        lang: options.lang,
        status: options.shadow === true ? 'shadow' : 'active',
        ...(options.shadow === true ? {} : { group: options.group }),
        ...(options.owner === undefined ? {} : { owner: options.owner }),
      })
    await follow(access, options)
    return access.service.instructions()
  })
  printInstructions(added, options)
}

async function listInstructions(options: ChangeOptions): Promise<void> {
  const { settings } = settingsOf(options)
  printInstructions(await withService(settings, ({ service }) => service.instructions()), options)
}

async function retire(id: string, options: ChangeOptions): Promise<void> {
  const { settings } = settingsOf(options)
  const retired = await withService(settings, async (access) => {
    const instruction = await access.service.retireInstruction(id as InstructionId)
    await follow(access, options)
    return instruction
  })
  if (options.json === true) printJson(retired)
  else print(`${retired.id}: retired`)
}

function printInstructions(
  listed: Awaited<ReturnType<Access['service']['instructions']>>,
  { json }: { json?: boolean },
): void {
  if (json === true) {
    printJson(listed)
    return
  }
  const { backfill, groups, instructions } = listed
  printTable(
    ['id', 'group', 'status', 'text'],
    instructions.map(({ id, group, status, text }) => [
      id,
      group,
      status,
      text ?? '(none: the user as such)',
    ]),
  )
  for (const { name, paused } of groups) if (paused) print(`group ${name} is paused`)
  if (backfill.underWay) note(`a back-fill is under way, ${backfill.waiting} users wait`)
}

function addUserCommands(program: Command): void {
  const users = program.command('users').description('users who are set aside')
  users
    .command('parked')
    .description('users who could not be embedded, and why')
    .option('--limit <count>', 'at most so many', positiveInteger, 100)
    .option('--json', 'the answer as JSON')
    .addHelpText('after', '\nExamples:\n  freshet users parked')
    .action(async (_options: unknown, command: Command) => {
      const options: GlobalOptions & { limit: number; json?: boolean } = command.optsWithGlobals()
      const { settings } = settingsOf(options)
      const parked = await withService(settings, ({ service }) => service.parked({ limit: options.limit }))
      if (options.json === true) {
        printJson(parked)
        return
      }
      printTable(
        ['user', 'tenant', 'since', 'reason'],
        parked.map(({ user, tenant, sinceMs, reason }) => [user, tenant, timeText(sinceMs), reason]),
      )
    })
  users
    .command('retry')
    .description('try parked users again')
    .argument('[users...]', 'user ids; default: all who are parked')
    .option('--tenant <id>', 'tenant of the users', DEFAULT_TENANT)
    .option('--no-wait', 'return once the request is taken')
    .addHelpText('after', '\nExamples:\n  freshet users retry\n  freshet users retry ada')
    .action(async (names: string[], _options: unknown, command: Command) => {
      const options: ChangeOptions & { tenant: string } = command.optsWithGlobals()
      const { settings } = settingsOf(options)
      const refs = names.length === 0 ? undefined : names.map((name) => userRef(name, options))
      const count = await withService(settings, async (access) => {
        const retried = await access.service.retryParked(refs)
        await follow(access, options)
        return retried
      })
      print(`${count} users are tried again`)
    })
}
