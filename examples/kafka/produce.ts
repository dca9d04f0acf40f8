/** Publishes what invented users do, as a customer's own services would: node examples/kafka/produce.ts --brokers 127.0.0.1:9092 */

import { parseArgs } from 'node:util'
import { publish } from './publish.ts'

const USAGE = `usage: node examples/kafka/produce.ts --brokers HOST:PORT[,HOST:PORT...] [options]

Publishes behaviour of invented users to freshet's default topics (behavior.*, user.tabular), until Ctrl-C.
The topics must be there: freshet topics apply.
  --brokers LIST   where Kafka is; the first that answers names the others
  --users N        how many users there are, 2 to 100000 (300)
  --rate N         events a second, 0.1 to 10000 (50)
  --events N       ends after so many; without it: never
  --seed N         other users, another life (1)
`
/** Between two lines of progress. */
const EVERY_MS = 2_000

/** What somebody typed is wrong; its message says what to do. */
class InputError extends Error {}

function numberOf(name: string, text: string | undefined, or: number, min: number, max: number): number {
  const value = text === undefined ? or : Number(text)
  if (text?.trim() !== '' && value >= min && value <= max) return value
  throw new InputError(`expected --${name} between ${min} and ${max}, got ${text}: correct it`)
}

function wholeOf(name: string, text: string | undefined, or: number, min: number, max: number): number {
  const value = numberOf(name, text, or, min, max)
  if (Number.isInteger(value)) return value
  throw new InputError(`expected --${name} to be a whole number, got ${text}: correct it`)
}

function brokersOf(text: string | undefined): string[] {
  const brokers = (text ?? '').split(',').filter((broker) => broker !== '')
  const wrong = brokers.find((broker) => !/^\S+:\d{1,5}$/.test(broker))
  if (brokers.length > 0 && wrong === undefined) return brokers
  throw new InputError(
    `expected --brokers as HOST:PORT, several of them with commas, got ${wrong ?? 'none'}: set it`,
  )
}

async function main(): Promise<number> {
  const text = { type: 'string' } as const
  const { values } = parseArgs({
    options: { brokers: text, users: text, rate: text, events: text, seed: text, help: { type: 'boolean' } },
  })
  if (values.help) {
    process.stdout.write(USAGE)
    return 0
  }
  const stopping = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stopping.abort())
  let toldAtMs = performance.now()
  const count = await publish({
    brokers: brokersOf(values.brokers),
    userCount: wholeOf('users', values.users, 300, 2, 100_000),
    eventsPerSecond: numberOf('rate', values.rate, 50, 0.1, 10_000),
    recordsMax: values.events === undefined ? null : wholeOf('events', values.events, 0, 1, 2 ** 31),
    seed: wholeOf('seed', values.seed, 1, 0, 2 ** 31),
    signal: stopping.signal,
    onPublished: (published, last) => {
      if (performance.now() - toldAtMs < EVERY_MS) return
      toldAtMs = performance.now()
      process.stdout.write(`${published} records published; the last is ${last}\n`)
    },
  })
  process.stdout.write(`${count} records published\n`)
  return 0
}

try {
  process.exitCode = await main()
} catch (error) {
  const { code, name, message } = error as NodeJS.ErrnoException
  const isTyped = error instanceof InputError || code?.startsWith('ERR_PARSE_ARGS') === true
  if (!isTyped && !name.startsWith('KafkaJS')) throw error
  const help = isTyped ? `\n\n${USAGE}` : ': are the brokers up, and did freshet topics apply run?\n'
  process.stderr.write(message + help)
  process.exitCode = isTyped ? 2 : 1
}
