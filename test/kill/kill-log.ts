/** What a long run of kills has done and found, as a page. */

import { MOMENTS } from './moments.ts'
import type { Kill } from './worker-kills.ts'
import type { Verdict } from './worker-oracle.ts'

export interface WorldOfKills {
  seed: number
  workers: number
  /** Where they lie, in words. */
  vectors: string
  kills: readonly Kill[]
  records: number
  verdict: Verdict
}

export function killLog(worlds: readonly WorldOfKills[]): string {
  const kills = worlds.flatMap((world) => world.kills)
  const moments = Map.groupBy(kills, ({ moment }) => moment)
  const rows = worlds.map(({ seed, workers, vectors, kills, records, verdict }) =>
    row([
      seed,
      workers,
      vectors,
      kills.length,
      records,
      verdict.users,
      verdict.compared,
      verdict.wrong.length,
    ]),
  )
  const sum = (of: (world: WorldOfKills) => number) => worlds.reduce((total, world) => total + of(world), 0)
  const total = [
    kills.length,
    sum(({ records }) => records),
    sum(({ verdict }) => verdict.users),
    sum(({ verdict }) => verdict.compared),
    sum(({ verdict }) => verdict.wrong.length),
  ]
  return `# Kills of workers over Kafka

\`SEED=${worlds[0]?.seed} KILL_LOG=docs/kill-log-kafka.md node --test test/long/worker-kills.long.ts\` wrote this page; the server that \`QDRANT_URL\` names, if any, holds the vectors of its last world.
Processes of \`freshet run\` over a real broker are killed with SIGKILL while users act and an operator changes questions; some of them start again with what they left,
some with an empty directory, some with an old copy of theirs. At the end every vector of every user is computed anew from the log, as
another client reads it back, and compared with what is stored (cosine of at least 1 - 1e-5), and so are the number of points, the
names, the readers' names and the dead letters. *Wrong* counts whatever differs.

${new Date().toISOString().slice(0, 10)}, Node ${process.versions.node}, ${process.platform} ${process.arch}.

${row(['seed', 'workers', 'vectors in', 'kills', 'records', 'users', 'vectors compared', 'wrong'])}
${row(Array(8).fill('---'))}
${rows.join('\n')}
${row(['all', '', '', ...total])}

${row(['killed', 'times'])}
${row(['---', '---'])}
${[...moments].map(([moment, list]) => row([MOMENTS[moment], list.length])).join('\n')}
`
}

const row = (cells: readonly (string | number)[]) => `| ${cells.join(' | ')} |`
