/** The environment twin of every setting: `refresh.quietMs` is `FRESHET_REFRESH__QUIET_MS`. */

import { readFileSync } from 'node:fs'
import { parse } from 'yaml'
import { nearestName } from '../errors.ts'
import type { Environment, SettingsFinding } from './finding.ts'
import { LEAVES, type Leaf, SECRET_PATHS } from './settings.ts'

const PREFIX = 'FRESHET_'

/** @param path dotted, as in the file */
export function environmentName(path: string): string {
  const parts = path.split('.').map((part) => part.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase())
  return PREFIX + parts.join('__')
}

export interface EnvironmentValue {
  path: string
  /** Name of the variable. */
  name: string
  value: unknown
}

/** Settings that the environment gives, and what is wrong with its names and secret files. */
export function readEnvironment(env: Environment): {
  values: EnvironmentValue[]
  findings: SettingsFinding[]
} {
  const values: EnvironmentValue[] = []
  const findings: SettingsFinding[] = []
  const known = new Set<string>()
  for (const leaf of LEAVES) {
    const name = environmentName(leaf.path)
    known.add(name)
    const text = env[name]
    if (text !== undefined) values.push({ path: leaf.path, name, value: settingValue(leaf, text) })
    if (!SECRET_PATHS.has(leaf.path)) continue
    const fileName = `${name}_FILE`
    known.add(fileName)
    const file = env[fileName]
    if (file === undefined) continue
    if (text !== undefined)
      findings.push({
        path: leaf.path,
        where: fileName,
        message: `${name} is set as well: keep one of the two`,
      })
    else readSecret(leaf, fileName, file, values, findings)
  }
  findings.push(...unknownNames(env, known))
  return { values, findings }
}

/**
 * Only names with `__` can be misspelt settings of ours: Kubernetes sets FRESHET_PORT, FRESHET_SERVICE_HOST and more by
 * itself where a Service is called freshet.
 */
function unknownNames(env: Environment, known: ReadonlySet<string>): SettingsFinding[] {
  return Object.keys(env)
    .filter((name) => name.startsWith(PREFIX) && name.includes('__') && !known.has(name))
    .sort()
    .map((name) => {
      const near = nearestName(name, [...known])
      return {
        path: '',
        where: name,
        message: `no such setting: ${near ? `did you mean ${near}?` : 'remove it; `freshet config print` lists all'}`,
      }
    })
}

function readSecret(
  leaf: Leaf,
  name: string,
  file: string,
  values: EnvironmentValue[],
  findings: SettingsFinding[],
): void {
  try {
    // Editors and `echo` end a file with a line break that is no part of the secret.
    values.push({ path: leaf.path, name, value: readFileSync(file, 'utf8').replace(/\r?\n$/, '') })
  } catch (error) {
    findings.push({
      path: leaf.path,
      where: name,
      message: `the secret's file must be readable, got: ${(error as Error).message}: correct the path or its rights`,
    })
  }
}

/** A variable is always a text; which value it stands for depends on what its setting takes. */
function settingValue(leaf: Leaf, text: string): unknown {
  if (text === 'null' && leaf.schema.safeParse(null).success) return null
  if (leaf.schema.safeParse(text).success) return text
  try {
    return parse(text)
  } catch {
    return text
  }
}
