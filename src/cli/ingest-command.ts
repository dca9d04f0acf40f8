/** `freshet ingest`: files of events, or the standard input, into the log; resumable after any crash. */

import type { Command } from 'commander'
import type { Settings } from '../config/settings.ts'
import { writerInfo } from '../drivers/sqlite/writer-lock.ts'
import { RecordError, RequestError } from '../errors.ts'
import { createIngestEncoder, type IngestEncoder } from '../events/ingest.ts'
import { directorySchemas } from '../events/schema-source.ts'
import type { TopicSettings } from '../events/topic.ts'
import { RemoteService } from '../server/remote-service.ts'
import { dayString } from '../window/day.ts'
import { REBUILT } from './freshet.ts'
import { importDay } from './import-day.ts'
import { type ImportFile, openImportFile } from './import-file.ts'
import { type FileReport, importFile } from './importer.ts'
import { openStandalone, type Standalone } from './open-standalone.ts'
import { duration, EXIT, note, print, printJson, startBar } from './output.ts'
import { day, type GlobalOptions, settingsOf } from './program-options.ts'
import { isLocked, runningUrl, settle } from './service-access.ts'
import { Spool } from './spool.ts'

interface IngestOptions extends GlobalOptions {
  asOf?: number
  again?: boolean
  live?: boolean
  embed: boolean
  horizon?: string
  json?: boolean
}

/** Records of one request to a running freshet. */
const REQUEST_RECORDS = 1_000
/** Of one request's lines: half of what the server takes by default. */
const REQUEST_BYTES = 4 * 1024 * 1024
const COMPLAINTS_MAX = 5

export function addIngestCommand(program: Command): void {
  program
    .command('ingest')
    .description('read events from files of JSON lines or Avro containers; - is the standard input')
    .argument('<files...>', 'files, read in this order')
    .option(
      '--as-of <day>',
      'YYYY-MM-DD as which the whole import is read; later events refuse it (default: of its latest event)',
      day,
    )
    .option('--live', 'embed while reading, as a stream would be; default: once, at the end')
    .option('--no-embed', 'read only; the next run embeds')
    .option('--again', 'read files again that were read to their end')
    .option('--horizon <days>', 'none, bundle, or days (windows.horizonDays)')
    .option('--json', 'report as JSON')
    .addHelpText(
      'after',
      `
After a crash the same command goes on where it was. Lines that are no records go to the dead letters with their bytes
(freshet dlq list), and the rest goes on. Where a freshet runs on the data directory, records go to it over HTTP, as of
now, and neither holds: bad lines are counted, the first five printed, and the same command sends everything again, which
changes no window, as an event counts once.

Examples:
  freshet ingest events.jsonl
  freshet ingest --horizon none ratings.jsonl
  zcat events.jsonl.gz | freshet ingest -
  freshet ingest --live january.avro february.avro`,
    )
    .action(async (files: string[], _options: unknown, command: Command) =>
      ingest(files, command.optsWithGlobals()),
    )
}

async function ingest(paths: readonly string[], options: IngestOptions): Promise<void> {
  const { settings } = settingsOf(options, horizonFlag(options.horizon))
  const running = runningUrl(settings)
  if (running !== null) {
    await ingestRemotely(running, settings, paths, options)
    return
  }
  let standalone: Standalone
  try {
    standalone = await openStandalone(settings)
  } catch (error) {
    const url = isLocked(error) ? writerInfo(settings.dataDir)?.url : undefined
    if (url == null) throw error
    await ingestRemotely(url, settings, paths, options)
    return
  }
  try {
    await ingestHere(standalone, paths, options)
  } finally {
    await standalone.close()
  }
}

/** For a bar over all files, bytes that were read before the one under way count as well. */
async function ingestHere(
  standalone: Standalone,
  paths: readonly string[],
  options: IngestOptions,
): Promise<void> {
  const { settings, pipelineSettings, updater, deadLetters, encoder } = standalone.parts
  const spool = new Spool(settings.dataDir)
  try {
    const files: ImportFile[] = []
    for (const path of paths) files.push(await openInput(path, spool, settings.events.topics))
    await encoder.prepare()
    const asOfDay = await importDay(standalone, files, { named: options.asOf, again: options.again === true })
    pipelineSettings.asOfDay = asOfDay
    updater.refreshing = options.live === true
    if (standalone.isRebuilt) note(REBUILT[settings.vectors.driver])
    await standalone.start()
    const lettersBefore = deadLetters.lastId()
    const reports = await readFiles(standalone, files, asOfDay, options)
    await standalone.caughtUp()
    if (options.embed) await settle('embedding', standalone)
    report(reports, asOfDay, deadLetters.reasonsAfter(lettersBefore), options)
  } finally {
    spool.remove()
  }
}

async function readFiles(
  standalone: Standalone,
  files: readonly ImportFile[],
  asOfDay: number,
  { again = false, live = false }: IngestOptions,
): Promise<FileReport[]> {
  const total = files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
  const startMs = Date.now()
  const bar = startBar('reading', total)
  const reports: FileReport[] = []
  let bytesBefore = 0
  let recordsBefore = 0
  for (const file of files) {
    const found = await importFile(standalone, file, {
      asOfDay,
      again,
      live,
      report: (_file, fileBytes, records) =>
        bar.at(
          bytesBefore + fileBytes,
          pace(recordsBefore + records, bytesBefore + fileBytes, total, startMs),
        ),
    })
    bytesBefore += file.sizeBytes
    recordsBefore += found.records
    reports.push(found)
  }
  bar.end(`${recordsBefore} records in ${duration(Date.now() - startMs)}`)
  return reports
}

