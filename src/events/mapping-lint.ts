/** Says what does not fit in a topic's mapping, before the first record: against our fields and the writer's schema. */

import { nearestName } from '../errors.ts'
import { type AvroType, avroType, messageOf } from './avro.ts'
import { ruleOf } from './mapping.ts'
import { type Target, targetOf, targetsOf } from './mapping-targets.ts'
import type { FieldRule, TopicSettings } from './topic.ts'

export interface MappingFinding {
  /** Of ours, as the configuration names it; empty when it concerns the topic as a whole. */
  field: string
  /** An error stops the start; a warning names records that will go to the dead letters, or lose a value. */
  severity: 'error' | 'warning'
  message: string
}

/**
 * @param writerSchema parsed JSON of the producer's Avro schema, where it is known
 * @returns what does not fit, in the order of the rules; empty for a topic that has our fields
 */
export function lintMapping(topic: TopicSettings, writerSchema?: unknown): MappingFinding[] {
  if (topic.fields === null) return []
  const findings: MappingFinding[] = []
  const writer = parseWriter(writerSchema, findings)
  for (const [field, given] of Object.entries(topic.fields)) {
    const target = targetOf(topic.holds, field)
    if (target === undefined) {
      const names = [...targetsOf(topic.holds).keys()]
      const near = nearestName(field, names)
      findings.push(
        error(
          field,
          `no such field of ${topic.holds}: ${near ? `did you mean ${near}?` : `use one of ${names.join(', ')}`}`,
        ),
      )
      continue
    }
    const rule = ruleOf(given)
    findings.push(...lintRule(field, rule, target))
    if (writer) findings.push(...lintAgainst(writer, field, rule, target))
  }
  for (const [field, target] of targetsOf(topic.holds))
    if (target.required && !Object.hasOwn(topic.fields, field))
      findings.push(
        error(field, `required, and nothing is mapped to it: give its path, a constant or a hash`),
      )
  return findings
}

const error = (field: string, message: string): MappingFinding => ({ field, severity: 'error', message })
const warning = (field: string, message: string): MappingFinding => ({ field, severity: 'warning', message })

function parseWriter(schema: unknown, findings: MappingFinding[]): AvroType | undefined {
  if (schema === undefined) return undefined
  try {
    return avroType(schema)
  } catch (cause) {
    findings.push(error('', `the writer's schema is no Avro schema: ${messageOf(cause)}`))
    return undefined
  }
}

/** What is wrong with a rule whatever the records look like. */
function lintRule(field: string, rule: FieldRule, target: Target): MappingFinding[] {
  const findings: MappingFinding[] = []
  const origins = [rule.path, rule.constant, rule.hash].filter((origin) => origin !== undefined).length
  if (origins !== 1)
    findings.push(error(field, `give exactly one of path, constant and hash, got ${origins}`))
  if (rule.hash !== undefined && target.kind !== 'text')
    findings.push(error(field, 'a hash is a text, and this field holds none: give its path'))
  if (rule.unit !== undefined && target.kind !== 'time')
    findings.push(error(field, `unit (${rule.unit}) is for times: remove it`))
  if (rule.scale !== undefined && target.kind !== 'integer' && target.kind !== 'number')
    findings.push(error(field, `scale (${rule.scale}) is for numbers: remove it`))
  if (target.kind === 'symbol')
    for (const value of [rule.constant, rule.default, ...Object.values(rule.values ?? {})])
      if (value !== undefined && !target.symbols.includes(String(value)))
        findings.push(error(field, `${JSON.stringify(value)} is none of ${target.symbols.join(', ')}`))
  return findings
}

