/** Requests to one chosen node, which kafkajs doesn't offer: how that node sees a topic, and an election of its leaders. */

import { once } from 'node:events'
import { connect, type Socket } from 'node:net'

export interface Partition {
  partitionId: number
  leader: number
  replicas: number[]
  isr: number[]
}

interface Address {
  host: string
  port: number
}

/** Of both, the newest versions without tagged fields; Kafka 4 takes 0 to 13 and 0 to 2. */
const METADATA = { key: 3, version: 1 }
const ELECT_LEADERS = { key: 43, version: 1 }
const PREFERRED = 0
const ELECTION_MS_MAX = 10_000
const ANSWER_MS_MAX = 20_000
/** The preferred leader leads already. */
const ELECTION_NOT_NEEDED = 84

function int16(value: number): Buffer {
  const bytes = Buffer.alloc(2)
  bytes.writeInt16BE(value)
  return bytes
}

function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32BE(value)
  return bytes
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value, 'utf8')
  return Buffer.concat([int16(bytes.length), bytes])
}

/** Reads an answer from front to back. */
class Answer {
  private readonly bytes: Buffer
  private at = 4 + 4 // size, correlation id

  constructor(bytes: Buffer) {
    this.bytes = bytes
  }

  int8(): number {
    this.at += 1
    return this.bytes.readInt8(this.at - 1)
  }

  int16(): number {
    this.at += 2
    return this.bytes.readInt16BE(this.at - 2)
  }

  int32(): number {
    this.at += 4
    return this.bytes.readInt32BE(this.at - 4)
  }

  /** Null is read as an empty one. */
  text(): string {
    const length = Math.max(0, this.int16())
    this.at += length
    return this.bytes.toString('utf8', this.at - length, this.at)
  }

  list<T>(item: () => T): T[] {
    return Array.from({ length: Math.max(0, this.int32()) }, item)
  }
}

async function receive(socket: Socket): Promise<Buffer> {
  let received = Buffer.alloc(0)
  for await (const chunk of socket) {
    received = Buffer.concat([received, chunk as Buffer])
    if (received.length >= 4 && received.length >= 4 + received.readInt32BE(0)) return received
  }
  throw new Error('the broker closed the connection without an answer')
}

/** A frame: size, header version 1 (key, version, correlation id, client id), body. */
async function ask(
  { host, port }: Address,
  api: { key: number; version: number },
  body: readonly Buffer[],
): Promise<Answer> {
  const header = [int16(api.key), int16(api.version), int32(1), text('freshet-tests')]
  const frame = Buffer.concat([...header, ...body])
  const socket = connect({ host, port })
  try {
    await once(socket, 'connect')
    socket.setTimeout(ANSWER_MS_MAX, () => socket.destroy(new Error(`no answer within ${ANSWER_MS_MAX} ms`)))
    socket.write(Buffer.concat([int32(frame.length), frame]))
    return new Answer(await receive(socket))
  } finally {
    socket.destroy()
  }
}

/** How this node sees the topic; null while it knows no such topic, or a partition of it has no leader. */
export async function fetchPartitions(node: Address, topic: string): Promise<Partition[] | null> {
  const answer = await ask(node, METADATA, [int32(1), text(topic)])
  answer.list(() => [answer.int32(), answer.text(), answer.int32(), answer.text()]) // The nodes.
  answer.int32() // The controller.
  const [found] = answer.list(() => {
    const errors = [answer.int16()]
    answer.text()
    answer.int8() // Whether it is internal.
    const partitions = answer.list((): Partition => {
      errors.push(answer.int16())
      const [partitionId, leader] = [answer.int32(), answer.int32()]
      const ids = () => answer.list(() => answer.int32())
      return { partitionId, leader, replicas: ids(), isr: ids() }
    })
    return { errors, partitions }
  })
  if (found === undefined || found.errors.some((code) => code !== 0)) return null
  return found.partitions.sort((a, b) => a.partitionId - b.partitionId)
}

/**
 * @param node any that is alive: it forwards to the controller
 * @throws {Error} when the preferred leader of a partition could not be elected
 */
export async function electPreferredLeaders(
  node: Address,
  topic: string,
  partitions: readonly number[],
): Promise<void> {
  const body = [Buffer.from([PREFERRED]), int32(1), text(topic)]
  body.push(int32(partitions.length), ...partitions.map(int32), int32(ELECTION_MS_MAX))
  const answer = await ask(node, ELECT_LEADERS, body)
  answer.int32() // Throttled for so long.
  const overall = answer.int16()
  if (overall !== 0) throw new Error(`ElectLeaders was refused with error code ${overall}`)
  const results = answer.list(() => {
    answer.text()
    return answer.list(() => ({ partition: answer.int32(), code: answer.int16(), message: answer.text() }))
  })
  const failed = results.flat().filter(({ code }) => code !== 0 && code !== ELECTION_NOT_NEEDED)
  if (failed.length > 0) throw new Error(`no leader elected: ${JSON.stringify(failed)}`)
}
