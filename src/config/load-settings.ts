/** Settings from defaults, a file, the environment and flags, in rising order; parsed once, strictly, at start. */

import { readFileSync } from 'node:fs'
import { ConfigError } from '../errors.ts'
import { crossChecks } from './cross-checks.ts'
import { parseSettingsDocument, type SettingsDocument } from './document.ts'
import { readEnvironment } from './environment.ts'
import { type Environment, findingText, type SettingsFinding } from './finding.ts'
import { issueFindings } from './schema-issues.ts'
import { LEAVES, type Settings, settingsSchema } from './settings.ts'

/** Where the settings come from. */
export interface SettingsInput {
  /** Path of a YAML file; null: none. */
  file: string | null
  env: Environment
  /** From the command line: dotted path -> value. They win over everything. */
  flags?: Readonly<Record<string, unknown>>
}

export interface LoadedSettings {
  settings: Settings
  /** Dotted path of every setting -> `default`, `file:line`, the variable's name, or `flag`. */
  origins: ReadonlyMap<string, string>
  /** `file:line`, or the variable's name, of any value, for what others find wrong with it (the fields of a topic). */
  placeOf(path: readonly PropertyKey[]): string
}

/**
 * @throws {ConfigError} `config-unreadable`, `config-invalid`; the message lists everything that is wrong, with its place
 */
export function loadSettings(input: SettingsInput): LoadedSettings {
  const { loaded, findings } = gather(input)
  if (loaded !== undefined && findings.length === 0) return loaded
  throw new ConfigError('config-invalid', findings.map(findingText).join('\n'))
}

/**
 * Everything that is wrong: first the file, in the order of its lines, then variables and flags. An unreadable file is a
 * finding, too.
 */
export function lintSettings(input: SettingsInput): SettingsFinding[] {
  try {
    const { findings } = gather(input)
    return findings.sort((a, b) => lineOf(a.where) - lineOf(b.where))
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    return [{ path: '', where: input.file ?? '', message: error.message }]
  }
}

function lineOf(where: string): number {
  return Number(/:(\d+)$/.exec(where)?.[1] ?? Number.MAX_SAFE_INTEGER)
}

type Tree = Record<string, unknown>

function gather(input: SettingsInput): { loaded: LoadedSettings | undefined; findings: SettingsFinding[] } {
  const document = readDocument(input)
  const environment = readEnvironment(input.env)
  const findings = [...document.findings, ...environment.findings]
  if (!isTree(document.value)) {
    findings.push({
      path: '',
      where: document.where([]),
      message: 'the file must be a map of settings: see configs/default.yaml',
    })
    return { loaded: undefined, findings }
  }
  const tree = structuredClone(document.value)
  const origins = new Map<string, string>()
  for (const { path } of LEAVES)
    origins.set(path, hasPath(tree, path) ? document.where(path.split('.')) : 'default')
  const overrides = [
    ...environment.values,
    ...Object.entries(input.flags ?? {}).map(([path, value]) => ({ path, name: 'flag', value })),
  ]
  for (const { path, name, value } of overrides) {
    if (!setPath(tree, path, value)) continue
    origins.set(path, name)
  }
  const placeOf = (path: readonly PropertyKey[]) => {
    const leaf = LEAVES.find(
      (one) => path.join('.') === one.path || path.join('.').startsWith(`${one.path}.`),
    )
    const origin = leaf && origins.get(leaf.path)
    const overridden = overrides.some((one) => one.path === leaf?.path && one.name === origin)
    return overridden ? origin! : document.where(path)
  }
  const parsed = settingsSchema.safeParse(tree)
  if (!parsed.success) {
    for (const issue of parsed.error.issues) findings.push(...issueFindings(issue, tree, placeOf))
    return { loaded: undefined, findings }
  }
  for (const { path, message } of crossChecks(parsed.data))
    findings.push({ path, where: placeOf(path.split('.')), message })
  return { loaded: { settings: parsed.data, origins, placeOf }, findings }
}

function readDocument({ file, env }: SettingsInput): SettingsDocument {
  if (file === null) return { value: {}, where: () => 'default', findings: [] }
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (cause) {
    throw new ConfigError(
      'config-unreadable',
      `the configuration file must be readable, got: ${(cause as Error).message}: correct the path or its rights`,
      { cause },
    )
  }
  return parseSettingsDocument(text, file, env)
}

function isTree(value: unknown): value is Tree {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function hasPath(tree: Tree, path: string): boolean {
  let value: unknown = tree
  for (const name of path.split('.')) {
    if (!isTree(value) || !Object.hasOwn(value, name)) return false
    value = value[name]
  }
  return true
}

/** @returns false where something that is no section stands in the way: the schema will complain of it */
function setPath(tree: Tree, path: string, value: unknown): boolean {
  const names = path.split('.')
  let section = tree
  for (const name of names.slice(0, -1)) {
    section[name] ??= {}
    const next = section[name]
    if (!isTree(next)) return false
    section = next
  }
  section[names.at(-1)!] = value
  return true
}
