/** `freshet collections recall`: how much of the exact answer the search of readers finds, and what each costs. */

import type { Command } from 'commander'
import type { InstructionId } from '../instructions/instruction.ts'
import { USERS_MAX } from '../server/requests.ts'
import type { RecallAnswer } from '../server/service.ts'
import { K_MAX } from '../vectors/vector-store.ts'
import { note, print, printJson, printTable } from './output.ts'
import { countUpTo, type GlobalOptions, settingsOf } from './program-options.ts'
import { withService } from './service-access.ts'

interface RecallOptions extends GlobalOptions {
  instruction: string
  k: number
  sample: number
  json?: boolean
}

export function addRecallCommand(collections: Command): void {
  collections
    .command('recall')
    .description(
      'how much of the exact answer a search finds, over a sample of users; asks a running freshet',
    )
    .option('-i, --instruction <id>', 'whose vectors are searched', 'general')
    .option('-k, --k <count>', 'neighbours, 1 to 1,000', countUpTo(K_MAX), 10)
    .option('--sample <count>', 'users to ask for, at most 1,000', countUpTo(USERS_MAX), 100)
    .option('--json', 'the answer as JSON')
    .addHelpText(
      'after',
      `
Every user of the sample is searched for twice, one search at a time: as readers search, and exactly. p5 is the recall
that 19 of 20 users have at least.

Examples:
  freshet collections recall
  freshet collections recall --instruction next-need -k 100 --sample 500`,
    )
    .action((_options: unknown, command: Command) => recall(command.optsWithGlobals()))
}

async function recall(options: RecallOptions): Promise<void> {
  const { settings } = settingsOf(options)
  const { k, sample } = options
  const request = { instruction: options.instruction as InstructionId, k, sample }
  const answer = await withService(settings, ({ service }) => service.recall(request))
  if (options.json === true) printJson(answer)
  else printRecall(answer)
}

function printRecall(answer: RecallAnswer): void {
  const { alwaysExact, exactMs, k, recall, searchMs, users } = answer
  note(
    `${answer.vectorName} of model ${answer.model}, as of ${answer.asOf}${answer.stale ? ', not all of it fresh' : ''}`,
  )
  if (recall === null || searchMs === null || exactMs === null) {
    print('nobody to ask for: no two users of a tenant have a vector')
    return
  }
  if (alwaysExact) note('this store has no index: every search of it is exact')
  print(`recall@${k} over ${users} users: mean ${recall.mean.toFixed(4)}, p5 ${recall.p5.toFixed(4)}`)
  printTable(
    ['', 'p50 ms', 'p95 ms'],
    [
      ['search', searchMs.p50.toFixed(2), searchMs.p95.toFixed(2)],
      ['exact search', exactMs.p50.toFixed(2), exactMs.p95.toFixed(2)],
    ],
  )
}
