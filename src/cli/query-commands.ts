/** Verbs that ask: `nearest`, `user`, `explain`, `verify`. */

import type { Command } from 'commander'
import { RequestError } from '../errors.ts'
import { DEFAULT_TENANT, type TenantId, type UserId } from '../events/ids.ts'
import type { InstructionId } from '../instructions/instruction.ts'
import type { ModelId } from '../model/embedding-model.ts'
import type { ExplainAnswer, NearestRequest, UserAnswer, UserRef } from '../server/service.ts'
import { K_MAX } from '../vectors/vector-store.ts'
import { EXIT, note, print, printJson, printTable } from './output.ts'
import {
  cosine,
  countUpTo,
  type GlobalOptions,
  positiveInteger,
  settingsOf,
  timeMs,
} from './program-options.ts'
import { settle, withService } from './service-access.ts'

interface QueryOptions extends GlobalOptions {
  tenant: string
  json?: boolean
}

interface NearestOptions extends QueryOptions {
  instruction: string
  k: number
  text?: string
  vector?: string
  model?: string
  segment?: string
  since?: number
  before?: number
  scoreThreshold?: number
  exact?: boolean
  after?: string
}

export function addQueryCommands(program: Command): void {
  program
    .command('nearest')
    .description('who is most like these users, this text or this vector, under an instruction')
    .argument('[users...]', 'user ids; of several, their mean direction')
    .option('-i, --instruction <id>', 'the question asked', 'general')
    .option('-k, --k <count>', 'neighbours of one page, 1 to 1,000', countUpTo(K_MAX), 10)
    .option('--tenant <id>', 'tenant of the users and of the answers', DEFAULT_TENANT)
    .option('--text <text>', 'start from a text instead')
    .option('--vector <json>', 'start from a vector instead, as a JSON list; needs --model')
    .option('--model <id>', 'the model of --vector')
    .option('--segment <name>', 'only users of this segment')
    .option('--since <time>', 'only users whose last event is at or after this day or time', timeMs)
    .option('--before <time>', 'only users whose last event is before this day or time', timeMs)
    .option('--score-threshold <cosine>', 'leave lower scores out', cosine)
    .option('--exact', 'compare every vector, whatever index the store has: slower, and none is missed')
    .option(
      '--after <next>',
      'the page behind this one: what the page before said, everything else as it was',
    )
    .option('--json', 'the whole answer as JSON; next is what --after takes')
    .addHelpText(
      'after',
      `
Days are days of UTC. Pages are answered from the first page's model, even when another one serves by now; where users
change meanwhile, a page may repeat somebody or miss somebody.

Examples:
  freshet nearest 15
  freshet nearest ada --instruction next-need -k 5
  freshet nearest ada ben --since 2026-01-01 --before 2026-02-01 --exact
  freshet nearest --text "hotels near the sea" --json`,
    )
    .action((users: string[], _options: unknown, command: Command) =>
      nearest(users, command.optsWithGlobals()),
    )
  program
    .command('user')
    .description('what is known about a user: events per modality, vectors, how fresh they are')
    .argument('<user>', 'user id')
    .option('--tenant <id>', 'tenant of the user', DEFAULT_TENANT)
    .option('--vectors', 'with the vectors themselves (JSON only)')
    .option('--json', 'the whole answer as JSON')
    .addHelpText('after', '\nExamples:\n  freshet user ada\n  freshet user ada --vectors --json')
    .action((user: string, _options: unknown, command: Command) => showUser(user, command.optsWithGlobals()))
  program
    .command('explain')
    .description('what the model read about a user, sentence by sentence, and what is stored')
    .argument('<user>', 'user id')
    .option('--tenant <id>', 'tenant of the user', DEFAULT_TENANT)
    .option('--json', 'the whole answer as JSON')
    .addHelpText('after', '\nExamples:\n  freshet explain ada')
    .action((user: string, _options: unknown, command: Command) => explain(user, command.optsWithGlobals()))
  program
    .command('verify')
    .description('recompute vectors from the event log and compare them with what is stored')
    .argument('[users...]', 'user ids; default: a sample')
    .option('--sample <count>', 'users of the sample', positiveInteger, 20)
    .option('--tenant <id>', 'tenant of the users', DEFAULT_TENANT)
    .option('--json', 'the whole answer as JSON')
    .addHelpText(
      'after',
      '\nExit code 4 when a vector is wrong.\n\nExamples:\n  freshet verify\n  freshet verify ada ben-1',
    )
    .action((users: string[], _options: unknown, command: Command) =>
      verify(users, command.optsWithGlobals()),
    )
}

export function userRef(user: string, { tenant }: { tenant: string }): UserRef {
  return { tenant: tenant as TenantId, user: user as UserId }
}

async function nearest(users: readonly string[], options: NearestOptions): Promise<void> {
  const { settings } = settingsOf(options)
  const request = nearestRequest(users, options)
  const answer = await withService(settings, ({ service }) => service.nearest(request))
  if (options.json === true) {
    printJson(answer)
    return
  }
  note(
    `${answer.vectorName} of model ${answer.model}, as of ${answer.asOf}${answer.stale ? ', not all of it fresh' : ''}`,
  )
  if (answer.neighbours.length === 0) {
    note(request.after === undefined ? 'nobody fits' : 'nobody else fits')
    return
  }
  printTable(
    ['score', 'user', 'segment', 'last event'],
    answer.neighbours.map(({ score, user, segment, lastEventAtMs }) => [
      score.toFixed(4),
      user,
      segment ?? '-',
      timeText(lastEventAtMs),
    ]),
  )
  if (answer.next !== null) note(`there are more: the same command with --after ${answer.next}`)
}

