/** Brokers that aren't there, and a listener that never says a word. */

import assert from 'node:assert/strict'
import { createServer, type Server, type Socket } from 'node:net'
import { test } from 'node:test'
import { openKafka, patienceOfWorkers } from '../../src/cli/kafka-access.ts'
import { loadSettings } from '../../src/config/load-settings.ts'
import { systemClock } from '../../src/pipeline/clock.ts'
import { freePorts } from '../kafka/ports.ts'

const LIMIT_MS = 400

function opened(brokers: readonly string[]) {
  const { settings } = loadSettings({
    file: null,
    env: {},
    flags: {
      'events.driver': 'kafka',
      'events.kafka.brokers': brokers,
      'events.kafka.startTimeoutMs': LIMIT_MS,
      'vectors.sqliteFile': 'never-opened.db',
    },
  })
  return openKafka(
    settings,
    systemClock,
    patienceOfWorkers(settings, () => {}),
  )
}

/** Takes connections and what is sent, and never answers. */
async function silentServer(): Promise<{ address: string; close(): void }> {
  const sockets = new Set<Socket>()
  const server: Server = createServer((socket) => {
    sockets.add(socket.on('error', () => {}).resume())
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  const close = () => {
    for (const socket of sockets) socket.destroy()
    server.close()
  }
  return { address: `127.0.0.1:${port}`, close }
}

test('brokers that nobody hears of are named in the end, with the last error and the setting', async () => {
  const brokers = (await freePorts(2)).map((port) => `127.0.0.1:${port}`)
  await assert.rejects(opened(brokers), (error: { code: string; message: string }) => {
    assert.equal(error.code, 'kafka-unreachable')
    for (const part of [...brokers, 'ECONNREFUSED', 'events.kafka.startTimeoutMs', 'events.kafka.brokers'])
      assert.ok(error.message.includes(part), `${part} in: ${error.message}`)
    return true
  })
})

test('one that takes connections and is silent is given up in time, too', async (t) => {
  const { address, close } = await silentServer()
  t.after(close)
  const startMs = performance.now()
  // Its connection may take 10 s, and its answer 30 s.
  await assert.rejects(opened([address]), { code: 'kafka-unreachable', message: /they are silent/ })
  assert.ok(performance.now() - startMs < 9_000)
})
