/** From bytes to a typed call: finds the endpoint, reads path, query and body by its schemas, refuses the rest. */

import type { z } from 'zod'
import type { Call, Endpoint } from './endpoint.ts'
import { endpoints } from './endpoints.ts'
import { Refusal } from './refusal.ts'

interface Route {
  endpoint: Endpoint
  /** Segments of the path that the template names. */
  path: Record<string, string>
}

const byShape = endpoints.map((endpoint) => ({ endpoint, segments: endpoint.template.split('/') }))

/** @param pathname as it came; a slash at its end means nothing */
export function routeOf(method: string, pathname: string): Route | null {
  const segments = pathname.length > 1 ? pathname.replace(/\/+$/, '').split('/') : ['', '']
  const fits = byShape.filter(
    (shape) =>
      shape.endpoint.method === method &&
      shape.segments.length === segments.length &&
      shape.segments.every((part, i) => part.startsWith('{') || part === segments[i]),
  )
  // `/collections/aliases` is no collection of that name.
  fits.sort((a, b) => placeholders(a.segments) - placeholders(b.segments))
  const fit = fits[0]
  if (fit === undefined) return null
  const named = fit.segments.flatMap((part, i) =>
    part.startsWith('{') ? [[part.slice(1, -1), decodeURIComponent(segments[i]!)] as const] : [],
  )
  return { endpoint: fit.endpoint, path: Object.fromEntries(named) }
}

function placeholders(segments: readonly string[]): number {
  return segments.filter((part) => part.startsWith('{')).length
}

/** In a query string everything is text: numbers and flags are turned into what they mean. */
export function queryOf(parameters: URLSearchParams): Record<string, unknown> {
  const meaning = (text: string): unknown => {
    if (text === 'true' || text === 'false') return text === 'true'
    return /^\d+$/.test(text) ? Number(text) : text
  }
  return Object.fromEntries(Array.from(parameters, ([name, text]) => [name, meaning(text)]))
}

/** @throws {Refusal} 400 for bytes that are no JSON, or that hold half a character: `JSON.parse` lets that pass, serde does not */
export function jsonOf(bytes: Buffer): unknown {
  const text = bytes.toString('utf8')
  try {
    return /\\ud[89a-f]/i.test(text) ? JSON.parse(text, wellFormed) : JSON.parse(text)
  } catch (error) {
    throw new Refusal('malformed', `Format error in JSON body: ${(error as Error).message}`)
  }
}

function wellFormed(_: string, value: unknown): unknown {
  if (typeof value === 'string' && !value.isWellFormed()) throw new Error('unexpected end of hex escape')
  return value
}

/**
 * @param lenient fields at the top of a body that the endpoint doesn't know are passed over, as a real server does
 * @throws {Refusal} 400 for another shape, naming an unknown field; 422 for a number out of range
 */
export function parsedCall(
  { endpoint, path }: Route,
  query: Record<string, unknown>,
  body: unknown,
  lenient: boolean,
): Omit<Call<unknown, unknown, unknown>, 'server'> {
  return {
    path: parse(endpoint.path, path, 'path parameters', false),
    query: parse(endpoint.query, query, 'query parameters', lenient),
    body: endpoint.body === null ? undefined : parse(endpoint.body, body, 'JSON body', lenient),
  }
}

function parse(schema: z.ZodType, value: unknown, where: string, lenient: boolean): unknown {
  const result = schema.safeParse(value)
  if (result.success) return result.data
  const issues = mostLikely(result.error.issues)
  const unknown = issues.filter((issue) => issue.code === 'unrecognized_keys' && issue.path.length === 0)
  if (lenient && unknown.length > 0 && typeof value === 'object' && value !== null) {
    const names = new Set(unknown.flatMap((issue) => ('keys' in issue ? issue.keys : [])))
    const known = Object.fromEntries(Object.entries(value).filter(([name]) => !names.has(name)))
    return parse(schema, known, where, false)
  }
  throw refusalFor(issues, where)
}

type Issue = z.core.$ZodIssue

/** Of a union's branches, the one that the value comes nearest to: that is what was meant. */
function mostLikely(issues: readonly Issue[]): Issue[] {
  return issues.flatMap((issue) => {
    if (issue.code !== 'invalid_union') return [issue]
    const branches = issue.errors.map((branch) =>
      mostLikely(branch).map((inner) => ({ ...inner, path: [...issue.path, ...inner.path] })),
    )
    branches.sort((a, b) => distance(a) - distance(b))
    return branches[0] ?? [issue]
  })
}

/** Unknown fields are a smaller misunderstanding than missing or different ones. */
function distance(issues: readonly Issue[]): number {
  return issues.reduce(
    (sum, issue) => sum + (issue.code === 'unrecognized_keys' ? issue.keys.length : 10 - issue.path.length),
    0,
  )
}

function refusalFor(issues: readonly Issue[], where: string): Refusal {
  const field = (issue: Issue): string => issue.path.join('.') || 'body'
  const stray = issues.find((issue) => issue.code === 'unrecognized_keys')
  if (stray !== undefined)
    return new Refusal(
      'malformed',
      `Format error in ${where}: unknown field \`${stray.keys.join('`, `')}\` in ${field(stray)}`,
    )
  const first = issues[0]!
  const ofRange = issues.every((issue) => issue.code === 'too_small' || issue.code === 'too_big')
  if (ofRange) return new Refusal('invalid', `${where}: [${field(first)}: ${first.message}]`)
  // A number that is none is told without saying which point it was in.
  if (issues.some((issue) => issue.path.includes('vector') || issue.path.includes('vectors')))
    return new Refusal(
      'malformed',
      `Format error in ${where}: data did not match any variant of untagged enum VectorStruct`,
    )
  return new Refusal('malformed', `Format error in ${where}: ${field(first)}: ${first.message}`)
}