function nearestRequest(users: readonly string[], options: NearestOptions): NearestRequest {
  const { tenant, segment, since, before, scoreThreshold, exact, after } = options
  return {
    instruction: options.instruction as InstructionId,
    k: options.k,
    from: start(users, options),
    filter: {
      tenantId: tenant as TenantId,
      ...(segment === undefined ? {} : { segment }),
      ...(since === undefined ? {} : { lastEventSinceMs: since }),
      ...(before === undefined ? {} : { lastEventBeforeMs: before }),
    },
    ...(scoreThreshold === undefined ? {} : { scoreThreshold }),
    ...(exact === undefined ? {} : { exact }),
    ...(after === undefined ? {} : { after }),
  }
}

function start(users: readonly string[], options: NearestOptions): NearestRequest['from'] {
  const given = [users.length > 0, options.text !== undefined, options.vector !== undefined]
  if (given.filter(Boolean).length !== 1)
    throw new RequestError(
      'nearest-from',
      'expected user ids, or --text, or --vector: name exactly one of them',
    )
  if (options.text !== undefined) return { text: options.text }
  if (options.vector === undefined) return { users: users.map((user) => userRef(user, options)) }
  if (options.model === undefined)
    throw new RequestError(
      'nearest-from',
      'expected --model beside --vector: a vector means nothing without its model',
    )
  return { vector: vectorOf(options.vector), model: options.model as ModelId }
}

function vectorOf(text: string): number[] {
  try {
    const value: unknown = JSON.parse(text)
    if (Array.isArray(value) && value.every((one) => typeof one === 'number')) return value
  } catch {
    // Said below, as for any other value that is no list of numbers.
  }
  throw new RequestError('nearest-from', 'expected --vector to be a JSON list of numbers: correct it')
}

async function showUser(user: string, options: QueryOptions & { vectors?: boolean }): Promise<void> {
  const { settings } = settingsOf(options)
  const vectors = options.vectors === true
  const answer = await withService(settings, ({ service }) =>
    service.user(userRef(user, options), { vectors }),
  )
  if (options.json === true) printJson(answer)
  else printUser(answer)
}

function printUser(answer: UserAnswer): void {
  print(`${answer.user} of tenant ${answer.tenant}, model ${answer.model}, as of ${answer.asOf}`)
  print(answer.stale ? 'vectors are behind the events' : 'vectors are fresh')
  if (answer.tombstoneMs !== null) print(`forgotten: everything up to ${timeText(answer.tombstoneMs)}`)
  if (answer.parked !== null)
    print(`parked since ${timeText(answer.parked.sinceMs)}: ${answer.parked.reason}`)
  const events = Object.entries(answer.events).map(([modality, count]) => `${modality} ${count}`)
  print(`events: ${events.join(', ')}; the last ${timeText(answer.lastEventAtMs)}`)
  const rows = answer.instructions.map(({ id, vectorName, writtenAtMs }) => [
    id,
    vectorName,
    timeText(writtenAtMs),
  ])
  printTable(['instruction', 'vector', 'written'], rows)
}

async function explain(user: string, options: QueryOptions): Promise<void> {
  const { settings } = settingsOf(options)
  const answer = await withService(settings, ({ service }) => service.explain(userRef(user, options)))
  if (options.json === true) printJson(answer)
  else printExplanation(answer)
}

function printExplanation(answer: ExplainAnswer): void {
  print(`${answer.user} of tenant ${answer.tenant}, model ${answer.model}, as of ${answer.asOf}`)
  print(`${answer.positions} positions${answer.stale ? ', vectors are behind' : ', vectors are fresh'}`)
  for (const [modality, events] of Object.entries(answer.window)) {
    if (events.length === 0) continue
    print(`\n${modality}, ${events.length} events`)
    for (const { eventTimeMs, text } of events) print(`  ${timeText(eventTimeMs)}  ${text}`)
  }
  if (answer.tabular !== null) print(`\nfeatures: ${JSON.stringify(answer.tabular)}`)
  print('')
  printTable(
    ['target', 'now', 'acknowledged', 'stored'],
    answer.targets.map(({ target, currentHash, acknowledgedHash, stored }) => [
      target,
      currentHash.slice(0, 12),
      acknowledgedHash?.slice(0, 12) ?? '-',
      stored === null
        ? 'nothing'
        : stored.stub
          ? `stub, epoch ${stored.epoch}`
          : `${stored.vectorNames.length} vectors, epoch ${stored.epoch}, write ${stored.write}`,
    ]),
  )
}

async function verify(users: readonly string[], options: QueryOptions & { sample: number }): Promise<void> {
  const { settings } = settingsOf(options)
  const asked =
    users.length === 0 ? { sample: options.sample } : { users: users.map((user) => userRef(user, options)) }
  const result = await withService(settings, async ({ service, standalone }) => {
    // What nobody has embedded yet can't be compared.
    if (standalone !== null) await settle('embedding', standalone)
    return service.verify(asked)
  })
  if (options.json === true) printJson(result)
  else {
    print(`${result.checked} users checked, ${result.wrong.length} vectors wrong`)
    for (const { user, instruction, cosine, why } of result.wrong)
      print(`  ${user} ${instruction}: ${why}${cosine === null ? '' : ` (cosine ${cosine})`}`)
  }
  if (result.wrong.length > 0) process.exitCode = EXIT.refused
}

export function timeText(ms: number | null): string {
  return ms === null ? 'never' : `${new Date(ms).toISOString().slice(0, 19)}Z`
}
