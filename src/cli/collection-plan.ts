/** What is otherwise in the store of vectors than registry and settings want it, and who puts it right. */

import type { Settings } from '../config/settings.ts'
import { SHADOW_GROUP } from '../instructions/instruction.ts'
import type { View } from '../pipeline/view.ts'
import { aliasName } from '../vectors/names.ts'
import type { CollectionInfo, VectorStore } from '../vectors/vector-store.ts'
import type { ServerVectors } from './server-marks.ts'

/**
 * - `create`, `change`, `alias`: `collections apply` does it, and so does freshet itself but for settings.
 * - `remake`: only a collection made anew has it.
 * - `rebuild`: the next start embeds everybody anew.
 * - `unknown`: nobody writes or reads it; `collections rebuild` drops it.
 */
type Action = 'create' | 'change' | 'alias' | 'remake' | 'rebuild' | 'unknown'

export interface PlannedChange {
  action: Action
  /** Name of a collection or an alias. */
  name: string
  what: string
  /** null: there is none. */
  found: string | null
  wanted: string | null
}

interface PlanParts {
  vectors: VectorStore
  view: View
  state: ServerVectors
  settings: Pick<Settings, 'model' | 'windows'>
}

/** @returns in the order in which they would be done */
export async function planOf({ vectors, view, state, settings }: PlanParts): Promise<PlannedChange[]> {
  const infos = new Map((await vectors.collections()).map((info) => [info.name, info]))
  const changes: PlannedChange[] = []
  if (state !== 'matching') changes.push(rebuildNeeded(state))
  const inUse = [...view.targets.values()].filter((target) => target.inUse)
  for (const { collection, texts } of inUse) {
    const info = infos.get(collection)
    if (info === undefined)
      changes.push({
        action: 'create',
        name: collection,
        what: 'collection',
        found: null,
        wanted: collection,
      })
    for (const name of texts.texts.keys())
      if (info?.vectorNames.includes(name) !== true)
        changes.push({ action: 'create', name: collection, what: 'vector name', found: null, wanted: name })
    if (info !== undefined)
      changes.push(...specChanges(info, settings), ...(await settingChanges(vectors, info)))
  }
  changes.push(...(await aliasChanges(vectors, view)))
  const known = new Set([...view.targets.values()].map(({ collection }) => collection))
  for (const name of infos.keys())
    if (!known.has(name))
      changes.push({ action: 'unknown', name, what: 'collection', found: name, wanted: null })
  return changes
}

/** Those that somebody has to do something about; what is left over does no harm. */
export function pending(changes: readonly PlannedChange[]): PlannedChange[] {
  return changes.filter(({ action }) => action !== 'unknown')
}

function rebuildNeeded(state: ServerVectors): PlannedChange {
  const found = state === 'foreign' ? 'younger than the states' : 'gone, or older than the states'
  return { action: 'rebuild', name: 'all collections', what: 'vectors', found, wanted: 'as the states say' }
}

async function settingChanges(vectors: VectorStore, { name }: CollectionInfo): Promise<PlannedChange[]> {
  const differences = await vectors.differences(name)
  return differences.map(({ what, wanted, found, mendable }) => ({
    action: mendable ? 'change' : 'remake',
    name,
    what,
    found,
    wanted,
  }))
}

/** Vectors of another kind never mix with those that are there: a start would refuse. */
function specChanges(
  info: CollectionInfo,
  { model, windows }: Pick<Settings, 'model' | 'windows'>,
): PlannedChange[] {
  const { horizonDays } = windows
  const wanted: [string, string, string][] = [
    ['provider', info.provider, model.provider],
    ['precision', info.precision, model.precision],
  ]
  if (horizonDays === 'none' || typeof horizonDays === 'number')
    wanted.push(['horizon in days', String(info.horizonDays ?? 'none'), String(horizonDays)])
  return wanted
    .filter(([, is, shall]) => is !== shall)
    .map(([what, found, shall]) => ({ action: 'remake', name: info.name, what, found, wanted: shall }))
}

async function aliasChanges(vectors: VectorStore, view: View): Promise<PlannedChange[]> {
  const changes: PlannedChange[] = []
  for (const { group, model, collection } of view.targets.values()) {
    if (model !== view.models.active || group === SHADOW_GROUP) continue
    const alias = aliasName(group)
    const found = await vectors.alias(alias)
    if (found !== collection)
      changes.push({ action: 'alias', name: alias, what: 'alias', found, wanted: collection })
  }
  return changes
}
