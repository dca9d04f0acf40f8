/** Logs: one line for each change of state, none for an event; users appear under a keyed hash unless the operator wants more. */

import { createHmac, randomBytes } from 'node:crypto'
import { type Logger, pino, stdSerializers } from 'pino'
import { consumed, mended, type OwnerMessage, owner, parked, restoring, swept } from '../pipeline/channels.ts'
import type { Clock } from '../pipeline/clock.ts'
import type { HealthChange } from './health.ts'
import { prettyLine } from './pretty-lines.ts'

/** The same complaint is written once in this time; the next line says how many were left out. */
const REPEAT_MS = 60_000
/** Different complaints remembered; beyond it the oldest may repeat early. */
const REPEATS_MAX = 1_000

type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal' | 'silent'

/** Where lines go: a file descriptor's stream, or a test's list. */
interface LogDestination {
  write(line: string): void
}

export interface LogsOptions {
  level: LogLevel
  userIds: 'hashed' | 'plain'
  /** For people instead of machines. */
  pretty: boolean
  coloured?: boolean
  destination: LogDestination
  clock: Clock
  /** Key of the hash of user ids; left out: another one at each start, so that lines of two starts can't be joined. */
  hashKey?: string
}

interface Repeat {
  lastMs: number
  leftOut: number
}

export class Logs {
  private readonly log: Logger
  private readonly options: LogsOptions
  private readonly hashKey: string | Buffer
  private readonly repeats = new Map<string, Repeat>()
  private readonly unsubscribe: (() => void)[]
  /** Stage, and how many partitions are held and being restored, as last said. */
  private stage = ''
  private generation = -1
  /** Changelog records read since the assignment, by partition. */
  private readonly restored = new Map<number, number>()

  constructor(options: LogsOptions) {
    this.options = options
    this.hashKey = options.hashKey ?? randomBytes(32)
    this.log = createLogger(options)
    this.unsubscribe = [
      restoring.subscribe(({ partition, records }) => this.restored.set(partition, records)),
      owner.subscribe((message) => this.tellStage(message)),
      swept.subscribe(({ stage, usersSeen, usersMarked }) => {
        if (stage === 'finished') this.info('sweep', 'every user was looked at', { usersSeen, usersMarked })
      }),
      parked.subscribe(({ tenant, user, reason }) => {
        const fields = { ...this.userField(tenant, user), reason }
        this.rare('warn', `parked ${reason}`, 'refresh', 'a user could not be embedded and is parked', fields)
      }),
      mended.subscribe(({ what, message }) => this.rare('warn', `${what} ${message}`, what, message, {})),
      consumed.subscribe(({ topic, partition, deadLetters }) => {
        for (const [reason, count] of deadLetters) {
          const key = `dead-letter ${topic} ${reason}`
          this.rare('warn', key, 'source', 'records went to the dead letters', {
            topic,
            partition,
            reason,
            count,
          })
        }
      }),
    ]
  }

  /** A line about the program itself. */
  info(component: string, msg: string, fields: Readonly<Record<string, unknown>> = {}): void {
    this.log.info({ component, ...fields }, msg)
  }

  /** Something was wrong and nobody has to act. */
  warn(component: string, msg: string): void {
    this.log.warn({ component }, msg)
  }

  /** Something failed that somebody must look at; equal ones are written once a minute. */
  error(component: string, msg: string, err: unknown): void {
    const code = (err as { code?: string } | null)?.code ?? String(err)
    this.rare('error', `${component} ${msg} ${code}`, component, msg, { err })
  }

  /** For `HealthOptions.changed`: a neighbour went away or came back. */
  healthChanged(change: HealthChange): void {
    if (change.kind === 'degraded')
      this.log.warn({ component: change.what, err: change.error }, 'does not answer: tried again')
    else {
      const { what, outageMs, isHeard } = change
      this.log.info({ component: what, outageMs }, isHeard ? 'answers again' : 'no complaint for a while')
    }
  }

  /** @returns what stands for a user in a line: `user_hash`, or tenant and user where the operator chose so */
  userField(tenant: string, user: string): Record<string, string> {
    if (this.options.userIds === 'plain') return { tenant, user }
    const hash = createHmac('sha256', this.hashKey).update(`${tenant}\0${user}`).digest('hex')
    return { user_hash: hash.slice(0, 16) }
  }

  close(): void {
    for (const unsubscribe of this.unsubscribe) unsubscribe()
  }

  private tellStage({ stage, epoch, generation, partitions, restoring, takeOverMs }: OwnerMessage): void {
    // What was read for an assignment is no part of the next one.
    if (generation !== this.generation) this.restored.clear()
    this.generation = generation
    const restoredRecords = [...this.restored.values()].reduce((sum, records) => sum + records, 0)
    if (takeOverMs !== undefined) this.restored.clear()
    const now = `${stage} ${partitions.length} ${restoring.length}`
    if (now === this.stage) return
    this.stage = now
    const rest = restoring.length > 0 ? { restoring: restoring.length } : {}
    const took = takeOverMs === undefined ? {} : { restoredRecords, takeOverMs }
    this.info('owner', `stage ${stage}`, { epoch, partitions: partitions.length, ...rest, ...took })
  }

  private rare(
    level: 'warn' | 'error',
    key: string,
    component: string,
    msg: string,
    fields: Readonly<Record<string, unknown>>,
  ): void {
    const nowMs = this.options.clock.nowMs()
    const repeat = this.repeats.get(key)
    if (repeat !== undefined && nowMs - repeat.lastMs < REPEAT_MS) {
      repeat.leftOut++
      return
    }
    this.repeats.delete(key)
    this.repeats.set(key, { lastMs: nowMs, leftOut: 0 })
    if (this.repeats.size > REPEATS_MAX) this.repeats.delete(this.repeats.keys().next().value!)
    const leftOut = repeat === undefined || repeat.leftOut === 0 ? {} : { leftOut: repeat.leftOut }
    this.log[level]({ component, ...fields, ...leftOut }, msg)
  }
}

function createLogger({ level, pretty, coloured = false, destination, clock }: LogsOptions): Logger {
  const stream = pretty
    ? { write: (line: string) => destination.write(prettyLine(line, coloured)) }
    : destination
  return pino(
    {
      level,
      base: null,
      timestamp: () => `,"time":${clock.nowMs()}`,
      serializers: { err: stdSerializers.err },
    },
    stream,
  )
}
