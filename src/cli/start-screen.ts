/** What `freshet start` shows: a block that is drawn again each second, or lines where there is no terminal. */

import { styleText } from 'node:util'
import type { Neighbour, StatusAnswer } from '../server/service.ts'
import { duration } from './output.ts'
import type { Movement } from './vector-watch.ts'

export interface Frame {
  url: string
  elapsedMs: number
  status: StatusAnswer
  followed: string
  sentence: string | null
  instructions: (Movement & { neighbours: readonly Neighbour[] })[]
}

export interface Screen {
  show(frame: Frame): void
  /** Leaves what was shown last where it is. */
  end(): void
}

const BAR_CELLS = 16
/** A vector that moved this far says something else (guess, for the bar only). */
const BAR_FULL = 0.25
const PLAIN_EVERY = 3

export function createScreen(output: NodeJS.WriteStream): Screen {
  return output.isTTY ? new BlockScreen(output) : new LineScreen(output)
}

class BlockScreen implements Screen {
  private readonly output: NodeJS.WriteStream
  private height = 0

  constructor(output: NodeJS.WriteStream) {
    this.output = output
  }

  show(frame: Frame): void {
    const lines = blockLines(frame, this.output.columns ?? 80)
    const up = this.height === 0 ? '' : `\u001b[${this.height}A`
    // Each line erases what stood there before: nothing flickers, and the text above stays.
    this.output.write(`${up}${lines.map((line) => `\u001b[2K${line}\n`).join('')}\u001b[J`)
    this.height = lines.length
  }

  end(): void {
    this.height = 0
  }
}

class LineScreen implements Screen {
  private readonly output: NodeJS.WriteStream
  private frames = 0

  constructor(output: NodeJS.WriteStream) {
    this.output = output
  }

  show(frame: Frame): void {
    if (this.frames++ % PLAIN_EVERY !== 0) return
    const { status, sentence, followed, instructions } = frame
    this.output.write(`${duration(frame.elapsedMs)}: ${flow(status)}, ${freshness(status)}\n`)
    if (sentence !== null) this.output.write(`  ${followed}: ${sentence}\n`)
    for (const one of instructions)
      this.output.write(
        `  ${one.id}: moved ${moved(one.last)}, since the start ${one.total.toFixed(4)}, near ${near(one.neighbours)}\n`,
      )
  }

  end(): void {}
}

function blockLines(frame: Frame, columns: number): string[] {
  const { status, followed, sentence, instructions } = frame
  const width = Math.max(9, ...instructions.map(({ id }) => id.length))
  const rows = instructions.map((one) =>
    [
      one.id.padEnd(width),
      moved(one.last).padStart(7),
      one.total.toFixed(4).padStart(7),
      bar(one.total),
      near(one.neighbours),
    ].join('  '),
  )
  const head = [
    'asked'.padEnd(width),
    'moved'.padStart(7),
    'in all'.padStart(7),
    ' '.repeat(BAR_CELLS),
    'nearest',
  ].join('  ')
  const cut = (line: string) => (line.length < columns ? line : `${line.slice(0, Math.max(0, columns - 2))}…`)
  return [
    styleText('bold', cut(`freshet  ${frame.url}  ${duration(frame.elapsedMs)}`)),
    cut(flow(status)),
    cut(freshness(status)),
    cut(tokens(status)),
    '',
    styleText(
      'bold',
      cut(`${followed} ${sentence === null ? 'has not done anything yet' : `just did: ${sentence}`}`),
    ),
    styleText('dim', cut(head)),
    ...rows.map(cut),
  ]
}

function flow({ events, users }: StatusAnswer): string {
  return `${events.perSecond.toFixed(1)} events/s, ${events.read} read, ${users.known} users, ${users.waiting} waiting`
}

function freshness({ freshnessMs: { p50, p95 }, degraded }: StatusAnswer): string {
  const text = (ms: number | null) => (ms === null ? '-' : `${(ms / 1_000).toFixed(2)} s`)
  const down = degraded.length === 0 ? '' : `; degraded: ${degraded.join(', ')}`
  return `fresh after ${text(p50)} (half of all), ${text(p95)} (19 of 20)${down}`
}

function tokens({ tokens }: StatusAnswer): string {
  if (tokens === null) return ''
  const computed = tokens.encoderComputed + tokens.backboneComputed
  return `tokens: ${computed} computed, ${tokens.backboneShared} shared between questions, ${tokens.encoderCached} from the cache`
}

function moved(distance: number | null): string {
  return distance === null ? '-' : distance.toFixed(4)
}

function bar(distance: number): string {
  const filled = Math.min(BAR_CELLS, Math.round((distance / BAR_FULL) * BAR_CELLS))
  return '█'.repeat(filled).padEnd(BAR_CELLS, '·')
}

function near(neighbours: readonly Neighbour[]): string {
  if (neighbours.length === 0) return '-'
  return neighbours.map(({ user, score }) => `${user} ${score.toFixed(3)}`).join(', ')
}
