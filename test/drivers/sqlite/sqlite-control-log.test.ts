import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MAIN_MIGRATIONS } from '../../../src/drivers/sqlite/migrations.ts'
import { SqliteControlLog } from '../../../src/drivers/sqlite/sqlite-control-log.ts'
import { SqliteDatabase } from '../../../src/drivers/sqlite/sqlite-database.ts'
import {
  type Group,
  type GroupName,
  type Instruction,
  type InstructionId,
  MAIN_GROUP,
} from '../../../src/instructions/instruction.ts'
import { InstructionRegistry } from '../../../src/instructions/registry.ts'
import type { ModelId } from '../../../src/model/embedding-model.ts'

const repay: Instruction = {
  id: 'repay' as InstructionId,
  text: 'Will they repay? \u{1f4b8}',
  lang: 'en',
  group: MAIN_GROUP,
  status: 'active',
  maxStalenessMs: 60_000,
  owner: null,
  previous: { text: null, retireAtMs: 5 },
}
const slow: Group = { name: 'slow' as GroupName, minRefreshMs: 1_000, paused: true }

test('control records come back in order, each once, from any offset on', async () => {
  const database = new SqliteDatabase({ path: ':memory:', migrations: MAIN_MIGRATIONS })
  const control = new SqliteControlLog(database)
  assert.deepEqual(await control.instructions(-1), [])
  let changes = 0
  const end = control.watch(() => changes++)
  const first = await control.appendInstruction(repay)
  const second = await control.appendGroup(slow)
  assert.deepEqual(first, { offset: 0, kind: 'instruction', instruction: repay })
  assert.deepEqual(await control.instructions(-1), [first, second])
  assert.deepEqual(await control.instructions(0), [second])
  assert.deepEqual(await control.instructions(1), [])

  const model = { active: 'tiny' as ModelId, also: null, existing: ['tiny' as ModelId], rebuild: true }
  const added = await control.appendModel(model)
  assert.deepEqual(await control.models(-1), [{ ...model, offset: 0 }])
  assert.deepEqual(added, { ...model, offset: 0 })
  assert.equal(changes, 3)
  end()
  await control.appendGroup(slow)
  assert.equal(changes, 3)
  database.close()
})

test('the registry folded from what is stored is the registry folded from what was appended', async () => {
  const database = new SqliteDatabase({ path: ':memory:', migrations: MAIN_MIGRATIONS })
  const control = new SqliteControlLog(database)
  const appended = [
    await control.appendInstruction(repay),
    await control.appendGroup(slow),
    await control.appendRetiredText({ id: repay.id, ...repay.previous! }),
  ]
  const fold = (records: typeof appended) =>
    records.reduce((registry, record) => registry.apply(record), InstructionRegistry.initial())
  assert.deepEqual(fold(await new SqliteControlLog(database).instructions(-1)), fold(appended))
  assert.equal(fold(appended).instructions.get(repay.id)!.previous, null)
  database.close()
})
