import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { spawnLeashed } from './leash.ts'
import { isAlive, until } from './process-end.ts'

const HOLDER = fileURLToPath(new URL('./leash-holder.ts', import.meta.url))
const isPosix = process.platform !== 'win32'

function newFolder(): string {
  return mkdtempSync(join(tmpdir(), 'freshet-leash-'))
}

async function hold(folder: string, how: string, command: string[]): Promise<[ChildProcess, number]> {
  const holder = spawn(process.execPath, [HOLDER, folder, how, ...command], {
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  const [line] = await once(holder.stdout, 'data')
  return [holder, Number(`${line}`.trim())]
}

for (const [title, how, signal] of [
  ['comes to its end', 'end', null],
  ['throws', 'throw', null],
  ['is interrupted', 'hold', 'SIGINT'],
  ['is killed', 'hold', 'SIGKILL'],
] as const)
  test(`a process that ${title} takes its child along, and what the child wrote`, {
    skip: !isPosix,
  }, async () => {
    const folder = newFolder()
    const [holder, pid] = await hold(folder, how, ['sleep', '300'])
    const end = holder.exitCode === null ? once(holder, 'exit') : null
    if (signal !== null) holder.kill(signal)
    await end
    await until('the child has ended', () => !isAlive(pid))
    await until('its folder is removed', () => !existsSync(folder))
  })

test('a child that ended by itself leaves what it wrote', { skip: !isPosix }, async () => {
  const folder = newFolder()
  const [holder, pid] = await hold(folder, 'wait', ['sh', '-c', 'echo result > result; echo said'])
  if (holder.exitCode === null) await once(holder, 'exit')
  await until('the child has ended', () => !isAlive(pid))
  assert.equal(readFileSync(join(folder, 'result'), 'utf8'), 'result\n')
  assert.equal(readFileSync(join(folder, 'child.log'), 'utf8'), 'said\n')
  rmSync(folder, { recursive: true })
})

test('signals and the exit code are the command’s own', { skip: !isPosix }, async () => {
  const folder = newFolder()
  const start = (name: string, ...command: string[]) => {
    const child = spawnLeashed(command, { cwd: folder, logFile: join(folder, name), discard: null })
    child.ref()
    return child
  }
  const [code] = await once(start('a.log', 'sh', '-c', 'exit 7'), 'exit')
  assert.equal(code, 7)
  const asleep = start('b.log', 'sleep', '300')
  asleep.kill('SIGTERM')
  const [, signal] = await once(asleep, 'exit')
  assert.equal(signal, 'SIGTERM')
  rmSync(folder, { recursive: true })
})

test('a log that exists is not written on', { skip: !isPosix }, () => {
  const folder = newFolder()
  const logFile = join(folder, 'old.log')
  writeFileSync(logFile, 'an older child\n')
  assert.throws(() => spawnLeashed(['true'], { cwd: folder, logFile, discard: null }), /EEXIST/)
  rmSync(folder, { recursive: true })
})
