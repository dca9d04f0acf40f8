/** What every store of vectors promises; each driver runs it over itself. */

import { after, before, describe } from 'node:test'
import type { Clock } from '../../src/pipeline/clock.ts'
import { collectionPromises } from './collection-promises.ts'
import { searchPromises } from './search-promises.ts'
import { StoreScene, type StoreUnderTest } from './store-scene.ts'
import { writePromises } from './write-promises.ts'

/**
 * @param open makes a store that takes the time of its writes from `clock`; called once, collections have names of
 *   their own, so that a server that holds other things can be tested, too
 */
export function vectorStoreContract(what: string, open: (clock: Clock) => Promise<StoreUnderTest>): void {
  // A suite of its own: at the root of the run, opening and disposing would go around the tests of every file.
  describe(`vectors in ${what}`, () => {
    const scene = new StoreScene(what)
    before(() => scene.open(open))
    after(() => scene.dispose())
    writePromises(scene)
    searchPromises(scene)
    collectionPromises(scene)
  })
}
