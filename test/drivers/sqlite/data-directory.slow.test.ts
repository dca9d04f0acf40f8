import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { openDataDirectory } from '../../../src/drivers/sqlite/data-directory.ts'
import { MAIN_MIGRATIONS, VECTOR_MIGRATIONS } from '../../../src/drivers/sqlite/migrations.ts'
import { SqliteDatabase } from '../../../src/drivers/sqlite/sqlite-database.ts'
import { SqliteStateStore } from '../../../src/drivers/sqlite/sqlite-state-store.ts'
import { writerInfo } from '../../../src/drivers/sqlite/writer-lock.ts'
import { ConfigError } from '../../../src/errors.ts'
import { emptyState } from '../../../src/window/apply.ts'
import { TENANT, USER } from '../../window/arbitraries.ts'
import { tempDirectory } from './temp-directory.ts'

const HOLDER = fileURLToPath(new URL('./lock-holder.ts', import.meta.url))
const CAPS = { paybill: 1, miniprogram: 1, spm: 1, app: 1, search: 1 }

const open = (path: string, access: 'read' | 'write' = 'write') =>
  openDataDirectory({ path, access, nowMs: 0 })

/** @returns the first line that the child says: `held`, or the code of its error */
async function firstLine(child: ChildProcess): Promise<string> {
  const [chunk] = (await once(child.stdout!, 'data')) as [Buffer]
  return chunk.toString().trim()
}

test('a second writer is told who the first one is and where it serves', () => {
  const path = tempDirectory()
  const first = open(path)
  assert.throws(() => open(path), { code: 'data-directory-locked' })
  first.announce('http://127.0.0.1:7710')
  assert.throws(
    () => open(path),
    (error: Error) =>
      error.message.includes(`process ${process.pid}`) &&
      error.message.includes('since 1970-01-01') &&
      error.message.includes('http://127.0.0.1:7710'),
  )
  assert.equal(writerInfo(path)?.url, 'http://127.0.0.1:7710')
  first.close()
  assert.equal(writerInfo(path), null)
  open(path).close()
})

test('of processes that race for a directory exactly one gets it, and kill -9 frees it', async () => {
  const path = tempDirectory()
  const children = Array.from({ length: 3 }, () =>
    spawn(process.execPath, ['--expose-gc', HOLDER, path], { stdio: ['ignore', 'pipe', 'inherit'] }),
  )
  try {
    const said = await Promise.all(children.map(firstLine))
    assert.deepEqual(said.toSorted(), ['data-directory-locked', 'data-directory-locked', 'held'])
    assert.throws(() => open(path), { code: 'data-directory-locked' })
    const holder = children[said.indexOf('held')]!
    const isGone = once(holder, 'exit')
    holder.kill('SIGKILL')
    await isGone
    // The file that informs is still there; it locks nothing.
    assert.equal(writerInfo(path)?.pid, holder.pid)
    open(path).close()
  } finally {
    for (const child of children) child.kill('SIGKILL')
  }
})

test('readers share the directory with its writer and see what is durable', async () => {
  const path = tempDirectory()
  assert.throws(() => open(path, 'read'), { code: 'data-directory-missing' })
  const writer = open(path)
  const reader = open(path, 'read')
  const state = { ...emptyState(TENANT, USER), epoch: 1 }
  await new SqliteStateStore(writer.main, { caps: () => CAPS }).appendStates(0, [state])
  const read = new SqliteStateStore(reader.main, { caps: () => CAPS }).read(0, `${TENANT}\0${USER}` as never)
  assert.deepEqual(read, state)
  assert.throws(() => reader.main.write(() => reader.main.exec('DELETE FROM states')), {
    code: 'database-not-writable',
  })
  reader.close()
  writer.close()
  // Without a writer, too.
  open(path, 'read').close()
})

test('the directory is readable by its owner only', () => {
  const path = join(tempDirectory(), 'made')
  open(path).close()
  if (process.platform !== 'win32') assert.equal(statSync(path).mode & 0o777, 0o700)
})

test('a directory of the format before is migrated, and keeps what it holds', async () => {
  const path = tempDirectory()
  const before = new SqliteDatabase({
    path: join(path, 'freshet.db'),
    migrations: MAIN_MIGRATIONS.slice(0, -1),
  })
  const state = { ...emptyState(TENANT, USER), epoch: 9 }
  await new SqliteStateStore(before, { caps: () => CAPS }).appendStates(0, [state])
  before.close()
  new SqliteDatabase({
    path: join(path, 'vectors.db'),
    migrations: VECTOR_MIGRATIONS.slice(0, -1),
  }).close()
  assert.throws(() => open(path, 'read'), { code: 'data-directory-older' })

  const now = open(path)
  const store = new SqliteStateStore(now.main, { caps: () => CAPS })
  assert.equal((await store.restore(0)).highestEpoch, 9)
  assert.deepEqual(store.read(0, `${TENANT}\0${USER}` as never), state)
  // The newest step's tables are there and work.
  now.agree()
  now.close()
})

test('a migration that fails half way leaves the format before', () => {
  const path = join(tempDirectory(), 'one.db')
  new SqliteDatabase({ path, migrations: ['CREATE TABLE a (x)'] }).close()
  const broken = ['CREATE TABLE a (x)', 'CREATE TABLE b (y); CREATE TABLE a (z)']
  assert.throws(() => new SqliteDatabase({ path, migrations: broken }), { code: 'database-statement' })
  const after = new SqliteDatabase({ path, migrations: ['CREATE TABLE a (x)', 'CREATE TABLE b (y)'] })
  after.write(() => after.exec('INSERT INTO b VALUES (1)'))
  after.close()
})

for (const file of ['freshet.db', 'vectors.db'])
  test(`a ${file} of a newer format is refused, by readers and writers, and left alone`, () => {
    const path = tempDirectory()
    open(path).close()
    const raw = new DatabaseSync(join(path, file))
    raw.exec('PRAGMA user_version = 99')
    raw.close()
    const bytes = readFileSync(join(path, file))
    for (const access of ['read', 'write'] as const)
      assert.throws(() => open(path, access), { code: 'data-directory-newer', name: 'ConfigError' })
    assert.deepEqual(readFileSync(join(path, file)), bytes)
    // Refused for its format, not for a lock that the refusal left behind.
    assert.throws(() => open(path), { code: 'data-directory-newer' })
  })

test('a file that is no database is called damaged', () => {
  const path = tempDirectory()
  mkdirSync(path, { recursive: true })
  writeFileSync(join(path, 'freshet.db'), Buffer.alloc(8_192, 'no database '))
  assert.throws(() => open(path), { code: 'database-damaged' })
})

test('a directory that cannot be is refused with its path', () => {
  const file = join(tempDirectory(), 'a-file')
  writeFileSync(file, '')
  assert.throws(
    () => open(join(file, 'below')),
    (error: Error) =>
      error instanceof ConfigError && error.code === 'database-not-writable' && error.message.includes(file),
  )
})

test('a lock file that is no database is not taken for a lock that somebody holds', () => {
  const path = tempDirectory()
  writeFileSync(join(path, 'lock.db'), Buffer.alloc(8_192, 'no database '))
  assert.throws(() => open(path), { code: 'database-damaged' })
})
