/** Ports on loopback that stay free while the broker behind them is down. */

import { once } from 'node:events'
import { createServer, type Server } from 'node:net'

/**
 * Below the ephemeral ports of Linux (from 32768) and macOS (from 49152). A client that knocks at an ephemeral port whose
 * broker is down may be given that very port, connect to itself and keep the broker from coming back.
 */
const FIRST = 15_000
const LAST = 32_000
const ATTEMPTS_MAX = 200
/** Nobody listens on the port of a broker that is down; it stays that broker's. */
const given = new Set<number>()

async function listen(port: number): Promise<Server | null> {
  const server = createServer()
  server.listen({ port, host: '127.0.0.1', exclusive: true })
  try {
    await once(server, 'listening')
    return server
  } catch {
    return null
  }
}

async function close(server: Server): Promise<void> {
  server.close()
  await once(server, 'close')
}

export async function isFree(port: number): Promise<boolean> {
  const server = await listen(port)
  if (server !== null) await close(server)
  return server !== null
}

/** All are held until the last is found; in one process no port is given twice. */
export async function freePorts(count: number): Promise<number[]> {
  const held: Server[] = []
  const ports: number[] = []
  try {
    for (let attempt = 0; ports.length < count; attempt++) {
      if (attempt === ATTEMPTS_MAX) throw new Error(`no ${count} free ports in ${FIRST} to ${LAST}`)
      const port = FIRST + Math.floor(Math.random() * (LAST - FIRST))
      const server = given.has(port) ? null : await listen(port)
      if (server === null) continue
      given.add(port)
      held.push(server)
      ports.push(port)
    }
    return ports
  } finally {
    await Promise.all(held.map(close))
  }
}
