/** A YAML file as a tree of values that remembers its lines, with `${NAME:-default}` replaced from the environment. */

import { isAlias, isMap, isScalar, LineCounter, type Node, parseDocument, visit } from 'yaml'
import { nearestName } from '../errors.ts'
import type { Environment, SettingsFinding } from './finding.ts'

export interface SettingsDocument {
  value: unknown
  /** @returns `file:line` of the value at this path, or of what stands nearest above it */
  where(path: readonly PropertyKey[]): string
  findings: SettingsFinding[]
}

/** `$${` stands for a literal `${`. */
const REFERENCE = /\$\$\{|\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}/g

/**
 * Parses the text of a settings file; what is wrong is in `findings`, so that lint sees all of it.
 *
 * @param file name for messages
 */
export function parseSettingsDocument(text: string, file: string, env: Environment): SettingsDocument {
  const lines = new LineCounter()
  const document = parseDocument(text, {
    lineCounter: lines,
    strict: true,
    uniqueKeys: true,
    prettyErrors: false,
  })
  const findings: SettingsFinding[] = []
  const whereOf = (offset: number) => `${file}:${lines.linePos(offset).line}`
  for (const problem of [...document.errors, ...document.warnings])
    findings.push({ path: '', where: whereOf(problem.pos[0]), message: `YAML: ${problem.message}` })
  if (findings.length > 0) return { value: {}, where: () => file, findings }

  visit(document, {
    Scalar: (key, node) => {
      if (key === 'key' || typeof node.value !== 'string' || !node.value.includes('${')) return undefined
      const { text: replaced, undefinedNames } = interpolate(node.value, env)
      for (const name of undefinedNames)
        findings.push({
          path: '',
          where: whereOf(node.range?.[0] ?? 0),
          message: undefinedMessage(name, env),
        })
      // An unquoted `${PORT:-7710}` is a number like an unquoted 7710; in quotes it stays a text.
      node.value = node.type === 'PLAIN' ? parseScalar(replaced) : replaced
      return undefined
    },
  })
  const value: unknown = document.contents === null ? {} : document.toJS({ maxAliasCount: 100 })
  const where = (path: readonly PropertyKey[]) => {
    const node = nodeAt(document.contents, path)
    return node?.range ? whereOf(node.range[0]) : file
  }
  return { value, where, findings }
}

function undefinedMessage(name: string, env: Environment): string {
  const near = nearestName(name, Object.keys(env))
  return `\${${name}} must be set in the environment, got nothing: set it${near ? ` (did you mean ${near}?)` : ''}, or write \${${name}:-default}`
}

function interpolate(text: string, env: Environment): { text: string; undefinedNames: string[] } {
  const undefinedNames: string[] = []
  const replaced = text.replace(
    REFERENCE,
    (found, name: string | undefined, fallback: string | undefined) => {
      if (name === undefined) return found.slice(1)
      const value = env[name]
      // As in a shell, `:-` also stands in for an empty value.
      if (fallback !== undefined) return value === undefined || value === '' ? fallback : value
      if (value === undefined) undefinedNames.push(name)
      return value ?? ''
    },
  )
  return { text: replaced, undefinedNames }
}

/** The value of a text as YAML would read it unquoted; a text that is no single value stays a text. */
function parseScalar(text: string): unknown {
  const document = parseDocument(text, { prettyErrors: false })
  if (document.errors.length > 0 || !isScalar(document.contents)) return text
  return document.contents.value
}

/** The key's node where there is one: a setting's line is that of its name. */
function nodeAt(root: Node | null, path: readonly PropertyKey[]): Node | null {
  let node: Node | null = root
  let found: Node | null = root
  for (const name of path) {
    if (node === null || isAlias(node)) break
    if (isMap(node)) {
      const pair: { key: unknown; value: unknown } | undefined = node.items.find(
        (item) => isScalar(item.key) && String(item.key.value) === String(name),
      )
      if (pair === undefined) break
      found = pair.key as Node
      node = pair.value as Node | null
    } else {
      const next: unknown = (node as { get?: (key: unknown, keep: boolean) => unknown }).get?.(name, true)
      if (next === undefined) break
      node = next as Node
      found = node
    }
  }
  return found
}
