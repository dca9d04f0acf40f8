/** Runs kcat, a client on librdkafka: what it writes and reads shows that we understand others, not only ourselves. */

import { execFile } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { onPath } from './java.ts'

const LIMIT_MS = 60_000
const OUTPUT_BYTES_MAX = 1 << 28

const NONE = 'expected kcat, got none: install it (Debian: apt-get install kcat)'

/** Why kcat can't be run here, and what to install; null when it can. */
export function kcatMissing(): string | null {
  return onPath('kcat', process.env) === null ? NONE : null
}

export interface KcatMessage {
  key: string | Uint8Array | null
  /** Null: a tombstone. */
  value: string | Uint8Array | null
}

export interface KcatProduceOptions {
  /** `consistent_random`, CRC32 of the key, is what kcat takes when nobody says anything; Java has murmur2. */
  partitioner?: 'murmur2_random' | 'consistent_random'
  compression?: 'none' | 'gzip' | 'snappy' | 'lz4' | 'zstd'
  /** Of every message; a name may come several times. */
  headers?: readonly (readonly [name: string, value: string])[]
}

export interface KcatRecord {
  partition: number
  offset: number
  timestampMs: number
  key: Buffer | null
  value: Buffer | null
  /** As kcat prints them: `name=value,name=value`. */
  headers: string
}

async function kcat(args: readonly string[], input: Uint8Array): Promise<Buffer> {
  const command = onPath('kcat', process.env)
  if (command === null) throw new Error(NONE)
  return await new Promise((resolve, reject) => {
    const options = { encoding: 'buffer', timeout: LIMIT_MS, maxBuffer: OUTPUT_BYTES_MAX } as const
    // A kcat.conf in the user's home must not have a say.
    const child = execFile(command, ['-F', '/dev/null', ...args], options, (error, stdout, stderr) => {
      if (error === null) resolve(stdout)
      else reject(new Error(`kcat ${args.join(' ')}: ${stderr.toString().trim() || error.message}`))
    })
    child.stdin?.on('error', () => {}) // It ended before it had read everything: its exit code says why.
    child.stdin?.end(input)
  })
}

/** @throws {Error} with what kcat says, unless every message was acknowledged */
export async function kcatProduce(
  bootstrap: string,
  topic: string,
  messages: readonly KcatMessage[],
  { partitioner, compression = 'none', headers = [] }: KcatProduceOptions = {},
): Promise<void> {
  const hasTombstones = messages.some(({ value }) => value === null)
  if (hasTombstones && messages.some(({ value }) => value?.length === 0))
    throw new Error('kcat writes empty values and tombstones apart: call it twice')
  // Long and random, so that binary values hold neither.
  const betweenKeyAndValue = `key${randomUUID()}`
  const betweenMessages = `message${randomUUID()}`
  const parts = messages.flatMap(({ key, value }, at) => [
    ...(at === 0 ? [] : [betweenMessages]),
    ...(key === null ? [] : [key, betweenKeyAndValue]),
    value ?? '',
  ])
  const input = Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part) : part)))
  const args = ['-P', '-b', bootstrap, '-t', topic, '-D', betweenMessages, '-K', betweenKeyAndValue]
  if (hasTombstones) args.push('-Z')
  if (partitioner !== undefined) args.push('-X', `partitioner=${partitioner}`)
  args.push('-X', `compression.codec=${compression}`)
  // By default a topic that is missing gets 30 s to appear.
  args.push('-X', 'topic.metadata.propagation.max.ms=2000')
  for (const [name, value] of headers) args.push('-H', `${name}=${value}`)
  await kcat(args, input)
}

/** All records of the topic, from its beginning to its present end, in the order of partition and offset. */
export async function kcatConsume(bootstrap: string, topic: string): Promise<KcatRecord[]> {
  const format = '%p %o %T %K %S %h\\n%k%s'
  const args = ['-C', '-q', '-e', '-o', 'beginning', '-b', bootstrap, '-t', topic, '-f', format]
  const bytes = await kcat(args, Buffer.alloc(0))
  const records: KcatRecord[] = []
  for (let at = 0; at < bytes.length; ) {
    const end = bytes.indexOf('\n', at)
    const [partition, offset, timestamp, keyBytes, valueBytes, ...headers] = bytes
      .toString('utf8', at, end)
      .split(' ')
    at = end + 1
    const take = (length: number) => {
      if (length < 0) return null
      at += length
      return bytes.subarray(at - length, at)
    }
    records.push({
      partition: Number(partition),
      offset: Number(offset),
      timestampMs: Number(timestamp),
      key: take(Number(keyBytes)),
      value: take(Number(valueBytes)),
      headers: headers.join(' '),
    })
  }
  return records.sort((a, b) => a.partition - b.partition || a.offset - b.offset)
}
