/** `freshet schemas check|register`: what the schema registry has, held against what the topics are read with. */

import { type Command, Option } from 'commander'
import type { Settings } from '../config/settings.ts'
import { RegistryClient } from '../drivers/registry/registry-client.ts'
import {
  registerSubject,
  reportSubject,
  type SubjectReport,
  type SubjectStrategy,
} from '../drivers/registry/subject-report.ts'
import { ConfigError, nearestName } from '../errors.ts'
import { directorySchemas } from '../events/schema-source.ts'
import type { TopicSettings } from '../events/topic.ts'
import { registrySettings } from './open-schemas.ts'
import { EXIT, note, print, printJson, printTable } from './output.ts'
import { type GlobalOptions, settingsOf } from './program-options.ts'

interface SchemasOptions extends GlobalOptions {
  subjectStrategy: SubjectStrategy
  json?: boolean
}

interface RegisterOptions extends SchemasOptions {
  dryRun?: boolean
  keepLevel?: boolean
}

export function addSchemasCommands(program: Command): void {
  const schemas = program
    .command('schemas')
    .description('the schema registry (events.registry): what it has, and registering what it lacks')
  withTopics(schemas.command('check'))
    .description(
      'compare the schemas that topics are read with to the registry; exit code 4 when one won’t do',
    )
    .addHelpText(
      'after',
      `
same: registered. compatible: may be registered. missing: no such subject. mapped: the producer's own, only read here.
incompatible: the subject's level forbids it. Versions that freshet can't read are listed, whoever wrote them.

Examples:
  freshet schemas check --config freshet.yaml
  freshet schemas check behavior.search --json
  freshet --set 'events.registry.urls=["http://127.0.0.1:8081"]' schemas check user.tabular`,
    )
    .action((topics: string[], _options: unknown, command: Command) =>
      run(topics, command.optsWithGlobals<SchemasOptions>(), null),
    )
  withTopics(schemas.command('register'))
    .description('register what is missing or compatible; nothing is ever forced')
    .option('--dry-run', 'say what would be registered, and change nothing')
    .option('--keep-level', "leave a new subject at the registry's own compatibility level")
    .addHelpText(
      'after',
      `
A new subject gets the compatibility level that suits its topic before its first version; one that is there keeps its own.

Examples:
  freshet schemas register --dry-run
  freshet schemas register behavior.search behavior.app
  freshet schemas register --subject-strategy record`,
    )
    .action((topics: string[], _options: unknown, command: Command) => {
      const options = command.optsWithGlobals<RegisterOptions>()
      return run(topics, options, { dryRun: options.dryRun === true, keepLevel: options.keepLevel === true })
    })
}

function withTopics(command: Command): Command {
  return command
    .argument('[topics...]', 'topics of events.topics; by default those in avro-confluent')
    .addOption(
      new Option('--subject-strategy <name>', 'how the subjects are named')
        .choices(['topic', 'record', 'topic-record'])
        .default('topic'),
    )
    .option('--json', 'the answer as JSON')
}

async function run(
  names: readonly string[],
  options: SchemasOptions,
  register: { dryRun: boolean; keepLevel: boolean } | null,
): Promise<void> {
  const { settings } = settingsOf(options)
  const { schemas, topics } = settings.events
  const directory = directorySchemas(schemas.directory, schemas.ids)
  const chosen = chosenTopics(topics, names)
  const client = openClient(settings)
  const reports: SubjectReport[] = []
  try {
    for (const topic of chosen) {
      const report = await reportSubject(client, topic, directory, options.subjectStrategy)
      if (register !== null) await registerSubject(client, report, topic, directory, register)
      reports.push(report)
    }
  } finally {
    client.close()
  }
  if (options.json === true) printJson(reports)
  else printReports(reports, register !== null)
  if (reports.some(isRefused)) process.exitCode = EXIT.refused
}

function isRefused({ status, done, unreadable }: SubjectReport): boolean {
  return status === 'incompatible' || done === 'refused' || unreadable.length > 0
}

/** @throws {ConfigError} `registry-missing` */
function openClient({ events }: Settings): RegistryClient {
  const settings = registrySettings(events)
  if (settings !== null) return new RegistryClient(settings)
  throw new ConfigError(
    'registry-missing',
    `events.registry.urls must name the schema registry, got none: set it, e.g. to ["https://registry.example:8081"]`,
  )
}

/** @throws {ConfigError} `schemas-topics` */
function chosenTopics(topics: readonly TopicSettings[], names: readonly string[]): TopicSettings[] {
  if (names.length === 0) {
    const framed = topics.filter(({ format }) => format === 'avro-confluent')
    if (framed.length > 0) return framed
    throw new ConfigError(
      'schemas-topics',
      'expected a topic in avro-confluent, got none in events.topics: name the topics to look at, e.g. freshet schemas check behavior.search',
    )
  }
  return [...new Set(names)].map((name) => {
    const topic = topics.find((one) => one.topic === name)
    if (topic !== undefined && topic.format !== 'json') return topic
    const near = nearestName(
      name,
      topics.map((one) => one.topic),
    )
    throw new ConfigError(
      'schemas-topics',
      topic === undefined
        ? `expected a topic of events.topics, got ${name}: ${near === undefined ? 'add it there' : `did you mean ${near}?`}`
        : `expected topics in Avro, got ${name}, which is in JSON and has no schema: leave it out`,
    )
  })
}

function printReports(reports: readonly SubjectReport[], isRegistering: boolean): void {
  const done = { registered: 'registered', 'would-register': 'would be registered', refused: 'refused' }
  printTable(
    [
      'topic',
      'subject',
      isRegistering ? 'was' : 'status',
      'version',
      'level',
      ...(isRegistering ? ['now'] : []),
    ],
    reports.map((report) => [
      report.topic,
      report.subject ?? '?',
      report.status,
      versionText(report),
      report.level ?? '',
      ...(isRegistering ? [report.done === null ? 'as it was' : done[report.done]] : []),
    ]),
  )
  for (const { subject, reasons, unreadable, warnings } of reports) {
    for (const reason of reasons) note(`${subject}: refused: ${reason}`)
    for (const { version, id, reason } of unreadable)
      note(
        `${subject}: version ${version} (id ${id}) can't be read, its records will be dead letters: ${reason}`,
      )
    for (const warning of warnings) note(`${subject ?? '?'}: note: ${warning}`)
  }
  if (!isRegistering && reports.some(({ status }) => status === 'missing' || status === 'compatible'))
    print('freshet schemas register would register what is missing or compatible')
}

/** `2 of 3`: ours is version 2, and 3 is the newest. */
function versionText({ version, versionNewest }: SubjectReport): string {
  if (versionNewest === null) return ''
  return version === null || version === versionNewest
    ? String(versionNewest)
    : `${version} of ${versionNewest}`
}
