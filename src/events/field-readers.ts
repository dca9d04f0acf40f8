/** Reads one field of a decoded record, whatever decoded it, and says precisely what is wrong with it. */

import { RecordError } from '../errors.ts'
import { type EventId, ID_LENGTH_MAX, type TenantId, type UserId } from './ids.ts'

/**
 * Whole numbers have 53 bits, the sign among them. Avro writes n as 2n, or as -2n - 1 below zero: beyond -2^52 that odd number
 * has no double of its own, and -2^52 - 1 comes back as 2^52, its sign turned.
 */
export const INTEGER_MIN = -(2 ** 52)
export const INTEGER_MAX = 2 ** 52 - 1

/** Year 144683, which a Date can still put on a calendar day. */
const TIME_MS_MAX = INTEGER_MAX

/** What Avro calls an int: the field's type where the state is stored. */
const INT32_MAX = 2 ** 31 - 1

/** A calendar date, or a time with its zone: a time without one would mean something else on every machine. */
const ISO_TIME = /^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:?\d\d))?$/

function invalid(
  name: string,
  expected: string,
  value: unknown,
  remedy = 'correct the producer',
): RecordError {
  return new RecordError(
    'record-field-invalid',
    `${name} must be ${expected}, got ${describe(value)}: ${remedy}`,
  )
}

export function describe(value: unknown): string {
  if (typeof value === 'string') {
    const shown = value.length > 60 ? `${value.slice(0, 60)}…` : value
    return `${JSON.stringify(shown)}${value.length > 60 ? ` (${value.length} characters)` : ''}`
  }
  if (typeof value === 'number' || typeof value === 'boolean' || value === null || value === undefined)
    return String(value)
  return Array.isArray(value) ? 'a list' : `a ${typeof value}`
}

export function missing(name: string): RecordError {
  return new RecordError(
    'record-field-missing',
    `${name} must be there, got none: let the producer send it, or map it in the topic's fields`,
  )
}

/**
 * An id: 1 to 256 UTF-16 units, no NUL (it separates tenant and user in keys), nothing broken: half of a surrogate pair
 * becomes U+FFFD as soon as it is written, and so does every broken sequence of UTF-8 when it is read. Two users would be one.
 */
function id(value: unknown, name: string): string {
  if (value === undefined || value === null) throw missing(name)
  if (typeof value !== 'string') throw invalid(name, 'a string', value)
  if (value.length === 0 || value.length > ID_LENGTH_MAX)
    throw new RecordError(
      'record-id-length',
      `${name} must have 1 to ${ID_LENGTH_MAX} characters, got ${value.length}: use shorter ids, or hash them`,
    )
  if (value.includes('\0') || value.includes('\ufffd') || !value.isWellFormed())
    throw new RecordError(
      'record-id-characters',
      `${name} must be text without NUL and without broken characters, got ${describe(value)}: encode binary ids as hex`,
    )
  return value
}

export const readUserId = (value: unknown) => id(value, 'user_id') as UserId
export const readEventId = (value: unknown) => id(value, 'event_id') as EventId
export const readTenant = (value: unknown) =>
  (value === undefined ? 'default' : id(value, 'tenant')) as TenantId
export const readSource = (value: unknown) => id(value, 'source')

/** @returns the text; null when there is none, and for an empty one: both mean that the producer does not know */
export function readText(value: unknown, name: string): string | null {
  if (value === undefined || value === null || value === '') return null
  if (typeof value !== 'string') throw invalid(name, 'a string', value)
  return value.isWellFormed() ? value : value.toWellFormed()
}

export function readRequiredText(value: unknown, name: string): string {
  const text = readText(value, name)
  if (text === null) throw missing(name)
  return text
}

/**
 * @param symbols ours; a symbol that is none of them reads as `UNKNOWN`, as an Avro enum default does: producers may
 *   learn new ones before we do
 */
