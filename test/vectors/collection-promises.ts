/** What every store promises of its collections: names, aliases and settings come, change and go. */

import assert from 'node:assert/strict'
import type { GroupName, InstructionId } from '../../src/instructions/instruction.ts'
import type { ModelId } from '../../src/model/embedding-model.ts'
import { aliasName, collectionName } from '../../src/vectors/names.ts'
import { A, B, idOf, pointOf, stubOf, unit, vectorOf } from './points.ts'
import type { StoreScene } from './store-scene.ts'

export function collectionPromises(scene: StoreScene): void {
  const { promise } = scene

  promise('a collection is created once, and another shape under its name is refused', async () => {
    const name = await scene.fresh()
    await scene.store.ensureCollection(scene.spec(name))
    for (const other of [{ dimensions: 7 }, { precision: 'int8' }, { horizonDays: null }] as const)
      await assert.rejects(scene.store.ensureCollection({ ...scene.spec(name), ...other }), {
        code: 'collection-mismatch',
      })
    const info = (await scene.store.collections()).find((one) => one.name === name)
    assert.deepEqual(info, {
      ...scene.spec(name),
      vectorNames: [A, B],
      readerNames: new Map(),
      points: 0,
      stubs: 0,
    })
  })

  promise('a new collection is as the settings want it, and mending it changes nothing', async () => {
    const name = await scene.fresh()
    await scene.store.upsert(name, { epoch: 1, write: 1 }, [pointOf('u1', { [A]: unit(0) })])
    assert.deepEqual(await scene.store.differences(name), [])
    await scene.store.mend(name)
    assert.deepEqual(await scene.store.differences(name), [])
    assert.equal((await scene.store.get(name, [idOf('u1')])).size, 1)
  })

  promise('what is there is not made again, and what is gone is not missed', async () => {
    const name = await scene.fresh([A, B])
    await scene.store.upsert(name, { epoch: 1, write: 1 }, [pointOf('u1', { [A]: unit(0) })])
    await scene.store.ensureCollection(scene.spec(name))
    await scene.store.ensureVectorNames(name, [A, B, A])
    await scene.store.dropVectorNames(name, [B])
    await scene.store.dropVectorNames(name, [B])
    const hits = await scene.searchIds(name, { vectorName: A, vector: vectorOf(unit(0)), k: 5 })
    assert.deepEqual(hits, [idOf('u1')])
    await scene.store.dropCollection(name)
    await scene.store.dropCollection(name)
  })

  promise('what is asked of a collection that is not there is refused', async () => {
    const none = collectionName('contract' as GroupName, `never-${process.pid}` as ModelId)
    const missing = { code: 'collection-missing', name: 'ConfigError' }
    await assert.rejects(scene.store.upsert(none, { epoch: 1, write: 1 }, [stubOf('u')]), missing)
    await assert.rejects(scene.store.setAlias(aliasName('contract-none' as GroupName), none), missing)
    await assert.rejects(
      scene.store.search(none, { vectorName: A, vector: vectorOf(unit(0)), k: 1 }),
      missing,
    )
    await assert.rejects(scene.store.readerNames(none), missing)
    await assert.rejects(scene.store.differences(none), missing)
    await scene.store.dropCollection(none)
  })

  promise('a vector name that was dropped and made again brings no old vector back', async () => {
    const name = await scene.fresh([A, B])
    const query = { vectorName: B, vector: vectorOf(unit(1)), k: 5 }
    await scene.store.upsert(name, { epoch: 1, write: 1 }, [pointOf('u1', { [A]: unit(0), [B]: unit(1) })])
    assert.equal((await scene.searchIds(name, query)).length, 1)
    await scene.store.dropVectorNames(name, [B])
    const { point } = (await scene.store.get(name, [idOf('u1')])).get(idOf('u1'))!
    assert.deepEqual(point.kind === 'vectors' && [...point.vectors.keys()], [A])
    await scene.store.ensureVectorNames(name, [B, A])
    assert.deepEqual(await scene.searchIds(name, query), [])
    await scene.store.upsert(name, { epoch: 1, write: 2 }, [pointOf('u1', { [A]: unit(0), [B]: unit(1) })])
    assert.equal((await scene.searchIds(name, query)).length, 1)
  })

  promise('an alias names one collection at a time, and goes with it', async () => {
    const alias = aliasName(`contract-${process.pid}` as GroupName)
    const [blue, green] = [await scene.fresh(), await scene.fresh()]
    assert.equal(await scene.store.alias(alias), null)
    await scene.store.setAlias(alias, blue)
    assert.equal(await scene.store.alias(alias), blue)
    await scene.store.setAlias(alias, green)
    assert.equal(await scene.store.alias(alias), green)
    await scene.store.dropCollection(green)
    assert.equal(await scene.store.alias(alias), null)
  })

  promise('a switch to a collection that is not there leaves the alias where it was', async () => {
    const alias = aliasName(`contract-kept-${process.pid}` as GroupName)
    const blue = await scene.fresh([A])
    await scene.store.setAlias(alias, blue)
    const none = collectionName('contract' as GroupName, `never-${process.pid}` as ModelId)
    await assert.rejects(scene.store.setAlias(alias, none), { code: 'collection-missing' })
    assert.equal(await scene.store.alias(alias), blue)
  })

  promise('a collection that was dropped and made again is empty', async () => {
    const name = await scene.fresh([A])
    await scene.store.upsert(name, { epoch: 9, write: 9 }, [pointOf('u1', { [A]: unit(0) })])
    assert.equal((await scene.searchIds(name, { vectorName: A, vector: vectorOf(unit(0)), k: 5 })).length, 1)
    await scene.store.dropCollection(name)
    await scene.store.ensureCollection(scene.spec(name))
    await scene.store.ensureVectorNames(name, [A])
    assert.equal((await scene.store.get(name, [idOf('u1')])).size, 0)
    await scene.store.upsert(name, { epoch: 1, write: 1 }, [pointOf('u2', { [A]: unit(0) })])
    assert.deepEqual(await scene.searchIds(name, { vectorName: A, vector: vectorOf(unit(0)), k: 5 }), [
      idOf('u2'),
    ])
  })

  promise('readers are told which vector an instruction means', async () => {
    const name = await scene.fresh()
    const readerNames = new Map([['repay' as InstructionId, B]])
    await scene.store.setReaderNames(name, readerNames)
    const info = (await scene.store.collections()).find((one) => one.name === name)
    assert.deepEqual(info?.readerNames, readerNames)
    assert.deepEqual(await scene.store.readerNames(name), readerNames)
  })
}
