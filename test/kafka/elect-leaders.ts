/** Kafka's ElectLeaders request, which kafkajs lacks: every partition named gets its preferred leader. */

import { once } from 'node:events'
import { connect, type Socket } from 'node:net'

const API_KEY = 43
/** The newest without tagged fields; Kafka 4 takes 0 to 2. */
const API_VERSION = 1
const PREFERRED = 0
const TIMEOUT_MS = 10_000
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

/** A frame: size, header version 1 (key, version, correlation id, client id), body. */
function request(topic: string, partitions: readonly number[]): Buffer {
  const body = Buffer.concat([
    Buffer.from([PREFERRED]),
    int32(1),
    text(topic),
    int32(partitions.length),
    ...partitions.map(int32),
    int32(TIMEOUT_MS),
  ])
  const header = Buffer.concat([int16(API_KEY), int16(API_VERSION), int32(1), text('freshet-tests')])
  return Buffer.concat([int32(header.length + body.length), header, body])
}

async function answer(socket: Socket): Promise<Buffer> {
  let received = Buffer.alloc(0)
  for await (const chunk of socket) {
    received = Buffer.concat([received, chunk as Buffer])
    if (received.length >= 4 && received.length >= 4 + received.readInt32BE(0)) return received
  }
  throw new Error('the broker closed the connection without an answer to ElectLeaders')
}

/** @returns error code by partition; 0 where a leader was elected */
function errors(bytes: Buffer): Map<number, number> {
  let at = 4 + 4 + 4 // size, correlation id, throttle time
  const short = () => {
    at += 2
    return bytes.readInt16BE(at - 2)
  }
  const int = () => {
    at += 4
    return bytes.readInt32BE(at - 4)
  }
  const overall = short()
  if (overall !== 0) throw new Error(`ElectLeaders was refused with error code ${overall}`)
  const byPartition = new Map<number, number>()
  for (let topics = int(); topics > 0; topics--) {
    const nameBytes = short()
    at += nameBytes
    for (let partitions = int(); partitions > 0; partitions--) {
      byPartition.set(int(), short())
      const messageBytes = short() // -1: none
      at += Math.max(0, messageBytes)
    }
  }
  return byPartition
}

/**
 * @param broker any that is alive: it forwards to the controller
 * @throws {Error} when the preferred leader of a partition could not be elected
 */
export async function electPreferredLeaders(
  broker: { host: string; port: number },
  topic: string,
  partitions: readonly number[],
): Promise<void> {
  const socket = connect(broker)
  try {
    await once(socket, 'connect')
    socket.write(request(topic, partitions))
    socket.setTimeout(2 * TIMEOUT_MS, () => socket.destroy(new Error('no answer to ElectLeaders')))
    const byPartition = errors(await answer(socket))
    const failed = [...byPartition].filter(([, code]) => code !== 0 && code !== ELECTION_NOT_NEEDED)
    if (failed.length > 0) throw new Error(`no leader elected: error code by partition ${failed.join(' ')}`)
  } finally {
    socket.destroy()
  }
}
