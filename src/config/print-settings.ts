/** The settings in force, each with its origin, secrets masked; and the same schema for editors. */

import { readFileSync } from 'node:fs'
import { isMap, isScalar, parseDocument, stringify } from 'yaml'
import { z } from 'zod'
import type { LoadedSettings } from './load-settings.ts'
import { LEAVES, SECRET_PATHS, settingsSchema } from './settings.ts'

const MASK = '********'

/** @returns YAML that could be read again (but for masked secrets), with the origin of each setting as a comment */
export function printSettings({ settings, origins }: LoadedSettings): string {
  const lines: string[] = []
  let open: string[] = []
  for (const { path } of LEAVES) {
    const names = path.split('.')
    const sections = names.slice(0, -1)
    const common = sections.findIndex((name, at) => open[at] !== name)
    for (let at = common < 0 ? sections.length : common; at < sections.length; at++)
      lines.push(`${'  '.repeat(at)}${sections[at]}:`)
    open = sections
    lines.push(...leafLines(names, shownValue(settings, path), origins.get(path) ?? 'default'))
  }
  return `${lines.join('\n')}\n`
}

function shownValue(settings: unknown, path: string): unknown {
  let value = settings
  for (const name of path.split('.')) value = (value as Record<string, unknown>)[name]
  return SECRET_PATHS.has(path) && value !== null ? MASK : value
}

function leafLines(names: readonly string[], value: unknown, origin: string): string[] {
  const indent = '  '.repeat(names.length - 1)
  const name = names.at(-1)!
  if (typeof value !== 'object' || value === null)
    return [`${indent}${name}: ${stringify(value, { lineWidth: 0 }).trimEnd()} # ${origin}`]
  const body = stringify(value, { lineWidth: 0 }).trimEnd().split('\n')
  if (body.length === 1 && /^[[{]/.test(body[0]!)) return [`${indent}${name}: ${body[0]} # ${origin}`]
  return [`${indent}${name}: # ${origin}`, ...body.map((line) => `${indent}  ${line}`)]
}

/** Beside `src/` and `dist/` alike: every setting with its unit and its reason. */
export const DEFAULT_SETTINGS_FILE = new URL('../../configs/default.yaml', import.meta.url)

/** JSON Schema of a settings file, for editors; the descriptions are the comments of configs/default.yaml. */
export function settingsJsonSchema(): Record<string, unknown> {
  const schema = z.toJSONSchema(settingsSchema, { io: 'input' }) as JsonSchema
  describeFrom(schema, parseDocument(readFileSync(DEFAULT_SETTINGS_FILE, 'utf8')).contents)
  return { ...schema, title: 'freshet settings' }
}

interface JsonSchema extends Record<string, unknown> {
  properties?: Record<string, JsonSchema>
  description?: string
}

function describeFrom(schema: JsonSchema, node: unknown): void {
  if (!isMap(node) || schema.properties === undefined) return
  for (const pair of node.items) {
    if (!isScalar(pair.key)) continue
    const property = schema.properties[String(pair.key.value)]
    if (property === undefined) continue
    // The comment above a section's first key belongs to the section's node.
    const comment = pair.key.commentBefore ?? (pair === node.items[0] ? node.commentBefore : undefined)
    if (comment) property.description = comment.replace(/^ /gm, '').replace(/\n+/g, ' ')
    describeFrom(property, pair.value)
  }
}
