/** What the schema says about wrong settings, in words that help: the zod issue becomes a finding. */

import type { z } from 'zod'
import { nearestName } from '../errors.ts'
import type { SettingsFinding } from './finding.ts'
import { LEAVES, SECRET_PATHS } from './settings.ts'

type Issue = z.core.$ZodIssue
/** `file:line` or the variable's name of a value. */
type PlaceOf = (path: readonly PropertyKey[]) => string

/** One issue of the schema in our words: what was expected, what came, what to do. */
export function issueFindings(issue: Issue, tree: unknown, placeOf: PlaceOf): SettingsFinding[] {
  return findingsOf(issue, [], tree, placeOf)
}

function findingsOf(
  issue: Issue,
  above: readonly PropertyKey[],
  tree: unknown,
  placeOf: PlaceOf,
): SettingsFinding[] {
  const path = [...above, ...issue.path]
  if (issue.code === 'unrecognized_keys')
    return issue.keys.map((key) => {
      const siblings = siblingNames(path)
      const near = nearestName(key, siblings)
      const remedy = near
        ? `did you mean ${near}?`
        : siblings.length > 0
          ? `use one of ${siblings.join(', ')}`
          : 'remove it'
      return {
        path: [...path, key].join('.'),
        where: placeOf([...path, key]),
        message: `no such setting: ${remedy}`,
      }
    })
  if (issue.code === 'invalid_union') {
    const deeper = deepest(issue.errors)
    if (deeper !== undefined) return deeper.flatMap((inner) => findingsOf(inner, path, tree, placeOf))
  }
  const given = valueAt(tree, path)
  return [
    {
      path: path.join('.'),
      where: placeOf(path),
      message: `must be ${expected(issue)}, got ${shown(path, given)}: correct it`,
    },
  ]
}

/** Of the alternatives' complaints, those that lie inside the value: that alternative was meant. */
function deepest(errors: readonly (readonly Issue[])[]): readonly Issue[] | undefined {
  return errors.find((issues) =>
    issues.some((issue) => issue.path.length > 0 || issue.code === 'unrecognized_keys'),
  )
}

function expected(issue: Issue): string {
  switch (issue.code) {
    case 'invalid_type':
      return `of type ${issue.expected}`
    case 'too_small':
      return issue.origin === 'string'
        ? `at least ${issue.minimum} characters long`
        : `at least ${issue.minimum}`
    case 'too_big':
      return issue.origin === 'string'
        ? `at most ${issue.maximum} characters long`
        : `at most ${issue.maximum}`
    case 'invalid_value':
      return `one of ${issue.values.map(String).join(', ')}`
    case 'invalid_union':
      return issue.errors.map((alternative) => alternative.map(expected).join(' and ')).join(', or ')
    case 'invalid_key':
      return 'under a schema id: a number, or a GUID'
    default:
      return `valid (${issue.message})`
  }
}

function valueAt(tree: unknown, path: readonly PropertyKey[]): unknown {
  let value = tree
  for (const name of path) value = (value as Record<PropertyKey, unknown> | null | undefined)?.[name]
  return value
}

/** Names that could stand at this place of the tree. */
function siblingNames(path: readonly PropertyKey[]): string[] {
  const sections = LEAVES.filter((leaf) => path.length === 0 || leaf.path.startsWith(`${path.join('.')}.`))
  if (sections.length > 0) return [...new Set(sections.map((leaf) => leaf.path.split('.')[path.length]!))]
  if (path[0] !== 'events' || path[1] !== 'topics') return []
  return path.length === 3
    ? ['topic', 'holds', 'format', 'schema', 'fields']
    : ['path', 'constant', 'hash', 'unit', 'scale', 'values', 'default']
}

function shown(path: readonly PropertyKey[], value: unknown): string {
  if (value === undefined) return 'nothing'
  return SECRET_PATHS.has(path.join('.')) ? 'a secret' : JSON.stringify(value)
}
