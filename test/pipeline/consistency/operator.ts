/** What operators do in the consistency model: instructions and models come, change and go. */

import type { ModelId } from '../../../src/model/embedding-model.ts'
import type { World } from './world.ts'

/** Registers, changes or retires an instruction. */
export function changeInstruction(world: World, a: number, b: number): void {
  const known = world.instructions.findLast((r) => r.kind === 'instruction' && r.instruction.id === 'i2')
  const isThere = known?.kind === 'instruction' && known.instruction.status === 'active'
  if (a % 3 === 0) world.addInstruction('i1', 'main', b & 1 ? 'a' : 'b')
  else if (a % 3 === 1) world.addInstruction('i2', 'main', isThere ? null : 'c')
  else world.addInstruction('s1', 'slow', b & 1 ? 's' : 'r')
}

/** Prepares, promotes, rolls back or drops a model, as an operator does: the record first, then the aliases (V5). */
export async function changeModel(world: World, a: number): Promise<void> {
  const { active, also, existing } = world.models.at(-1)!
  const other = (active === 'ma' ? 'mb' : 'ma') as ModelId
  const names = (model: string) => ['main', 'slow'].map((group) => `freshet_${group}_${model}`)
  const switchAlias = (model: string) => {
    for (const group of ['main', 'slow'])
      world.requests.push({
        land: () => world.track(world.sink.setAlias(`freshet_${group}`, `freshet_${group}_${model}`)),
        reply: () => {},
        expire: () => {},
        sentUnits: world.nowUnits,
        sender: { alive: true },
        answered: true,
      })
  }
  if (also !== null) {
    world.appendModels({ active: a % 3 === 0 ? active : also, also: null, existing })
    if (a % 3 !== 0) switchAlias(also)
    return
  }
  if (!existing.includes(other)) {
    world.appendModels({ active, also: other, existing: [...existing, other] })
    for (const name of names(other)) await world.sink.create(name)
  } else if (a % 4 < 2) {
    world.appendModels({ active: other, also: null, existing })
    switchAlias(other)
  } else if (a % 4 === 2) world.appendModels({ active, also: other, existing })
  else if ((await world.sink.alias('freshet_main')) === `freshet_main_${active}`) {
    world.appendModels({ active, also: null, existing: [active] })
    for (const name of names(other)) await world.sink.drop(name)
  }
}
