/** `freshet offsets show|reset`: where the group stands in each topic, and beginning somewhere else. */

import type { Command } from 'commander'
import type { Settings } from '../config/settings.ts'
import { describeGroup } from '../drivers/kafka/group-offsets.ts'
import {
  type Moved,
  positionsOf,
  type Reset,
  type ResetTarget,
  readPartitionCount,
  resetPositions,
} from '../drivers/kafka/group-positions.ts'
import { nearestName, RequestError } from '../errors.ts'
import { confirmed } from './confirm.ts'
import { type KafkaAccess, withKafka } from './kafka-access.ts'
import { ownTopics } from './kafka-settings.ts'
import { note, print, printJson, printTable, startBar } from './output.ts'
import { type GlobalOptions, repeated, settingsOf, timeMs } from './program-options.ts'
import { readTopics, topicNeeds } from './topic-needs.ts'

interface ShowOptions extends GlobalOptions {
  json?: boolean
}

interface ResetOptions extends GlobalOptions {
  to: ResetTarget
  topic: string[]
  partition: string[]
  dryRun?: boolean
  yes?: boolean
  json?: boolean
}

export function addOffsetsCommands(program: Command): void {
  const offsets = program
    .command('offsets')
    .description('how far the group of workers has read its topics, and reading from elsewhere')
  offsets
    .command('show')
    .description('per topic and partition: group offset, checkpoint, begin and end of the log, lag, epoch')
    .option('--json', 'the answer as JSON')
    .addHelpText(
      'after',
      `
Changes nothing, and works beside running workers. The next owner of a partition begins at the smaller of checkpoint and
group offset; lag counts from there. Checkpoints lie in the changelog, which is read for them: with much state that takes
minutes.

Examples:
  freshet offsets show --config freshet.yaml`,
    )
    .action((_options: unknown, command: Command) => show(command.optsWithGlobals()))
  offsets
    .command('reset')
    .description('begin elsewhere: earlier, or later; only while no worker runs')
    .requiredOption('--to <place>', 'earliest, latest, or a day or time: its first record', targetOf)
    .option('--topic <name>', 'a topic of events.topics; repeatable; default: all', repeated, [])
    .option('--partition <number>', 'a partition; repeatable; default: all', repeated, [])
    .option('--dry-run', 'say what would move, and change nothing')
    .option('--yes', 'do it without being asked')
    .option('--json', 'the answer as JSON')
    .addHelpText(
      'after',
      `
Reading again changes no vector: an event counts once. What a reset jumps over is never read. Topics that aren't named stay
where they are.

Examples:
  freshet offsets reset --to earliest --dry-run --config freshet.yaml
  freshet offsets reset --to 2026-01-31T08:00:00Z --topic behavior.search --yes --config freshet.yaml`,
    )
    .action((_options: unknown, command: Command) => reset(command.optsWithGlobals()))
}

function targetOf(text: string): ResetTarget {
  return text === 'earliest' || text === 'latest' ? text : { sinceMs: timeMs(text) }
}

async function show(options: ShowOptions): Promise<void> {
  const { settings } = settingsOf(options)
  const topics = [...readTopics(topicNeeds(settings)).values()]
  const { groupId } = settings.events.kafka
  await withKafka(settings, async ({ cluster, patiently }) => {
    const partitionCount = await patiently(() => readPartitionCount(cluster, topics))
    const { state, members } = await patiently(() => describeGroup(cluster))
    const changelog = { topic: ownTopics(settings).state, partitionCount }
    const positions = await positionsOf(cluster, topics, changelog, progressOf(partitionCount))
    if (options.json === true) {
      printJson({ group: groupId, state, members, positions })
      return
    }
    const text = (value: number | null) => (value === null ? '-' : String(value))
    printTable(
      ['topic', 'partition', 'group', 'checkpoint', 'start', 'end', 'lag', 'epoch'],
      positions.map(({ topic, partition, groupOffset, checkpoint, start, end, lag, epoch }) => [
        topic,
        ...[partition, groupOffset, checkpoint, start, end, lag, epoch].map(text),
      ]),
    )
    // Kafka's word for a group that nobody has joined yet, or whose offsets are gone, would alarm.
    const said = state === 'Dead' ? 'there is no such group yet' : state
    note(`group ${groupId}: ${said}, ${members.length === 1 ? '1 member' : `${members.length} members`}`)
  })
}

