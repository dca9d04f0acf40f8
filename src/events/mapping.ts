/** Records of a company's own shape become records of ours, by rules from the configuration. */

import { createHash } from 'node:crypto'
import { RecordError } from '../errors.ts'
import { describe, INTEGER_MAX, INTEGER_MIN, type Plain } from './field-readers.ts'
import { type Target, targetOf } from './mapping-targets.ts'
import type { FieldRule, FieldRules, TopicSettings } from './topic.ts'

/** Turns a decoded record of the producer's shape into one with our fields. */
export type Mapper = (foreign: unknown) => Plain

interface Step {
  field: string
  target: Target
  read: (foreign: unknown) => unknown
}

/**
 * Compiles the rules of one topic. Lint them first (`lintMapping`): a rule for a field that we don't have is skipped.
 *
 * @throws {RecordError} (the mapper) `record-field-invalid`, when a value can't become what our field holds
 */
export function createMapper(topic: TopicSettings & { fields: FieldRules }): Mapper {
  const steps: Step[] = []
  for (const [field, given] of Object.entries(topic.fields)) {
    const target = targetOf(topic.holds, field)
    if (target === undefined) continue
    steps.push({ field, target, read: ruleReader(ruleOf(given), field, target) })
  }
  const hasHeader = topic.holds !== 'tombstone' && topic.holds !== 'userqa'
  return (foreign) => {
    const plain: Plain = hasHeader ? { header: { source: topic.topic } } : {}
    for (const { target, read } of steps) {
      const value = read(foreign)
      if (value !== undefined && value !== null) place(plain, target.at, value)
    }
    // A constant currency alone is no amount.
    const amount = plain.amount as Plain | undefined
    if (amount !== undefined && amount.amount_minor === undefined) delete plain.amount
    return plain
  }
}

export function ruleOf(given: string | FieldRule): FieldRule {
  return typeof given === 'string' ? { path: given } : given
}

function place(plain: Plain, at: readonly string[], value: unknown): void {
  let object = plain
  for (const name of at.slice(0, -1)) {
    object[name] ??= {}
    object = object[name] as Plain
  }
  object[at.at(-1)!] = value
}

function ruleReader(rule: FieldRule, field: string, target: Target): (foreign: unknown) => unknown {
  const { constant, hash } = rule
  if (constant !== undefined) return () => constant
  if (hash !== undefined) {
    const paths = hash.map(pathReader)
    return (foreign) => hashOf(paths.map((read) => read(foreign)))
  }
  const read = pathReader(rule.path ?? '')
  return (foreign) => {
    const value = read(foreign)
    if (value === undefined || value === null) return rule.default
    if (rule.values !== undefined) {
      const ours = Object.hasOwn(rule.values, String(value)) ? rule.values[String(value)] : rule.default
      return ours ?? (target.kind === 'symbol' ? 'UNKNOWN' : undefined)
    }
    return convert(value, rule, field, target)
  }
}

/** 32 hex digits: long enough that two events of one source never meet by chance. */
function hashOf(values: readonly unknown[]): string | undefined {
  // Nothing to tell events apart by: they would all become one.
  if (values.every((value) => value === undefined || value === null)) return undefined
  // Well-formed as Avro writes it: the id is the same whether the values are hashed before or after they were stored.
  const text = JSON.stringify(
    values.map((value) => value ?? null),
    (_, value) => (typeof value === 'string' ? value.toWellFormed() : value),
  )
  return createHash('sha256').update(text).digest('hex').slice(0, 32)
}

function pathReader(path: string): (foreign: unknown) => unknown {
  const names = path.split('.')
  return (foreign) => {
    let value = unwrapped(foreign)
    for (const name of names) {
      if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return undefined
      value = unwrapped((value as Plain)[name])
    }
    return value
  }
}

/** avsc wraps the branch of a union whose branches look alike in JavaScript (`int` and `double`). */
function unwrapped(value: unknown): unknown {
  const unwrap = (value as { unwrap?: unknown } | null | undefined)?.unwrap
  return typeof unwrap === 'function' ? (value as { unwrap(): unknown }).unwrap() : value
}

function convert(value: unknown, rule: FieldRule, field: string, target: Target): unknown {
  switch (target.kind) {
    case 'text':
      return asText(value, field)
    case 'time':
      return asTime(value, rule.unit)
    case 'integer': {
      const number = asNumber(value)
      return typeof number === 'number' && rule.scale !== undefined ? Math.round(number * rule.scale) : number
    }
    case 'number': {
      const number = asNumber(value)
      return typeof number === 'number' ? number * (rule.scale ?? 1) : number
    }
    default:
      return value
  }
}

/** Numeric ids are common; those of more than 53 bits may have lost digits, or their sign in Avro. */
function asText(value: unknown, field: string): unknown {
  if (typeof value === 'boolean') return String(value)
  if (typeof value !== 'number') return value
  if (value >= INTEGER_MIN && value <= INTEGER_MAX) return String(value)
  throw new RecordError(
    'record-field-invalid',
    `${field} must be exact, got the number ${describe(value)} of more than 53 bits: send such ids as strings`,
  )
}

/** What is no number stays as it is: the reader of the field says what is wrong with it. */
function asNumber(value: unknown): unknown {
  if (typeof value !== 'string' || value.trim() === '') return value
  const number = Number(value)
  return Number.isNaN(number) ? value : number
}

function asTime(value: unknown, unit: FieldRule['unit']): unknown {
  if (unit === undefined || unit === 'iso') return value
  const number = asNumber(value)
  if (typeof number !== 'number') return value
  if (unit === 's') return Math.round(number * 1_000)
  return unit === 'us' ? Math.floor(number / 1_000) : number
}

export function isMapped(topic: TopicSettings): topic is TopicSettings & { fields: FieldRules } {
  return topic.fields !== null
}
