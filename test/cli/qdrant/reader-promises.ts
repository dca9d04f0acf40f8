/** R15 on the whole program and any server: readers never see two models in one answer, however the alias moves. */

import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { type InstructionId, vectorName } from '../../../src/instructions/instruction.ts'
import { aliasName } from '../../../src/vectors/names.ts'
import type { CollectionName, Point, VectorStore } from '../../../src/vectors/vector-store.ts'
import { event, idOf, ingest, MAIN, type Running, users, type withQdrant } from '../qdrant-standalone.ts'
import { ref } from '../standalone-fixture.ts'

/** @param withServer gives a freshet on a server, and cleans up after it */
export function readerPromises(what: string, withServer: typeof withQdrant): void {
  suite(`R15 on ${what}: readers never see two models in one answer`, () => {
    const OTHER = 'freshet_main_other' as CollectionName
    const ROUNDS = 200

    test('while the alias moves, every answer of the service is of one model, and names it', () =>
      withServer((qdrant) =>
        qdrant.running(async (running) => {
          await ingest(running, ...users(8).map((user) => event(user, 1)))
          await prepareOther(running)
          const seen = new Map<string, number>()
          const { vectors } = running.standalone.parts
          const moving = keepMoving(vectors)
          const request = { instruction: 'general' as InstructionId, k: 7, from: { users: [ref('user-0')] } }
          while (!moving.isOver) {
            const { model, neighbours } = await running.service.nearest(request)
            assert.equal(neighbours.length, 7)
            // Points of the other model bear it as their segment.
            const models = new Set(neighbours.map(({ segment }) => segment ?? 'golden-linear'))
            assert.deepEqual([...models], [model])
            seen.set(model!, (seen.get(model!) ?? 0) + 1)
          }
          await moving.ended
          assert.deepEqual([...seen.keys()].sort(), ['golden-linear', 'other'], 'both were met')
        }),
      ))

    test('who queries the alias directly meets one model, too, and never nothing', () =>
      withServer((qdrant) =>
        qdrant.running(async (running) => {
          await ingest(running, ...users(8).map((user) => event(user, 1)))
          await prepareOther(running)
          const { vectors } = running.standalone.parts
          const moving = keepMoving(vectors)
          const seen = new Set<string>()
          const using = vectorName('general' as never, null)
          const body = { query: idOf('user-0'), using, limit: 7, with_payload: ['model'] }
          while (!moving.isOver) {
            const { points } = await qdrant.call<{ points: { payload: { model: string } }[] }>(
              'POST',
              'freshet_main/points/query',
              body,
            )
            const models = new Set(points.map(({ payload }) => payload.model))
            assert.equal(points.length, 7)
            assert.equal(models.size, 1)
            for (const model of models) seen.add(model)
          }
          await moving.ended
          assert.equal(seen.size, 2)
        }),
      ))

    /** Moves the alias to and fro, in no step with who reads. */
    function keepMoving(vectors: VectorStore): { isOver: boolean; ended: Promise<void> } {
      const moving = { isOver: false, ended: Promise.resolve() }
      moving.ended = (async () => {
        let bits = 1
        for (let round = 0; round < ROUNDS; round++) {
          bits = Math.imul(bits, 1_103_515_245) + 12_345
          await vectors.setAlias(aliasName('main' as never), ((bits >>> 16) & 1) === 1 ? OTHER : MAIN)
        }
        moving.isOver = true
      })()
      return moving
    }

    /** A second model that is kept for roll-back, with the same users. */
    async function prepareOther({ standalone }: Running): Promise<void> {
      const { vectors, controlLog, updater } = standalone.parts
      const { models } = updater.control.view
      await controlLog.appendModel({
        active: models.active,
        also: null,
        existing: [models.active, 'other' as never],
      })
      await updater.control.readToEnd()
      const info = (await vectors.collections()).find(({ name }) => name === MAIN)!
      const { points: _, stubs: __, vectorNames, readerNames, ...spec } = info
      await vectors.ensureCollection({ ...spec, name: OTHER, model: 'other' as never })
      await vectors.ensureVectorNames(OTHER, vectorNames)
      await vectors.setReaderNames(OTHER, readerNames)
      const ids = users(8).map(idOf)
      const points = [...(await vectors.get(MAIN, ids)).values()].map(({ point }): Point => {
        assert.equal(point.kind, 'vectors')
        return { ...point, payload: { ...point.payload, model: 'other' as never, segment: 'other' } } as Point
      })
      await vectors.upsert(OTHER, { epoch: 1, write: 1 }, points)
    }
  })
}