async function reset(options: ResetOptions): Promise<void> {
  const { settings } = settingsOf(options)
  const all = readTopics(topicNeeds(settings))
  const topics =
    options.topic.length === 0 ? [...all.values()] : options.topic.map((name) => named(all, name))
  const isDry = options.dryRun === true
  const moved = await withKafka(settings, async (access) => {
    const { cluster, patiently } = access
    const partitionCount = await patiently(() => readPartitionCount(cluster, [...all.values()]))
    const partitions =
      options.partition.length === 0
        ? Array.from({ length: partitionCount }, (_, partition) => partition)
        : [...new Set(options.partition.map((text) => partitionOf(text, partitionCount)))]
    const wanted: Reset = { topics: [...new Set(topics)], partitions, to: options.to }
    if (!isDry && options.yes !== true) await confirmed(questionOf(wanted, settings))
    return move(access, settings, wanted, partitionCount, isDry)
  })
  if (options.json === true) printJson({ isDry, moved })
  else {
    printTable(
      ['topic', 'partition', 'from', 'to', 'records'],
      moved.map((one) => [one.topic, String(one.partition), String(one.from), String(one.to), change(one)]),
    )
    print(isDry ? 'nothing was changed' : `${moved.length} positions of group ${groupOf(settings)} are set`)
  }
}

function move(
  { cluster }: KafkaAccess,
  settings: Settings,
  wanted: Reset,
  partitionCount: number,
  isDry: boolean,
): Promise<Moved[]> {
  const changelog = { topic: ownTopics(settings).state, partitionCount }
  return resetPositions(cluster, wanted, changelog, isDry, progressOf(wanted.partitions.length))
}

function questionOf({ topics, partitions, to }: Reset, settings: Settings): string {
  const place = typeof to === 'string' ? to : new Date(to.sinceMs).toISOString()
  const where = `${topics.length === 1 ? topics[0] : `${topics.length} topics`}, ${partitions.length === 1 ? '1 partition' : `${partitions.length} partitions`}`
  return `Group ${groupOf(settings)} will read ${where} from ${place} on, and whatever that jumps over never. Reset?`
}

function groupOf({ events }: Settings): string {
  return events.kafka.groupId
}

/** @returns the topic that is read in its place, where there is one. @throws {RequestError} `offsets-topic` */
function named(all: ReadonlyMap<string, string>, name: string): string {
  const read = all.get(name)
  if (read !== undefined) return read
  const near = nearestName(name, [...all.keys()])
  throw new RequestError(
    'offsets-topic',
    `expected --topic to be one of events.topics, got ${name}: ${near === undefined ? 'freshet offsets show lists them' : `did you mean ${near}?`}`,
  )
}

/** @throws {RequestError} `offsets-partition` */
function partitionOf(text: string, count: number): number {
  const partition = Number(text)
  if (/^\d+$/.test(text) && partition < count) return partition
  throw new RequestError(
    'offsets-partition',
    `expected --partition from 0 to ${count - 1}, got ${text}: freshet offsets show lists them`,
  )
}

/** `-120`: read again; `+35`: jumped over. */
function change({ from, to }: Moved): string {
  return to > from ? `+${to - from}` : String(to - from)
}

/** A bar only for what takes long: on a terminal, and lines elsewhere. */
function progressOf(partitions: number): (done: number) => void {
  const bar = startBar('reading the changelog', partitions)
  return (done) => {
    const text = `${done} of ${partitions} partitions`
    if (done === partitions) bar.end(text)
    else bar.at(done, text)
  }
}
