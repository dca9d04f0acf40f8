/** `freshet status`: what a running freshet is doing, in numbers. */

import type { Command } from 'commander'
import type { StatusAnswer } from '../server/service.ts'
import { duration, print, printJson } from './output.ts'
import { type GlobalOptions, settingsOf } from './program-options.ts'
import { withService } from './service-access.ts'

export function addStatusCommand(program: Command): void {
  program
    .command('status')
    .description('what it is doing, in numbers: stage, partitions, users, events, freshness, what is down')
    .option('--json', 'the whole answer as JSON')
    .addHelpText(
      'after',
      `
Of workers each speaks for itself: --url names one, else it is the one on the data directory.

Examples:
  freshet status
  freshet status --url http://worker-2.example:7710 --json`,
    )
    .action((_options: unknown, command: Command) => status(command.optsWithGlobals()))
}

async function status(options: GlobalOptions & { json?: boolean }): Promise<void> {
  const { settings } = settingsOf(options)
  const answer = await withService(settings, ({ service }) => service.status())
  if (options.json === true) printJson(answer)
  else for (const [what, text] of statusLines(answer)) print(`${what.padEnd(10)}  ${text}`)
}

export function statusLines(status: StatusAnswer): [what: string, text: string][] {
  const { version, stage, epoch, partitions, restoring, degraded, model, asOf, users, events } = status
  const { p50, p95 } = status.freshnessMs
  const letters = events.deadLetters === null ? '' : `, ${events.deadLetters} dead letters`
  return [
    ['freshet', `${version}, ${model === null ? 'no model' : `model ${model.id} on ${model.provider}`}`],
    ['stage', `${stage}, epoch ${epoch}${asOf === '' ? '' : `, as of ${asOf}`}`],
    ['partitions', partitions.length === 0 ? 'none' : partitions.join(' ')],
    ...restoring.map(({ partition, records, left }): [string, string] => [
      'restoring',
      left === null
        ? `partition ${partition} waits for its turn`
        : `partition ${partition}: ${records} records read, at most ${left} left`,
    ]),
    ['users', `${users.known} known, ${users.waiting} waiting, ${users.parked} parked`],
    [
      'events',
      `${events.read} read, ${events.perSecond.toFixed(1)} a second, ${events.lag} to come, ${events.late} late${letters}`,
    ],
    [
      'freshness',
      p50 === null || p95 === null
        ? 'nobody was embedded in the last minute'
        : `half within ${duration(p50)}, 95 of 100 within ${duration(p95)}`,
    ],
    ['degraded', degraded.length === 0 ? 'no' : degraded.join(', ')],
  ]
}
