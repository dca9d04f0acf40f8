/** The model that standalone freshet uses when none is named: small, of random weights, made in the data directory once. */

import { existsSync, mkdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { ModelId } from '../model/embedding-model.ts'
import { initBundle } from '../model/init-bundle.ts'
import type { Clock } from '../pipeline/clock.ts'

/** Part of every vector: another seed would be another model. */
const SEED = 1
export const BUILT_IN_MODEL = 'tiny' as ModelId

/** @returns the bundle's directory; it is opened with every hash checked, like any other */
export async function builtInBundle(dataDirectory: string, clock: Clock): Promise<string> {
  const directory = join(dataDirectory, 'models', BUILT_IN_MODEL)
  if (!existsSync(join(directory, 'manifest.json'))) {
    mkdirSync(dirname(directory), { recursive: true })
    await initBundle({ preset: 'tiny', directory, seed: SEED, id: BUILT_IN_MODEL, createdMs: clock.nowMs() })
  }
  return directory
}
