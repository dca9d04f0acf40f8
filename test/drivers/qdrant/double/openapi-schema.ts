/** Walks OpenAPI schemas: whether one takes all that another lets through, and whether a value keeps to one. */

export interface Schema {
  $ref?: string
  type?: string | string[]
  format?: string
  enum?: unknown[]
  const?: unknown
  nullable?: boolean
  minimum?: number
  maximum?: number
  items?: Schema
  required?: string[]
  properties?: Record<string, Schema>
  additionalProperties?: boolean | Schema
  anyOf?: Schema[]
  oneOf?: Schema[]
  allOf?: Schema[]
}

/** A schema, and the document that its references lead into. */
export interface Rooted {
  schema: Schema
  root: object
}

function resolved({ schema, root }: Rooted): Rooted {
  if (schema.$ref === undefined) return { schema, root }
  let target: unknown = root
  for (const part of schema.$ref.replace(/^#\/?/, '').split('/').filter(Boolean))
    target = (target as Record<string, unknown>)[part.replaceAll('~1', '/').replaceAll('~0', '~')]
  if (target === undefined) throw new Error(`expected ${schema.$ref} in the document`)
  return resolved({ schema: target as Schema, root })
}

const within = ({ root }: Rooted, schema: Schema): Rooted => ({ schema, root })

function branches(rooted: Rooted): Rooted[] | null {
  const { anyOf, oneOf, allOf, type } = rooted.schema
  if (Array.isArray(type)) return type.map((one) => within(rooted, { ...rooted.schema, type: one }))
  const found = anyOf ?? oneOf ?? (allOf?.length === 1 ? allOf : undefined)
  return found?.map((branch) => within(rooted, branch)) ?? null
}

/** `{nullable: true}` alone, or beside a type, is how this version of OpenAPI says null. */
function takesNull(rooted: Rooted): boolean {
  const { schema, root } = resolved(rooted)
  if (schema.nullable === true || schema.type === 'null') return true
  return branches({ schema, root })?.some(takesNull) ?? Object.keys(schema).length === 0
}

function mayBe(rooted: Rooted, type: Schema['type']): boolean {
  const target = resolved(rooted)
  if (type === 'integer' && target.schema.type === 'number') return true
  return target.schema.type === type || (branches(target)?.some((branch) => mayBe(branch, type)) ?? false)
}

/** @returns the shortest list: whoever had least to complain was meant */
function fewest(lists: readonly string[][]): string[] {
  return lists.reduce((best, list) => (list.length < best.length ? list : best))
}

interface Pair {
  ours: Schema
  theirs: Schema
}

/** Bounds that only say "a whole number that float64 can hold". */
const SAFE = Number.MAX_SAFE_INTEGER

/**
 * What `ours` lets through and `theirs` wouldn't take, and what they need and we don't ask for.
 *
 * @param at where, for the complaint
 */
export function uncovered(
  oursGiven: Rooted,
  theirsGiven: Rooted,
  at: string,
  asked: readonly Pair[] = [],
): string[] {
  const ours = resolved(oursGiven)
  const theirs = resolved(theirsGiven)
  // Schemas that hold themselves: a pair that is being asked about already has nothing new to say.
  if (asked.some((pair) => pair.ours === ours.schema && pair.theirs === theirs.schema)) return []
  const next = [...asked, { ours: ours.schema, theirs: theirs.schema }]
  const parts = branches(ours)
  if (parts !== null) return parts.flatMap((part) => uncovered(part, theirs, at, next))
  if (ours.schema.type === 'null') return takesNull(theirs) ? [] : [`${at}: null is not taken`]
  if (Object.keys(theirs.schema).length === 0) return []
  const options = branches(theirs)
  if (options !== null) {
    // Of the same type is what was meant, however little another has to say.
    const alike = options.filter((option) => mayBe(option, ours.schema.type))
    const meant = alike.length === 0 ? options : alike
    return fewest(meant.map((option) => uncovered(ours, option, at, next)))
  }
  if (Object.keys(ours.schema).length === 0) return [`${at}: anything goes here, not there`]
  return uncoveredType(ours, theirs, at, next)
}

function uncoveredType(ours: Rooted, theirs: Rooted, at: string, asked: readonly Pair[]): string[] {
  const { type } = ours.schema
  const same = type === theirs.schema.type || (type === 'integer' && theirs.schema.type === 'number')
  if (!same) return [`${at}: ${type} here, ${theirs.schema.type} there`]
  if (type === 'array') return uncovered(itemsOf(ours), itemsOf(theirs), `${at}[]`, asked)
  if (type === 'object') return uncoveredObject(ours, theirs, at, asked)
  return uncoveredValue(ours.schema, theirs.schema, at)
}

const itemsOf = (rooted: Rooted): Rooted => within(rooted, rooted.schema.items ?? {})

function uncoveredValue(ours: Schema, theirs: Schema, at: string): string[] {
  const complaints: string[] = []
  const values = ours.enum ?? (ours.const === undefined ? undefined : [ours.const])
  if (theirs.enum !== undefined) {
    const stray = values?.filter((value) => !theirs.enum!.includes(value)) ?? ['anything']
    complaints.push(...stray.map((value) => `${at}: ${value} is none of ${theirs.enum!.join(', ')}`))
  }
  if (theirs.format === 'uuid' || theirs.format === 'date-time')
    if (ours.format !== theirs.format) complaints.push(`${at}: any text here, ${theirs.format} there`)
  const least = ours.minimum ?? -SAFE
  if (theirs.minimum !== undefined && least < theirs.minimum)
    complaints.push(`${at}: from ${least} here, from ${theirs.minimum} there`)
  const most = ours.maximum ?? SAFE
  if (theirs.maximum !== undefined && most > theirs.maximum)
    complaints.push(`${at}: up to ${most} here, up to ${theirs.maximum} there`)
  return complaints
}

function uncoveredObject(ours: Rooted, theirs: Rooted, at: string, asked: readonly Pair[]): string[] {
  const { properties = {}, required = [], additionalProperties: rest } = ours.schema
  const complaints = Object.entries(properties).flatMap(([name, schema]) => {
    const known = fieldOf(theirs, name)
    if (known === null) return [`${at}.${name}: no such field there`]
    return uncovered(within(ours, schema), known, `${at}.${name}`, asked)
  })
  for (const name of theirs.schema.required ?? [])
    if (!required.includes(name)) complaints.push(`${at}.${name}: optional here, required there`)
  if (typeof rest !== 'object') return complaints
  const theirRest = theirs.schema.additionalProperties
  if (typeof theirRest === 'object')
    return [...complaints, ...uncovered(within(ours, rest), within(theirs, theirRest), `${at}.*`, asked)]
  return theirRest === true ? complaints : [...complaints, `${at}: any field here, known ones there`]
}

/** What a field of an object must be; null: there is no such field. */
function fieldOf(theirs: Rooted, name: string): Rooted | null {
  const { properties, additionalProperties: rest } = theirs.schema
  const known = properties?.[name]
  if (known !== undefined) return within(theirs, known)
  if (typeof rest === 'object') return within(theirs, rest)
  // An object of which nothing is said may hold anything.
  return rest === true || (properties === undefined && rest === undefined) ? within(theirs, {}) : null
}

/** What of a value breaks the schema; a field that the schema doesn't name counts, too. */
export function broken(value: unknown, schemaGiven: Rooted, at: string): string[] {
  const rooted = resolved(schemaGiven)
  const { schema } = rooted
  if (Object.keys(schema).length === 0) return []
  if (value === null) return takesNull(rooted) ? [] : [`${at}: null`]
  const options = branches(rooted)
  if (options !== null) return fewest(options.map((option) => broken(value, option, at)))
  if (schema.enum !== undefined && !schema.enum.includes(value))
    return [`${at}: ${value} is none of ${schema.enum.join(', ')}`]
  if (Array.isArray(value)) {
    if (schema.type !== 'array') return [`${at}: a list`]
    return value.flatMap((item, i) => broken(item, itemsOf(rooted), `${at}[${i}]`))
  }
  if (typeof value === 'object') return brokenObject(value as Record<string, unknown>, rooted, at)
  return brokenValue(value, schema, at)
}

function brokenValue(value: unknown, { type, minimum, maximum }: Schema, at: string): string[] {
  // `{nullable: true}` alone takes null and nothing else.
  if (type === undefined) return [`${at}: ${JSON.stringify(value)}, expected null`]
  const whole = typeof value === 'number' && Number.isInteger(value)
  const fits = type === 'integer' ? whole : typeof value === type
  if (!fits) return [`${at}: ${JSON.stringify(value)} is no ${type}`]
  if (typeof value !== 'number') return []
  if (value < (minimum ?? value) || value > (maximum ?? value)) return [`${at}: ${value} is out of range`]
  return []
}

function brokenObject(value: Record<string, unknown>, rooted: Rooted, at: string): string[] {
  if (rooted.schema.type !== 'object') return [`${at}: an object`]
  const missing = (rooted.schema.required ?? []).filter((name) => !(name in value))
  return [
    ...missing.map((name) => `${at}.${name}: missing`),
    ...Object.entries(value).flatMap(([name, inner]) => {
      const known = fieldOf(rooted, name)
      return known === null ? [`${at}.${name}: no such field`] : broken(inner, known, `${at}.${name}`)
    }),
  ]
}
