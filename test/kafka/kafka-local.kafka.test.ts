import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { kafkaSuite } from './kafka-suite.ts'
import { createTopic, produce, readValues } from './kafkajs-records.ts'
import { freePorts } from './ports.ts'

const PROGRAM = fileURLToPath(new URL('./kafka-local.ts', import.meta.url))

interface Run {
  /** Resolves with what it has said once Kafka is up. */
  up: Promise<string>
  ended: Promise<{ code: number | null; output: string }>
  signal(name: NodeJS.Signals): void
}

function start(...args: string[]): Run {
  const child = spawn(process.execPath, [PROGRAM, ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
  const up = Promise.withResolvers<string>()
  let output = ''
  const hear = (chunk: Buffer) => {
    output += chunk
    if (/JVM of each broker: .*\n/.test(output)) up.resolve(output)
  }
  child.stdout.on('data', hear)
  child.stderr.on('data', hear)
  const ended = once(child, 'close').then(([code]) => {
    up.reject(new Error(`ended with ${code} before Kafka was up:\n${output}`))
    return { code: code as number | null, output }
  })
  up.promise.catch(() => {}) // Who expects an end waits for that alone.
  return { up: up.promise, ended, signal: (name) => child.kill(name) }
}

kafkaSuite('npm run kafka:local', () => {
  let data = ''
  let port = 0
  const place = () => ['--data', data, '--port', `${port}`]

  before(async () => {
    data = mkdtempSync(join(tmpdir(), 'freshet-kafka-local-'))
    ;[port = 0] = await freePorts(1)
  })

  after(() => rmSync(data, { recursive: true, force: true }))

  test('topics and records stay from one start to the next, and Ctrl-C ends it with 0', async () => {
    const bootstrap = `127.0.0.1:${port}`
    const first = start(...place())
    await first.up
    await createTopic(bootstrap, 'behavior.app')
    await produce(bootstrap, 'behavior.app', [{ partition: 0, value: 'kept' }])
    first.signal('SIGINT')
    const { code, output } = await first.ended
    assert.equal(code, 0, output)
    assert.ok(output.includes(`brokers for freshet and any other client: ${bootstrap} `), output)
    const second = start(...place())
    await second.up
    assert.deepEqual(await readValues(bootstrap, 'behavior.app'), ['kept'])
    second.signal('SIGTERM')
    assert.equal((await second.ended).code, 0)
    assert.ok(existsSync(data))
  })

  test('data of one broker are not those of three', async () => {
    const { code, output } = await start(...place(), '--brokers', '3').ended
    assert.equal(code, 1)
    assert.match(output, /expected --brokers 1, with which .* was made, got 3: pass --brokers 1, or another/)
  })

  test('a taken port is named, with the way out', async () => {
    const server = createServer().listen(port, '127.0.0.1')
    await once(server, 'listening')
    const { code, output } = await start(...place()).ended
    server.close()
    assert.equal(code, 1)
    assert.match(
      output,
      new RegExp(`^expected port ${port} free, .*: end what listens there, or pass --port`),
    )
  })

  test('when the broker dies it ends with 1 and the end of the log', async () => {
    const run = start(...place())
    const pid = Number(/JVM of each broker: (\d+)/.exec(await run.up)?.[1])
    process.kill(pid, 'SIGKILL')
    const { code, output } = await run.ended
    assert.equal(code, 1)
    assert.match(output, /ended by itself, signal SIGKILL:/)
  })

  test('three brokers serve as one cluster', async () => {
    const ports = await freePorts(1)
    const own = join(data, 'three')
    const run = start('--data', own, '--port', `${ports[0]}`, '--brokers', '3')
    await run.up
    const bootstrap = `127.0.0.1:${ports[0]! + 2}`
    await createTopic(bootstrap, 'behavior.app', 3)
    await produce(bootstrap, 'behavior.app', [{ partition: 2, value: 'thrice' }])
    assert.deepEqual(await readValues(bootstrap, 'behavior.app'), ['thrice'])
    run.signal('SIGINT')
    assert.equal((await run.ended).code, 0)
  })

  test('--help helps, and arguments that make no sense end with 2 and the usage', async () => {
    const help = await start('--help').ended
    assert.equal(help.code, 0)
    assert.match(help.output, /^usage: npm run kafka:local/)
    for (const wrong of [
      ['--brokers', '6'],
      ['--brokers', 'x'],
      ['--port', '0'],
      ['--prot', '1'],
      ['extra'],
    ]) {
      const { code, output } = await start(...wrong).ended
      assert.equal(code, 2, wrong.join(' '))
      assert.match(output, /usage: npm run kafka:local/)
    }
  })
})