function lintAgainst(writer: AvroType, field: string, rule: FieldRule, target: Target): MappingFinding[] {
  if (rule.constant !== undefined) return []
  if (rule.hash !== undefined)
    return rule.hash
      .filter((path) => follow(writer, path) === undefined)
      .map((path) => error(field, `${path} is not in the writer's schema`))
  const found = follow(writer, rule.path ?? '')
  if (found === undefined) return [error(field, `${rule.path} is not in the writer's schema`)]
  const findings: MappingFinding[] = []
  for (const type of found.types)
    if (!converts(type, rule, target))
      findings.push(
        error(
          field,
          `${rule.path} is ${article(type.typeName)}, which can't become ${KIND_WORDS[target.kind]}`,
        ),
      )
  if (found.nullable && target.required && rule.default === undefined)
    findings.push(
      warning(field, `required, but ${rule.path} may be null: such records go to the dead letters`),
    )
  if (target.kind === 'symbol')
    for (const type of found.types) findings.push(...lintSymbols(type, field, rule, target))
  return findings
}

/** Symbols of the producer that nobody translates would read as UNKNOWN, which is a loss that nobody sees. */
function lintSymbols(type: AvroType, field: string, rule: FieldRule, target: Target): MappingFinding[] {
  const symbols: readonly string[] = (type as { symbols?: string[] }).symbols ?? []
  const lost = symbols.filter((symbol) =>
    rule.values === undefined
      ? !target.symbols.includes(symbol)
      : !Object.hasOwn(rule.values, symbol) && rule.default === undefined,
  )
  return lost.length === 0
    ? []
    : [warning(field, `${lost.join(', ')} will read as UNKNOWN: add them to values`)]
}

const KIND_WORDS: Readonly<Record<Target['kind'], string>> = {
  text: 'a text',
  time: 'a time',
  integer: 'a whole number',
  symbol: 'an enum symbol',
  boolean: 'true or false',
  number: 'a number',
  numbers: 'a map of numbers',
  texts: 'a map of texts',
  names: 'a list of names',
}

const article = (name: string) => (/^[aeiou]/.test(name) ? `an ${name}` : `a ${name}`)

const SCALARS = new Set(['string', 'int', 'long', 'float', 'double', 'boolean', 'enum'])

function converts(type: AvroType, rule: FieldRule, target: Target): boolean {
  const name = type.typeName
  if (rule.values !== undefined) return SCALARS.has(name)
  switch (target.kind) {
    case 'text':
      return ['string', 'enum', 'int', 'long', 'boolean'].includes(name)
    case 'time':
      return ['long', 'int', 'string'].includes(name) || (name === 'double' && rule.unit === 's')
    case 'integer':
      return (
        ['int', 'long', 'string'].includes(name) ||
        (['float', 'double'].includes(name) && rule.scale !== undefined)
      )
    case 'symbol':
      return name === 'enum' || name === 'string'
    case 'boolean':
      return name === 'boolean'
    case 'number':
      return ['int', 'long', 'float', 'double', 'string'].includes(name)
    case 'numbers':
    case 'texts':
      return name === 'map' || name.includes('record')
    case 'names':
      return name === 'array'
  }
}

/** The types at the end of a dotted path, unions taken apart; undefined when the path leaves the schema. */
function follow(writer: AvroType, path: string): { types: AvroType[]; nullable: boolean } | undefined {
  let types = branches(writer)
  let nullable = false
  for (const name of path.split('.')) {
    const next = types.flatMap((type) => child(type, name))
    if (next.length === 0) return undefined
    types = next.flatMap(branches)
    nullable ||= types.some((type) => type.typeName === 'null')
    types = types.filter((type) => type.typeName !== 'null')
  }
  return { types, nullable }
}

interface Composite {
  typeName: string
  types?: AvroType[]
  fields?: { name: string; type: AvroType }[]
  valuesType?: AvroType
  itemsType?: AvroType
}

function branches(type: AvroType): AvroType[] {
  const { typeName, types } = type as Composite
  return typeName.startsWith('union') && types !== undefined ? types : [type]
}

function child(type: AvroType, name: string): AvroType[] {
  const { fields, valuesType, itemsType } = type as Composite
  if (fields !== undefined) return fields.filter((field) => field.name === name).map((field) => field.type)
  if (valuesType !== undefined) return [valuesType]
  return itemsType !== undefined && /^\d+$/.test(name) ? [itemsType] : []
}
