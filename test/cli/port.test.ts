import assert from 'node:assert/strict'
import { createServer } from 'node:net'
import { test } from 'node:test'
import { isPortFree, isPortTaken } from '../../src/cli/port.ts'

test('a port that somebody listens on is taken; an address that is not ours is neither taken nor free', async () => {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  const look = async (host: string) => [await isPortFree(host, port), await isPortTaken(host, port)]
  assert.deepEqual(await look('127.0.0.1'), [false, true])
  // Of the block that is kept for documentation: no machine has it.
  assert.deepEqual(await look('192.0.2.1'), [false, false])
  await new Promise((resolve) => server.close(resolve))
  assert.deepEqual(await look('127.0.0.1'), [true, false])
})
