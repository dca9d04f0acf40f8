/** The code under test, loaded as it is or with one rule taken out: a mutant is a text edit, applied while loading. */

import { readFileSync } from 'node:fs'
import { registerHooks } from 'node:module'
import type { openQdrant } from '../../../src/drivers/qdrant/open-qdrant.ts'
import type { reconcileAliases } from '../../../src/pipeline/aliases.ts'
import type { ChangelogStateStore } from '../../../src/pipeline/changelog-state-store.ts'
import type { Updater } from '../../../src/pipeline/updater.ts'

/** One rule taken out of one file. */
export interface Mutant {
  /** Of consistency.md, and a word on which part of it. */
  rule: string
  /** Below src/. */
  file: string
  find: string
  replace: string
}

export interface PipelineModules {
  Updater: typeof Updater
  ChangelogStateStore: typeof ChangelogStateStore
  reconcileAliases: typeof reconcileAliases
}

const SOURCE = new URL('../../../src/', import.meta.url)
/** Folders whose modules are loaded anew for a mutant; errors and ids stay shared, so that `instanceof` holds. */
const FRESH = ['pipeline/', 'window/', 'vectors/', 'instructions/', 'drivers/qdrant/'].map(
  (folder) => new URL(folder, SOURCE).href,
)

const mutants = new Map<string, Mutant>()
let hooked = false

/** The Qdrant driver, as it is or as a mutant. */
export async function loadQdrant(mutant?: Mutant): Promise<typeof openQdrant> {
  const query = mutant === undefined ? '' : register(mutant)
  const url = new URL('drivers/qdrant/open-qdrant.ts', SOURCE).href + query
  return ((await import(url)) as { openQdrant: typeof openQdrant }).openQdrant
}

export async function loadPipeline(mutant?: Mutant): Promise<PipelineModules> {
  const query = mutant === undefined ? '' : register(mutant)
  const load = (path: string) => import(new URL(path, SOURCE).href + query)
  const [{ Updater }, { ChangelogStateStore }, { reconcileAliases }] = await Promise.all([
    load('pipeline/updater.ts'),
    load('pipeline/changelog-state-store.ts'),
    load('pipeline/aliases.ts'),
  ])
  return { Updater, ChangelogStateStore, reconcileAliases }
}

/** @returns what is added to the URLs of its modules */
function register(mutant: Mutant): string {
  const query = `?mutant=${encodeURIComponent(mutant.rule)}`
  const text = readFileSync(new URL(mutant.file, SOURCE), 'utf8')
  if (text.split(mutant.find).length !== 2)
    throw new Error(`mutant ${mutant.rule}: expected its text once in src/${mutant.file}; mend the mutant`)
  mutants.set(query, mutant)
  hook()
  return query
}

function hook(): void {
  if (hooked) return
  hooked = true
  registerHooks({
    resolve(specifier, context, next) {
      const resolved = next(specifier, context)
      const at = context.parentURL?.indexOf('?mutant=') ?? -1
      if (at < 0 || !FRESH.some((folder) => resolved.url.startsWith(folder))) return resolved
      return { ...resolved, url: resolved.url.split('?')[0]! + context.parentURL!.slice(at) }
    },
    load(url, context, next) {
      const at = url.indexOf('?mutant=')
      if (at < 0) return next(url, context)
      const mutant = mutants.get(url.slice(at))
      const plain = url.slice(0, at)
      if (mutant === undefined || plain !== new URL(mutant.file, SOURCE).href) return next(url, context)
      const source = readFileSync(new URL(plain), 'utf8').replace(mutant.find, () => mutant.replace)
      return { format: 'module-typescript', source, shortCircuit: true }
    },
  })
}
