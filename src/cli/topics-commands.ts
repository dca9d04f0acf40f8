/** `freshet topics plan|apply`: what Kafka lacks of what the settings need, said or made. */

import type { Command } from 'commander'
import { applyPlan, planFor } from '../drivers/kafka/topic-admin.ts'
import type { TopicFinding } from '../drivers/kafka/topic-plan.ts'
import { withKafka } from './kafka-access.ts'
import { EXIT, note, print, printJson } from './output.ts'
import { type GlobalOptions, settingsOf } from './program-options.ts'
import { topicNeeds } from './topic-needs.ts'

type TopicsOptions = GlobalOptions & { json?: boolean }

export function addTopicsCommands(program: Command): void {
  const topics = program
    .command('topics')
    .description('the topics in Kafka that workers need: what is missing or wrong, and making it')
  topics
    .command('plan')
    .description('what apply would do; exit code 0: nothing, 5: something is missing or wrong')
    .option('--json', 'the findings as JSON')
    .addHelpText(
      'after',
      `
Changes nothing. create, change: apply does it. refuse: only you can mend it, and apply does nothing before. warn: freshet
works with it.

Examples:
  freshet topics plan --config freshet.yaml
  freshet topics plan --config freshet.yaml --json`,
    )
    .action((_options: unknown, command: Command) => plan(command.optsWithGlobals()))
  topics
    .command('apply')
    .description(
      "make topics that are missing, and set what freshet's own need; exit code 2: something is wrong",
    )
    .option('--json', 'what was done and what is left, as JSON')
    .addHelpText(
      'after',
      `
Never changes a topic of somebody else, nor a partition count, and deletes nothing. Where something has to be mended by you,
it says so and makes nothing.

Examples:
  freshet topics apply --config freshet.yaml
  freshet topics apply --config freshet.yaml --set events.kafka.newTopics.partitions=24`,
    )
    .action((_options: unknown, command: Command) => apply(command.optsWithGlobals()))
}

async function plan(options: TopicsOptions): Promise<void> {
  const { settings } = settingsOf(options)
  const needs = topicNeeds(settings)
  const { findings } = await withKafka(settings, ({ cluster, patiently }) =>
    patiently(() => planFor(cluster, needs)),
  )
  const pending = findings.filter(({ action }) => action !== 'warn')
  if (options.json === true) printJson({ findings })
  else {
    printFindings(findings)
    print(pending.length === 0 ? 'nothing is to be done' : summary(pending))
  }
  if (pending.length > 0) process.exitCode = EXIT.pending
}

async function apply(options: TopicsOptions): Promise<void> {
  const { settings } = settingsOf(options)
  const needs = topicNeeds(settings)
  const { done, left } = await withKafka(settings, async ({ cluster, patiently }) => {
    const planned = await patiently(() => planFor(cluster, needs))
    const isMade = ({ action }: TopicFinding) => action === 'create' || action === 'change'
    // Whose counts contradict each other may be given the wrong one by what is made now.
    if (planned.findings.some(({ action }) => action === 'refuse'))
      return { done: [], left: planned.findings }
    await applyPlan(cluster, needs, planned)
    return { done: planned.findings.filter(isMade), left: planned.findings.filter((one) => !isMade(one)) }
  })
  if (options.json === true) printJson({ done, left })
  else {
    printFindings(done)
    for (const finding of left.filter(({ remedy }) => remedy !== null)) note(line(finding))
    print(done.length === 0 ? 'nothing was changed' : `${changesText(done.length)} made`)
  }
  if (left.some(({ action }) => action === 'refuse')) process.exitCode = EXIT.usage
}

function printFindings(findings: readonly TopicFinding[]): void {
  for (const finding of findings) print(line(finding))
}

function summary(pending: readonly TopicFinding[]): string {
  const wrong = pending.filter(({ action }) => action === 'refuse').length
  if (wrong === 0) return `${changesText(pending.length)} pending: freshet topics apply`
  return `${wrong === 1 ? '1 thing has' : `${wrong} things have`} to be mended by you before freshet topics apply does anything`
}

function changesText(count: number): string {
  return count === 1 ? '1 change is' : `${count} changes are`
}

function line({ action, topic, what, found, wanted, remedy }: TopicFinding): string {
  const then = found === null ? wanted : `${found} -> ${wanted}`
  return `${action.padEnd(6)}  ${topic}  ${what}: ${then}${remedy === null ? '' : `: ${remedy}`}`
}
