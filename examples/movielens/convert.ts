/** Writes MovieLens as JSON lines for `freshet ingest`: node examples/movielens/convert.ts DIRECTORY > ratings.jsonl */

import { once } from 'node:events'
import { createWriteStream } from 'node:fs'
import { finished } from 'node:stream/promises'
import { parseArgs } from 'node:util'
import { toIngestLine } from '../../src/events/encoder.ts'
import { InputError } from './input-error.ts'
import { readRatings } from './read-ratings.ts'
import { type OutgoingRecord, toEvents } from './to-events.ts'

const USAGE = `usage: node examples/movielens/convert.ts [--only-ratings] [--out FILE] DIRECTORY

DIRECTORY holds what fetch.sh fetched, or GroupLens's ratings.csv and movies.csv.
  --only-ratings  leave the derived events and features out: 100,004 lines, one a rating
  --out FILE      write to a file instead of the standard output
`
/** Written at once; a line is some 300 bytes. */
const CHUNK_LINES = 1_000

function toLine({ record, isSynthetic, attributes }: OutgoingRecord): string {
  const topic = record.kind === 'event' ? `behavior.${record.event.modality}` : 'user.tabular'
  return toIngestLine(topic, record, isSynthetic ? { isSynthetic, attributes } : {})
}

/** Waits whenever the reader of a pipe is slower than we are, so that memory stays flat. */
async function write(records: Iterable<OutgoingRecord>, output: NodeJS.WritableStream): Promise<void> {
  let lines: string[] = []
  const flush = async () => {
    if (lines.length > 0 && !output.write(`${lines.join('\n')}\n`)) await once(output, 'drain')
    lines = []
  }
  for (const record of records) {
    lines.push(toLine(record))
    if (lines.length === CHUNK_LINES) await flush()
  }
  await flush()
}

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { 'only-ratings': { type: 'boolean' }, out: { type: 'string' }, help: { type: 'boolean' } },
  })
  const [directory] = positionals
  if (values.help || directory === undefined || positionals.length > 1) {
    const stream = values.help ? process.stdout : process.stderr
    stream.write(USAGE)
    return values.help ? 0 : 2
  }
  const records = toEvents(readRatings(directory), { onlyRatings: values['only-ratings'] ?? false })
  if (values.out === undefined) {
    // `| head` closes the pipe early: that is the reader's right, and no error of ours.
    process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1))
    await write(records, process.stdout)
    return 0
  }
  const file = createWriteStream(values.out)
  await write(records, file)
  file.end()
  await finished(file)
  return 0
}

try {
  process.exitCode = await main()
} catch (error) {
  const isOurs = error instanceof InputError || (error as NodeJS.ErrnoException).code !== undefined
  if (!isOurs) throw error
  process.stderr.write(`${(error as Error).message}\n`)
  process.exitCode = 1
}
