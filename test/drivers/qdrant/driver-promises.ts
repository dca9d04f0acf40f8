/** What the Qdrant driver promises beyond the contract of stores, on the double and on any real server. */

import { after, before, describe } from 'node:test'
import { DriverScene } from './driver-scene.ts'
import { faultPromises } from './fault-promises.ts'
import type { Server } from './qdrant-place.ts'
import { serverPromises } from './server-promises.ts'

/** @param start the server; called once */
export function qdrantPromises(what: string, start: () => Promise<Server>): void {
  describe(`the driver on ${what}`, () => {
    const scene = new DriverScene(what)
    before(() => scene.open(start))
    after(() => scene.dispose())
    faultPromises(scene)
    serverPromises(scene)
  })
}
