/** Brings files into the event log: each record once however often the process dies, bad ones to the dead letters. */

import { setTimeout as sleep } from 'node:timers/promises'
import { crc32 } from 'node:zlib'
import type { ImportProgress } from '../drivers/sqlite/event-log.ts'
import { RecordError } from '../errors.ts'
import type { NewRecord } from '../events/new-record.ts'
import type { DeadLetter } from '../pipeline/control-log.ts'
import { importAppendMs } from './import-day.ts'
import type { ImportFile, ImportItem } from './import-file.ts'
import { INGEST_TOPIC } from './local-letters.ts'
import type { Standalone } from './open-standalone.ts'

/** Records of one transaction. */
const BATCH_RECORDS = 1_000
/** And bytes, as lines may be long. */
const BATCH_BYTES = 8 * 1024 * 1024
/** `--live`: reading goes on while no more users than this are due, so that vectors keep up. */
const LIVE_READY_USERS = 128
const LIVE_LAG_RECORDS = 2_000
const POLL_MS = 5

export interface ImportOptions {
  /** Days since the Unix epoch, as which all files are read; `importDay` finds it. */
  asOfDay: number
  /** Read files again that were read to their end. */
  again: boolean
  /** Embed while reading. */
  live: boolean
  /** Called after each batch. */
  report: (file: ImportFile, fileBytes: number, records: number) => void
}

export interface FileReport {
  file: string
  /** Records in the log from this file, those of earlier runs included. */
  records: number
  /** Lines that became dead letters in this run. */
  deadLetters: number
  /** Where this run began, in lines or records; null: the file had been read to its end before. */
  resumedAt: number | null
  /** Where and why reading ended before the file did; null: it was read to its end. */
  damage: string | null
}

/** Reads one file into the log, as far as it can be read. */
export async function importFile(
  standalone: Standalone,
  file: ImportFile,
  options: ImportOptions,
): Promise<FileReport> {
  const { log } = standalone.parts
  const before = log.importProgress(file.name)
  const isFresh = before === null || (before.isDone && options.again)
  if (before?.isDone === true && !options.again)
    return { file: file.path, records: before.records, deadLetters: 0, resumedAt: null, damage: null }
  const resumedAt = isFresh ? 0 : before.position
  const batch = new Batch(standalone, file, options, isFresh ? 0 : before.records)
  let damage: string | null = null
  try {
    for await (const item of file.items()) {
      if (item.index < resumedAt) continue
      batch.add(item)
      if (batch.isFull) await batch.append(false)
    }
  } catch (error) {
    // A container that is cut off: what was whole stays, and the other files go on.
    if (!(error instanceof RecordError)) throw error
    damage = `${error.code}: ${error.message}`
  }
  await batch.append(damage === null)
  const { records, deadLetters } = batch
  return { file: file.path, records, deadLetters, resumedAt, damage }
}

class Batch {
  records: number
  deadLetters = 0
  private readonly standalone: Standalone
  private readonly file: ImportFile
  private readonly options: ImportOptions
  private readonly appendTimeMs: number
  private waiting: NewRecord[] = []
  private letters: DeadLetter[] = []
  private bytes = 0
  private position = 0
  private fileBytes = 0

  constructor(standalone: Standalone, file: ImportFile, options: ImportOptions, records: number) {
    this.standalone = standalone
    this.file = file
    this.options = options
    this.records = records
    this.appendTimeMs = importAppendMs(options.asOfDay, standalone.parts.clock.nowMs())
  }

  get isFull(): boolean {
    return this.waiting.length + this.letters.length >= BATCH_RECORDS || this.bytes >= BATCH_BYTES
  }

  add(item: ImportItem): void {
    const { appendTimeMs } = this
    try {
      const { topic, key, value, headers } = item.encode(this.standalone.parts.encoder)
      this.waiting.push({ topic, key, value, headers, appendTimeMs })
    } catch (error) {
      if (!(error instanceof RecordError)) throw error
      this.letters.push(this.letter(item, error))
    }
    this.bytes += item.raw.length
    this.position = item.index + 1
    this.fileBytes = item.fileBytes
  }

  /** Letters first: they have names and may come twice; records and position are one transaction. */
  async append(isDone: boolean): Promise<void> {
    const { deadLetters, log } = this.standalone.parts
    if (this.letters.length > 0) await deadLetters.put(this.letters)
    this.records += this.waiting.length
    this.deadLetters += this.letters.length
    const progress: ImportProgress = {
      import: this.file.name,
      position: this.position,
      records: this.records,
      asOfDay: this.options.asOfDay,
      isDone,
    }
    await log.append(this.waiting, progress)
    this.waiting = []
    this.letters = []
    this.bytes = 0
    this.options.report(this.file, isDone ? this.file.sizeBytes : this.fileBytes, this.records)
    if (this.options.live) await this.vectorsFollow()
  }

  private async vectorsFollow(): Promise<void> {
    const { scheduler } = this.standalone.parts.updater
    while (scheduler.readyCount > LIVE_READY_USERS || this.standalone.lag() > LIVE_LAG_RECORDS)
      await sleep(POLL_MS)
  }

  private letter({ index, raw }: ImportItem, { code, message }: RecordError): DeadLetter {
    return {
      topic: INGEST_TOPIC,
      // With the line it names the letter, so that a line that is read again is no second letter.
      partition: crc32(this.file.name) >>> 1,
      offset: index,
      appendTimeMs: this.appendTimeMs,
      key: null,
      value: raw,
      headers: { 'freshet.dlq.file': this.file.path, 'freshet.dlq.line': String(index + 1) },
      reason: code,
      error: message,
      attempts: 1,
      failedAtMs: this.standalone.parts.clock.nowMs(),
    }
  }
}
