/** One Kafka server in a JVM of its own: started until it serves, and ended by a signal. */

import type { ChildProcess } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { KafkaError } from './kafka-error.ts'
import { spawnLeashed } from './leash.ts'

/** What every JVM of ours is started with. */
export interface Jvm {
  java: string
  classPath: string
  /** Classes read in beforehand, which halves the time of a start; null: there is none. */
  archive: string | null
}

/** A start takes 1 to 5 s; after a kill Kafka waits besides until the session of the killed broker is over. */
const START_MS_MAX = 90_000
/** A controlled shutdown takes 0.3 to 4 s, seldom 9. */
const STOP_MS_MAX = 30_000
const POLL_MS = 20
/** Enough to see why a start failed. */
const TAIL_LINES = 30
const LOGS_MAX = 20

const JVM_OPTIONS: readonly string[] = [
  '-Xmx256m',
  // A test's broker lives for seconds: what compiles and collects fastest is best.
  '-XX:+UseSerialGC',
  '-XX:TieredStopAtLevel=1',
  // No files in /tmp that a killed JVM would leave.
  '-XX:-UsePerfData',
  '-Dorg.slf4j.simpleLogger.defaultLogLevel=warn',
  '-Dorg.slf4j.simpleLogger.showDateTime=true',
  '-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS',
  '-Dorg.slf4j.simpleLogger.log.kafka.server.KafkaRaftServer=info',
]

/** @param scratch an existing folder, where Kafka's native libraries unpack themselves */
export function javaArguments(jvm: Jvm, scratch: string, extra: readonly string[] = []): string[] {
  const archive = jvm.archive === null ? [] : [`-XX:SharedArchiveFile=${jvm.archive}`]
  return [...JVM_OPTIONS, ...archive, `-Djava.io.tmpdir=${scratch}`, ...extra, '-cp', jvm.classPath]
}

export class Server {
  readonly logFile: string
  /** How it ended: `signal SIGKILL`, `exit code 1`. */
  readonly ended: Promise<string>
  private readonly child: ChildProcess
  private end: string | null = null

  private constructor(child: ChildProcess, logFile: string) {
    this.child = child
    this.logFile = logFile
    this.ended = new Promise((resolve) => {
      const settle = (how: string) => {
        this.end = how
        resolve(how)
      }
      child.once('error', (error) => settle(error.message))
      child.once('exit', (code, signal) => settle(signal === null ? `exit code ${code}` : `signal ${signal}`))
    })
  }

  /**
   * @param folder holds `server.properties`; takes the logs
   * @param discard removed if this process dies first; null: nothing
   * @returns when clients can connect
   * @throws {KafkaError} with the end of its log, when it ends before that or takes too long
   */
  static async start(
    jvm: Jvm,
    folder: string,
    { discard, extra = [] }: { discard: string | null; extra?: readonly string[] },
  ): Promise<Server> {
    const scratch = join(folder, 'scratch')
    mkdirSync(scratch, { recursive: true })
    const logFile = newLogFile(folder)
    const command = [jvm.java, ...javaArguments(jvm, scratch, extra), 'kafka.Kafka', 'server.properties']
    const server = new Server(spawnLeashed(command, { cwd: folder, logFile, discard }), logFile)
    const deadlineMs = Date.now() + START_MS_MAX
    while (!server.log().includes('Kafka Server started')) {
      const late = Date.now() > deadlineMs
      if (late) await server.signal('SIGKILL')
      if (late || server.end !== null)
        throw new KafkaError(
          `expected a broker that serves within ${START_MS_MAX} ms, got ${late ? 'none' : server.end}:\n${server.tail()}`,
        )
      await sleep(POLL_MS)
    }
    return server
  }

  get pid(): number {
    return this.child.pid!
  }

  get isRunning(): boolean {
    return this.end === null
  }

  /** What it has said since this start; empty when somebody removed the file. */
  log(): string {
    return existsSync(this.logFile) ? readFileSync(this.logFile, 'utf8') : ''
  }

  tail(): string {
    return this.log().trimEnd().split('\n').slice(-TAIL_LINES).join('\n')
  }

  /**
   * SIGTERM is Kafka's controlled shutdown: it hands its partitions over first.
   *
   * @returns when it has ended, at once when it had
   * @throws {KafkaError} when it took too long and had to be killed
   */
  async signal(name: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    if (!this.isRunning) return
    let timedOut = false
    const timer = setTimeout(() => {
      timedOut = true
      this.child.kill('SIGKILL')
    }, STOP_MS_MAX)
    this.child.ref() // Who waits for its end must live to see it.
    this.child.kill(name)
    try {
      await this.ended
    } finally {
      clearTimeout(timer)
    }
    if (timedOut)
      throw new KafkaError(`expected an end within ${STOP_MS_MAX} ms of ${name}, killed it:\n${this.tail()}`)
  }
}

/** Each start has a log of its own; only the newest are kept. */
function newLogFile(folder: string): string {
  const numbers = readdirSync(folder)
    .map((name) => Number(/^start-(\d+)\.log$/.exec(name)?.[1] ?? Number.NaN))
    .filter((number) => !Number.isNaN(number))
    .sort((a, b) => a - b)
  for (const old of numbers.slice(0, Math.max(0, numbers.length - LOGS_MAX + 1)))
    rmSync(join(folder, `start-${old}.log`))
  return join(folder, `start-${(numbers.at(-1) ?? 0) + 1}.log`)
}