function pace(records: number, bytes: number, total: number, startMs: number): string {
  const elapsedMs = Math.max(1, Date.now() - startMs)
  const leftMs = bytes === 0 ? 0 : (elapsedMs * (total - bytes)) / bytes
  return `${records} records, ${Math.round((records * 1_000) / elapsedMs)}/s, ${duration(leftMs)} left`
}

/** @param letters that came of it, by code: bad lines, and records that only the pipeline could refuse */
function report(
  reports: readonly FileReport[],
  asOfDay: number,
  letters: ReadonlyMap<string, number>,
  { json }: IngestOptions,
): void {
  for (const { file, damage } of reports) {
    if (damage === null) continue
    note(`error: ${file}: ${damage}`)
    process.exitCode = EXIT.usage
  }
  if (json === true) {
    printJson({ asOf: dayString(asOfDay), files: reports, deadLetters: Object.fromEntries(letters) })
    return
  }
  for (const { file, records, deadLetters, resumedAt } of reports) {
    if (resumedAt === null)
      print(`${file}: read to its end before (${records} records); --again reads it again`)
    else {
      const resumed = resumedAt === 0 ? '' : `, went on at line ${resumedAt + 1}`
      const bad = deadLetters === 0 ? '' : `, ${deadLetters} lines are no records`
      print(`${file}: ${records} records as of ${dayString(asOfDay)}${resumed}${bad}`)
    }
  }
  if (letters.size > 0) print(lettersText(letters))
}

function lettersText(letters: ReadonlyMap<string, number>): string {
  const sum = [...letters.values()].reduce((total, count) => total + count, 0)
  const reasons = [...letters].map(([reason, count]) => `${reason} ${count}`).join(', ')
  return `${sum} to the dead letters (${reasons}): freshet dlq list`
}

/** What a running freshet gets counts as of now: it has its own clock, and events older than the horizon are late. */
async function ingestRemotely(
  url: string,
  settings: Settings,
  paths: readonly string[],
  options: IngestOptions,
): Promise<void> {
  if (options.asOf !== undefined)
    throw new RequestError(
      'import-remote-day',
      `expected no --as-of while a freshet runs (${url}), got one: stop it first, or leave the day to its clock`,
    )
  note(`a freshet runs: records go to ${url}, as of now`)
  const service = new RemoteService({ url, adminSecret: settings.server.adminSecret })
  const { topics, schemas } = settings.events
  // It only tells bad records from good ones: what is sent has no frame, and whoever takes it knows the ids.
  const schemaIds = Object.fromEntries(topics.map(({ topic }) => [topic, 0]))
  const encoder = createIngestEncoder({
    topics,
    schemas: directorySchemas(schemas.directory, schemas.ids),
    schemaIds,
  })
  const spool = new Spool(settings.dataDir)
  const sums = { accepted: 0, rejected: 0 }
  try {
    for (const path of paths) {
      const file = await openInput(path, spool, topics)
      let batch: unknown[] = []
      let bytes = 0
      const send = async () => {
        await sendBatch(service, batch, file.path, sums)
        batch = []
        bytes = 0
      }
      for await (const item of file.items()) {
        const bad = whyBad(item.encode, encoder)
        if (bad !== null) {
          complain(sums, `${file.path}:${item.index + 1}`, bad)
          continue
        }
        if (bytes + item.raw.length > REQUEST_BYTES && batch.length > 0) await send()
        batch.push(JSON.parse(Buffer.from(item.raw).toString('utf8')))
        bytes += item.raw.length
        if (batch.length >= REQUEST_RECORDS) await send()
      }
      if (batch.length > 0) await send()
    }
  } finally {
    spool.remove()
  }
  if (options.json === true) printJson({ url, ...sums })
  else print(`${sums.accepted} records accepted, ${sums.rejected} rejected`)
}

/** A request of one record that is too large is that record's fault, and the rest goes on. */
async function sendBatch(
  service: RemoteService,
  batch: readonly unknown[],
  where: string,
  sums: { accepted: number; rejected: number },
): Promise<void> {
  try {
    const { accepted, rejected } = await service.ingest(batch)
    sums.accepted += accepted
    for (const { code, message } of rejected) complain(sums, where, `${code}: ${message}`)
  } catch (error) {
    if (!(error instanceof RequestError) || error.status !== 413 || batch.length > 1) throw error
    complain(sums, where, `${error.code}: ${error.message}`)
  }
}

async function openInput(path: string, spool: Spool, topics: readonly TopicSettings[]): Promise<ImportFile> {
  if (path !== '-') return openImportFile(path, topics)
  const file = await openImportFile(await spool.fill(), topics, '-')
  return { ...file, path: 'the standard input' }
}

function whyBad(encode: (encoder: IngestEncoder) => unknown, encoder: IngestEncoder): string | null {
  try {
    encode(encoder)
    return null
  } catch (error) {
    if (error instanceof RecordError) return `${error.code}: ${error.message}`
    throw error
  }
}

function complain(sums: { rejected: number }, where: string, why: string): void {
  if (sums.rejected++ < COMPLAINTS_MAX) note(`rejected ${where}: ${why}`)
}

function horizonFlag(horizon: string | undefined): Record<string, unknown> {
  if (horizon === undefined) return {}
  const days = Number(horizon)
  return { 'windows.horizonDays': Number.isNaN(days) ? horizon : days }
}
