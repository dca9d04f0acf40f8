/** One worker that owns everything, whose appends land at once: for tests of what an owner does, not of what may go wrong. */

import type { PipelineModules } from './pipeline-modules.ts'
import { Ink, Worker } from './worker.ts'
import type { World } from './world.ts'

export const drain = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

/** All that the worker has appended lands. */
export async function land(worker: Worker): Promise<void> {
  for (await drain(); worker.landAppend(false); await drain());
}

/** A new worker that owns both partitions; whoever did is gone. */
export async function takeOver(
  world: World,
  modules: PipelineModules,
  id = 1,
  skewUnits = 0,
): Promise<Worker> {
  const store = await world.sink.store(() => 0)
  const worker = new Worker(world, modules, store, new Ink(), id, id, skewUnits, 2)
  world.generation++
  world.assignment = [id, id]
  worker.join()
  await land(worker)
  return worker
}
