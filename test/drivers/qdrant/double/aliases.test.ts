import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { describe } from 'node:test'
import type { QdrantClient } from '@qdrant/js-client-rest'
import { ALICE, fact, type Place, told } from './facts.ts'

const alias = (): string => `alias-${randomUUID()}`

async function point(client: QdrantClient, alias_name: string, collection_name: string): Promise<void> {
  await client.updateCollectionAliases({ actions: [{ create_alias: { collection_name, alias_name } }] })
}

async function targets(client: QdrantClient, alias_name: string): Promise<string[]> {
  const { aliases } = await client.getAliases()
  return aliases.filter((one) => one.alias_name === alias_name).map((one) => one.collection_name)
}

async function filled(place: Place, mark: string): Promise<string> {
  const name = await place.made()
  const points = [{ id: ALICE, vector: { v: [1, 0] }, payload: { mark } }]
  await place.client.upsert(name, { wait: true, points })
  return name
}

describe('aliases', () => {
  fact('one create_alias makes an alias or turns it to another collection', async (place) => {
    const { client } = place
    const [first, second] = [await place.made(), await place.made()]
    const name = alias()
    await point(client, name, first)
    assert.deepEqual(await targets(client, name), [first])
    await point(client, name, second)
    assert.deepEqual(await targets(client, name), [second])
    assert.deepEqual(await client.getCollectionAliases(first), { aliases: [] })
    assert.deepEqual(await client.getCollectionAliases(second), {
      aliases: [{ alias_name: name, collection_name: second }],
    })
    // Of an alias, and of what isn't there, there are none, and no 404 either.
    for (const other of [name, 'nowhere'])
      assert.deepEqual(await client.getCollectionAliases(other), { aliases: [] })
  })

  fact('everything is read and written through an alias, but not dropped', async (place) => {
    const { client } = place
    const collection = await filled(place, 'a')
    const name = alias()
    await point(client, name, collection)
    const [found] = (await client.query(name, { query: [1, 0], using: 'v', with_payload: true })).points
    assert.deepEqual(found?.payload, { mark: 'a' })
    await client.createVectorName(name, 'w', { dense: { size: 2, distance: 'Cosine' } })
    await client.upsert(name, {
      wait: true,
      points: [{ id: ALICE, vector: { w: [1, 0] }, payload: { mark: 'b' } }],
    })
    await client.updateCollection(name, { metadata: { seen: true } })
    assert.deepEqual((await client.getCollection(collection)).config.metadata, { seen: true })
    assert.deepEqual((await client.retrieve(collection, { ids: [ALICE] }))[0]?.payload, { mark: 'b' })
    assert.deepEqual(await client.collectionExists(name), { exists: true })
    assert.equal(await client.deleteCollection(name), false)
    assert.equal((await client.count(collection)).count, 1)
  })

  fact(
    'a switch by deleting and creating loses the alias when the new collection isn’t there',
    async (place) => {
      const { client } = place
      const collection = await place.made()
      const name = alias()
      await point(client, name, collection)
      const answer = await told(
        client.updateCollectionAliases({
          actions: [
            { delete_alias: { alias_name: name } },
            { create_alias: { collection_name: 'nowhere', alias_name: name } },
          ],
        }),
      )
      assert.equal(answer.status, 404)
      assert.match(answer.text, /Collection `nowhere` doesn't exist!/)
      assert.deepEqual(await targets(client, name), [])
    },
  )

  fact(
    'a switch by one create_alias leaves the alias where it was when the new collection isn’t there',
    async (place) => {
      const { client } = place
      const collection = await place.made()
      const name = alias()
      await point(client, name, collection)
      assert.equal((await told(point(client, name, 'nowhere'))).status, 404)
      assert.deepEqual(await targets(client, name), [collection])
    },
  )

  fact('a collection that is dropped takes its aliases along', async (place) => {
    const { client } = place
    const collection = await place.made()
    const name = alias()
    await point(client, name, collection)
    await client.deleteCollection(collection)
    assert.deepEqual(await targets(client, name), [])
    assert.equal((await told(client.count(name))).status, 404)
  })

  fact('an alias is renamed, deleted again and again, and is nobody’s alias itself', async (place) => {
    const { client } = place
    const collection = await place.made()
    const [from, to] = [alias(), alias()]
    await point(client, from, collection)
    assert.equal((await told(point(client, alias(), from))).status, 404)
    await client.updateCollectionAliases({
      actions: [{ rename_alias: { old_alias_name: from, new_alias_name: to } }],
    })
    assert.deepEqual(await targets(client, to), [collection])
    const missing = await told(
      client.updateCollectionAliases({
        actions: [{ rename_alias: { old_alias_name: from, new_alias_name: to } }],
      }),
    )
    assert.equal(missing.status, 404)
    for (let i = 0; i < 2; i++)
      assert.equal(
        await client.updateCollectionAliases({ actions: [{ delete_alias: { alias_name: to } }] }),
        true,
      )
    assert.deepEqual(await targets(client, to), [])
  })

  fact('an alias and a collection can’t share a name', async (place) => {
    const { client } = place
    const [first, second] = [await place.made(), await place.made()]
    assert.equal((await told(point(client, first, second))).status, 409)
    const name = alias()
    await point(client, name, first)
    const answer = await told(client.createCollection(name, { vectors: {} }))
    assert.equal(answer.status, 400)
    assert.match(answer.text, /Alias with the same name already exists/)
  })
})
