/** A Kafka for developers, the one that the tests use, with data that stay: `npm run kafka:local -- --help`. */

import { existsSync, readdirSync } from 'node:fs'
import { relative, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { type Cluster, startCluster } from './cluster.ts'
import { KafkaError } from './kafka-error.ts'
import { isFree } from './ports.ts'

const BROKERS_MAX = 5
/** One Ctrl-C comes twice under npm, from the terminal and from npm; a second one, which ends without a shutdown, comes later. */
const ECHO_MS = 500
const USAGE = `usage: npm run kafka:local -- [--port PORT] [--brokers COUNT] [--data DIRECTORY]

Runs Apache Kafka on this machine until Ctrl-C, on loopback only, without TLS and passwords. Needs Java 17 or newer and,
the first time, Maven, which fetches 43 MB.

  --port PORT       of the first broker; the others have the next ports (default 9092)
  --brokers COUNT   1 to ${BROKERS_MAX}; with 3, every partition is kept three times (default 1)
  --data DIRECTORY  keeps topics, records and offsets from one start to the next (default .kafka-local);
                    delete it to begin anew
`

class UsageError extends Error {}

interface Wanted {
  port: number
  count: number
  data: string
}

function wholeNumber(name: string, text: string, min: number, max: number): number {
  const value = Number(text)
  if (/^\d+$/.test(text) && value >= min && value <= max) return value
  throw new UsageError(`expected --${name} from ${min} to ${max}, got ${text}`)
}

/** @returns null when help is asked for */
function readArguments(args: readonly string[]): Wanted | null {
  const text = { type: 'string' } as const
  const options = { port: text, brokers: text, data: text, help: { type: 'boolean', short: 'h' } } as const
  let values: ReturnType<typeof parseArgs<{ options: typeof options }>>['values']
  try {
    ;({ values } = parseArgs({ args: [...args], options }))
  } catch (error) {
    throw new UsageError((error as Error).message)
  }
  if (values.help) return null
  const count = wholeNumber('brokers', values.brokers ?? '1', 1, BROKERS_MAX)
  return {
    count,
    port: wholeNumber('port', values.port ?? '9092', 1, 65_536 - count),
    data: resolve(values.data ?? '.kafka-local'),
  }
}

/** A quorum knows its voters by heart: data of one broker are not those of three. */
function checkData({ data, count }: Wanted): void {
  if (!existsSync(data)) return
  const nodes = readdirSync(data).filter((name) => /^node-\d+$/.test(name)).length
  if (nodes !== 0 && nodes !== count)
    throw new KafkaError(
      `expected --brokers ${nodes}, with which ${data} was made, got ${count}: pass --brokers ${nodes}, or another --data`,
    )
}

async function freeOrThrow(ports: readonly number[]): Promise<void> {
  for (const port of ports)
    if (!(await isFree(port)))
      throw new KafkaError(
        `expected port ${port} free, got one that is taken: end what listens there, or pass --port`,
      )
}

function howToUse({ bootstrap, nodes }: Cluster, { data }: Wanted): string {
  const near = relative('.', data)
  return `Kafka is up; its data are in ${near.startsWith('..') ? data : near}. Ctrl-C ends it, the data stay.
  brokers for freshet and any other client: ${bootstrap} (no TLS, no password)
  workers over it: freshet topics apply -c examples/kafka/local.yaml, then freshet run -c examples/kafka/local.yaml -d data/worker-1
  what is in it: kcat -b ${bootstrap} -L
  JVM of each broker: ${nodes.map(({ pid }) => pid).join(' ')}
`
}

/** @returns the exit code */
async function run(wanted: Wanted): Promise<number> {
  checkData(wanted)
  const ports = Array.from({ length: wanted.count }, (_, at) => wanted.port + at)
  await freeOrThrow(ports)
  process.stdout.write('starting Kafka (the first time on a machine it is fetched) ...\n')
  const over = Promise.withResolvers<number>()
  const onDeath = (how: string) => {
    process.stderr.write(`${how}\n`)
    over.resolve(1)
  }
  const cluster = await startCluster(wanted.count, { ports, data: wanted.data, onDeath })
  let askedAtMs: number | null = null
  const onSignal = () => {
    askedAtMs ??= Date.now()
    over.resolve(0)
    if (Date.now() - askedAtMs > ECHO_MS) void cluster.close()
  }
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, onSignal)
  process.stdout.write(howToUse(cluster, wanted))
  // The brokers keep no event loop alive, and a promise doesn't either.
  const alive = setInterval(() => {}, 1 << 30)
  const code = await over.promise
  clearInterval(alive)
  process.stdout.write('ending Kafka ...\n')
  await cluster.stop()
  return code
}

try {
  const wanted = readArguments(process.argv.slice(2))
  if (wanted === null) process.stdout.write(USAGE)
  else process.exitCode = await run(wanted)
} catch (error) {
  if (!(error instanceof KafkaError || error instanceof UsageError)) throw error
  process.stderr.write(`${error.message}\n${error instanceof UsageError ? `\n${USAGE}` : ''}`)
  process.exitCode = error instanceof UsageError ? 2 : 1
}
