/** What the program writes: answers to the standard output, everything about the work to the error output. */

import { progress } from '@clack/prompts'
import {
  BugError,
  ConfigError,
  FreshetError,
  RecordError,
  RequestError,
  UnavailableError,
} from '../errors.ts'

export const EXIT = { ok: 0, bug: 1, usage: 2, unavailable: 3, refused: 4, pending: 5 } as const

export function print(text: string): void {
  process.stdout.write(`${text}\n`)
}

export function printJson(value: unknown): void {
  print(JSON.stringify(value, null, 2))
}

/** About the work, not part of the answer. */
export function note(text: string): void {
  process.stderr.write(`${text}\n`)
}

/** Columns as wide as their widest cell; the last one runs on. */
export function printTable(header: readonly string[], rows: readonly (readonly string[])[]): void {
  const lines = [header, ...rows]
  const widths = header.map((_, i) => Math.max(...lines.map((line) => (line[i] ?? '').length)))
  for (const line of lines)
    print(
      line
        .map((cell, i) => cell.padEnd(widths[i]!))
        .join('  ')
        .trimEnd(),
    )
}

/** @returns the exit code */
export function reportError(error: unknown, withStack: boolean): number {
  if (error instanceof FreshetError) {
    note(`error: ${error.code}: ${error.message}`)
    // Whoever ends here doesn't go on by itself.
    if (error instanceof UnavailableError) note('once that is mended, run the same command again')
    if (withStack) note(String(error.stack))
  } else note(`error: ${withStack ? (error as Error).stack : ((error as Error).message ?? error)}`)
  return exitCode(error)
}

function exitCode(error: unknown): number {
  if (error instanceof UnavailableError) return EXIT.unavailable
  if (error instanceof ConfigError || error instanceof RequestError || error instanceof RecordError)
    return EXIT.usage
  if (error instanceof BugError) return EXIT.bug
  return EXIT.bug
}

export interface Bar {
  /** @param done of `total` as `start` named it */
  at(done: number, text: string): void
  end(text: string): void
}

/** How often lines come where there is no terminal. */
const LINE_MS = 5_000

/** A bar on a terminal, a line now and then elsewhere; on the error output, so that answers stay clean. */
export function startBar(title: string, total: number): Bar {
  if (!process.stderr.isTTY) return lineBar(title, total)
  const bar = progress({ max: Math.max(1, total), output: process.stderr, style: 'block' })
  bar.start(title)
  let last = 0
  return {
    at: (done, text) => {
      bar.advance(Math.max(0, done - last), `${title}: ${text}`)
      last = Math.max(last, done)
    },
    end: (text) => bar.stop(`${title}: ${text}`),
  }
}

function lineBar(title: string, total: number): Bar {
  let nextMs = Date.now() + LINE_MS
  return {
    at: (done, text) => {
      if (Date.now() < nextMs) return
      nextMs = Date.now() + LINE_MS
      note(`${title}: ${Math.floor((100 * done) / Math.max(1, total))} % ${text}`)
    },
    end: (text) => note(`${title}: ${text}`),
  }
}

/** `1h 2m`, `3m 4s`, `5s`. */
export function duration(ms: number): string {
  const seconds = Math.round(ms / 1_000)
  if (seconds < 60) return `${seconds}s`
  const minutes = Math.floor(seconds / 60)
  return minutes < 60 ? `${minutes}m ${seconds % 60}s` : `${Math.floor(minutes / 60)}h ${minutes % 60}m`
}
