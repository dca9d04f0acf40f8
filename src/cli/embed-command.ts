/** `freshet embed`: users and instructions from a file, vectors out; no data directory needed. */

import { readFileSync } from 'node:fs'
import { basename } from 'node:path'
import type { Command } from 'commander'
import { Option } from 'commander'
import { RequestError } from '../errors.ts'
import { TEXT_MODALITIES } from '../events/behavior-event.ts'
import type { PassForm, UserInput } from '../model/embedding-model.ts'
import { openModel } from './open-model.ts'
import { print } from './output.ts'
import { type GlobalOptions, repeated, settingsOf } from './program-options.ts'

interface EmbedOptions extends GlobalOptions {
  bundle: string
  input: string
  instructions?: string
  instruction: string[]
  form: PassForm
  provider?: string
}

interface NamedUser {
  id: string
  input: UserInput
}

/** Users of one call: an answer of them stays small in memory. */
const BATCH_USERS = 64
const FORMS: PassForm[] = ['packed', 'prefix-suffix', 'separate']

export function addEmbedCommand(program: Command): void {
  program
    .command('embed')
    .description('embed users from a file under instructions, with a bundle; vectors come out as JSON')
    .requiredOption('--bundle <directory>', 'model bundle')
    .requiredOption(
      '--input <file>',
      'JSON {users, instructions}, JSON lines of users, or - for the standard input',
    )
    .option('--instructions <file>', 'JSON list of texts; null is the user as such')
    .option('--instruction <text>', 'one more text; repeatable', repeated, [])
    .addOption(
      new Option('--form <form>', 'how instructions share their prefix').choices(FORMS).default('packed'),
    )
    .option('--provider <name>', 'cpu, webgpu or cuda (model.provider)')
    .addHelpText(
      'after',
      `
A user: {"id": "u1", "events": {"search": ["Searched for hotels, on a weekday evening."]}, "tabular": null}.
Without instructions every user gets one vector, the user as such.

Examples:
  freshet embed --bundle models/tiny --input users.json
  freshet embed --bundle models/tiny --input users.jsonl --instruction "What will this user need next?"`,
    )
    .action((_options: unknown, command: Command) => embed(command.optsWithGlobals()))
}

async function embed(options: EmbedOptions): Promise<void> {
  const flags = options.provider === undefined ? {} : { 'model.provider': options.provider }
  const { settings } = settingsOf(options, flags)
  const { users, instructions } = readInput(options)
  const opened = await openModel(options.bundle, settings.model, null)
  try {
    const { model } = opened
    const answers: { id: string; vectors: number[][] }[] = []
    for (let start = 0; start < users.length; start += BATCH_USERS) {
      const batch = users.slice(start, start + BATCH_USERS)
      const inputs = batch.map(({ input }) => input)
      const vectors = await model.embedUsers(inputs, instructions, { form: options.form })
      for (const [i, { id }] of batch.entries())
        answers.push({ id, vectors: vectors[i]!.map((vector) => [...vector]) })
    }
    print(JSON.stringify({ model: model.id, dimensions: model.dimensions, instructions, users: answers }))
  } finally {
    await opened.close()
  }
}

function readInput(options: EmbedOptions): { users: NamedUser[]; instructions: (string | null)[] } {
  const text = readText(options.input)
  const given: (string | null)[] = [...options.instruction]
  if (options.instructions !== undefined)
    given.unshift(
      ...instructionList(parse(readText(options.instructions), options.instructions), options.instructions),
    )
  const document = options.input.endsWith('.jsonl') ? undefined : wholeDocument(text)
  if (document === undefined) {
    const lines = text.split('\n').map((line, i) => ({ line, where: `${name(options.input)}:${i + 1}` }))
    const users = lines
      .filter(({ line }) => line.trim() !== '')
      .map(({ line, where }) => userOf(parse(line, where), where))
    return { users, instructions: given.length === 0 ? [null] : given }
  }
  const where = name(options.input)
  if (!Array.isArray(document.users)) throw badInput(where, 'a list "users"', typeof document.users)
  const own = document.instructions === undefined ? [] : instructionList(document.instructions, where)
  const instructions = given.length > 0 ? given : own
  return {
    users: document.users.map((user: unknown, i: number) => userOf(user, `${where}: users[${i}]`)),
    instructions: instructions.length === 0 ? [null] : instructions,
  }
}

function name(path: string): string {
  return path === '-' ? 'the standard input' : basename(path)
}

/** @returns undefined: it is not one JSON object with users, so lines of users */
function wholeDocument(text: string): { users?: unknown; instructions?: unknown } | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null && !('events' in value) ? value : undefined
  } catch {
    return undefined
  }
}

function readText(path: string): string {
  try {
    return readFileSync(path === '-' ? 0 : path, 'utf8')
  } catch (cause) {
    throw badInput(path, 'a readable file', (cause as Error).message, cause)
  }
}

function parse(text: string, where: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw badInput(where, 'JSON', (cause as Error).message, cause)
  }
}

function instructionList(value: unknown, where: string): (string | null)[] {
  if (Array.isArray(value) && value.every((one) => one === null || typeof one === 'string')) return value
  throw badInput(
    where,
    'instructions as a list of texts, or null for none',
    JSON.stringify(value)?.slice(0, 80),
  )
}

function userOf(value: unknown, where: string): NamedUser {
  const { id, events = {}, tabular = null } = (value ?? {}) as Record<string, unknown>
  if (typeof id !== 'string' || id === '')
    throw badInput(where, 'a user with an "id"', JSON.stringify(value)?.slice(0, 80))
  if (typeof events !== 'object' || events === null)
    throw badInput(where, 'a map "events"', JSON.stringify(events))
  for (const [modality, texts] of Object.entries(events)) {
    if (!(TEXT_MODALITIES as readonly string[]).includes(modality))
      throw badInput(where, `modalities ${TEXT_MODALITIES.join(', ')}`, modality)
    if (!Array.isArray(texts) || !texts.every((text) => typeof text === 'string'))
      throw badInput(where, `a list of sentences for ${modality}`, JSON.stringify(texts)?.slice(0, 80))
  }
  if (
    tabular !== null &&
    !(Array.isArray(tabular) && tabular.every((one) => one === null || Number.isFinite(one)))
  )
    throw badInput(
      where,
      'features "tabular" as a list of finite numbers or null',
      JSON.stringify(tabular)?.slice(0, 80),
    )
  return { id, input: { events: events as UserInput['events'], tabular: tabular as UserInput['tabular'] } }
}

function badInput(where: string, expected: string, got: string | undefined, cause?: unknown): RequestError {
  return new RequestError(
    'embed-input',
    `${where}: expected ${expected}, got ${got}: correct it (freshet embed --help)`,
    {
      cause,
    },
  )
}