export function readSymbol<Symbol extends string>(
  value: unknown,
  symbols: ReadonlySet<Symbol>,
  name: string,
): Symbol | 'UNKNOWN' {
  if (symbols.has(value as Symbol)) return value as Symbol
  if (value === undefined || value === null || typeof value === 'string') return 'UNKNOWN'
  throw invalid(name, `one of ${[...symbols].join(', ')}`, value)
}

/** @returns milliseconds since the Unix epoch */
export function readTimeMs(value: unknown, name: string): number {
  if (typeof value === 'number') return checkTimeMs(value, name)
  if (value === undefined || value === null) throw missing(name)
  if (typeof value !== 'string' || !ISO_TIME.test(value))
    throw invalid(name, 'milliseconds since the Unix epoch, or an ISO 8601 time with its zone', value)
  return checkTimeMs(Date.parse(value), name)
}

function checkTimeMs(timeMs: number, name: string): number {
  if (Number.isInteger(timeMs) && timeMs >= 0 && timeMs <= TIME_MS_MAX) return timeMs
  throw new RecordError(
    'record-time-range',
    `${name} must be whole milliseconds from 0 to ${TIME_MS_MAX}, got ${timeMs}: check the producer's clock and its unit`,
  )
}

/** @returns a whole number from -2^52 to 2^52 - 1 */
export function readInteger(value: unknown, name: string): number {
  return integer(value, name, INTEGER_MIN, INTEGER_MAX)
}

/** @returns 0 to 2^31 - 1 */
export function readCount(value: unknown, name: string): number {
  return integer(value, name, 0, INT32_MAX)
}

function integer(value: unknown, name: string, min: number, max: number): number {
  if (typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max) return value
  if (value === undefined || value === null) throw missing(name)
  throw invalid(name, `a whole number from ${min} to ${max}`, value)
}

export function readBoolean(value: unknown, name: string): boolean {
  if (value === undefined || value === null) return false
  if (typeof value === 'boolean') return value
  throw invalid(name, 'true or false', value)
}

/** @returns an ISO 4217 code in upper case */
export function readCurrency(value: unknown): string {
  if (typeof value === 'string' && /^[A-Za-z]{3}$/.test(value)) return value.toUpperCase()
  if (value === undefined || value === null) throw missing('amount.currency')
  throw invalid('amount.currency', 'an ISO 4217 code of three letters', value)
}

/** Fields by name: objects of parsed JSON and of Avro alike. */
export type Plain = Record<string, unknown>

export function readObject(value: unknown, name: string): Plain {
  if (value === undefined || value === null) throw missing(name)
  if (typeof value === 'object' && !Array.isArray(value)) return value as Plain
  throw invalid(name, 'an object', value)
}

/** @returns finite numbers by name; null entries are left out: missing */
export function readNumbers(value: unknown, name: string): Record<string, number> {
  const numbers: Record<string, number> = {}
  if (value === undefined || value === null) return numbers
  const given = readObject(value, name)
  for (const feature of Object.keys(given)) {
    const number = given[feature]
    if (number === null || number === undefined || feature === '__proto__') continue
    if (typeof number !== 'number') throw invalid(`${name}.${feature}`, 'a number', number)
    if (!Number.isFinite(number))
      throw new RecordError(
        'record-tabular-not-finite',
        `${name}.${feature} must be a finite number, got ${number}: leave the feature out and name it in missing`,
      )
    numbers[feature.toWellFormed()] = number
  }
  return numbers
}

export function readTexts(value: unknown, name: string): Record<string, string> {
  const texts: Record<string, string> = {}
  if (value === undefined || value === null) return texts
  const given = readObject(value, name)
  for (const feature of Object.keys(given)) {
    const text = given[feature]
    if (text === null || text === undefined || feature === '__proto__') continue
    if (typeof text !== 'string') throw invalid(`${name}.${feature}`, 'a string', text)
    texts[feature.toWellFormed()] = text.toWellFormed()
  }
  return texts
}

export function readNames(value: unknown, name: string): readonly string[] {
  if (value === undefined || value === null) return []
  if (Array.isArray(value) && value.every((item) => typeof item === 'string'))
    return value.map((item) => item.toWellFormed())
  throw invalid(name, 'a list of strings', value)
}
