import assert from 'node:assert/strict'
import { cpSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { openDataDirectory } from '../../../src/drivers/sqlite/data-directory.ts'
import { FilePair, type VectorsAge } from '../../../src/drivers/sqlite/file-pair.ts'
import { MAIN_MIGRATIONS, VECTOR_MIGRATIONS } from '../../../src/drivers/sqlite/migrations.ts'
import { SqliteDatabase } from '../../../src/drivers/sqlite/sqlite-database.ts'
import { tempDirectory } from './temp-directory.ts'

const MAIN = 'freshet.db'
const VECTORS = 'vectors.db'

/** Opens for writing and closes. @returns how the vectors were found */
function opened(path: string, mend = false): VectorsAge {
  const directory = openDataDirectory({ path, access: 'write', nowMs: 0 })
  if (mend) directory.agree()
  directory.close()
  return directory.vectorsAge
}

/** A new directory, opened once. */
function usedDirectory(): string {
  const path = tempDirectory()
  assert.equal(opened(path), 'matching')
  return path
}

/** Keeps a copy of a file of a directory that is closed. @returns puts it back */
function backup(path: string, file: string): () => void {
  const copy = join(tempDirectory(), file)
  cpSync(join(path, file), copy)
  return () => {
    for (const suffix of ['-wal', '-shm']) rmSync(join(path, file + suffix), { force: true })
    cpSync(copy, join(path, file))
  }
}

test('files that were left together match at every open', () => {
  const path = usedDirectory()
  for (let i = 0; i < 3; i++) assert.equal(opened(path), 'matching')
})

for (const [file, age] of [
  [VECTORS, 'older'],
  [MAIN, 'foreign'],
] as const)
  test(`a ${file} that came from a backup is noticed until somebody agrees`, () => {
    const path = usedDirectory()
    const restore = backup(path, file)
    assert.equal(opened(path), 'matching')
    restore()
    assert.equal(opened(path), age)
    assert.equal(opened(path), age, 'opening alone mends nothing')
    assert.equal(opened(path, true), age)
    assert.equal(opened(path), 'matching')
    restore()
    assert.equal(opened(path), age)
  })

test('a backup from the same run is noticed once the files agreed again', () => {
  const path = usedDirectory()
  const directory = openDataDirectory({ path, access: 'write', nowMs: 0 })
  const copy = join(tempDirectory(), VECTORS)
  directory.vectors.exec(`VACUUM INTO '${copy}'`)
  directory.agree()
  directory.close()
  cpSync(copy, join(path, VECTORS))
  assert.equal(opened(path), 'older')
})

test('both files from one backup match', () => {
  const path = usedDirectory()
  const restores = [backup(path, MAIN), backup(path, VECTORS)]
  opened(path)
  for (const restore of restores) restore()
  assert.equal(opened(path), 'matching')
})

test('a vectors.db that is new is older, one of another directory is foreign, however young', () => {
  const path = usedDirectory()
  rmSync(join(path, VECTORS))
  assert.equal(opened(path), 'older')

  const [mine, other] = [usedDirectory(), usedDirectory()]
  for (let i = 0; i < 3; i++) opened(mine)
  cpSync(join(other, VECTORS), join(mine, VECTORS))
  assert.equal(opened(mine), 'foreign')

  const lost = usedDirectory()
  rmSync(join(lost, MAIN))
  assert.equal(opened(lost), 'foreign')
})

test('of two histories since one backup neither takes the vectors of the other for its own', () => {
  const path = usedDirectory()
  const restores = [backup(path, MAIN), backup(path, VECTORS)]
  opened(path)
  const otherVectors = backup(path, VECTORS)
  for (const restore of restores) restore()
  assert.equal(opened(path), 'matching')
  // As many openings as the other history had.
  otherVectors()
  assert.equal(opened(path), 'foreign')
})

test('a crash between any two steps of agreeing leaves files that match', () => {
  for (const crashAt of [1, 2, 3]) {
    const open = (migrations: readonly string[]) => new SqliteDatabase({ path: ':memory:', migrations })
    const [main, vectors] = [open(MAIN_MIGRATIONS), open(VECTOR_MIGRATIONS)]
    const pair = new FilePair(main, vectors)
    // From a first mark, and from none.
    if (crashAt !== 2) pair.agree()
    let writes = 0
    for (const database of [main, vectors]) {
      const write = database.write.bind(database)
      database.write = (work) => {
        if (++writes === crashAt) throw new Error('kill -9')
        return write(work)
      }
    }
    assert.throws(() => pair.agree(), { message: 'kill -9' })
    assert.equal(pair.compare(), 'matching', `after ${crashAt - 1} of 3 steps`)
    pair.agree()
    assert.equal(pair.compare(), 'matching')
    main.close()
    vectors.close()
  }
})

test('files of the format before match, and are marked from then on', () => {
  const path = tempDirectory()
  for (const [file, migrations] of [
    [MAIN, MAIN_MIGRATIONS.slice(0, 2)],
    [VECTORS, VECTOR_MIGRATIONS.slice(0, 1)],
  ] as const)
    new SqliteDatabase({ path: join(path, file), migrations }).close()
  const [restoreMain, restoreVectors] = [backup(path, MAIN), backup(path, VECTORS)]
  assert.equal(opened(path), 'matching')
  assert.equal(opened(path), 'matching')
  restoreVectors()
  assert.equal(opened(path), 'older')
  opened(path, true)
  restoreMain()
  assert.equal(opened(path), 'foreign')
})
