/** JSON becomes a value that an Avro schema takes: times from ISO strings, unknown symbols to the default, extras left out. */

import { RecordError } from '../errors.ts'
import type { AvroType } from './avro.ts'
import { describe, type Plain } from './field-readers.ts'

interface Parts {
  typeName: string
  types?: AvroType[]
  fields?: { name: string; type: AvroType; defaultValue(): unknown }[]
  valuesType?: AvroType
  itemsType?: AvroType
  symbols?: string[]
  /** The enum's default symbol; the typings of avsc leave it out. */
  default?: string
}

/**
 * @param path where the value is, for messages
 * @throws {RecordError} `record-field-missing`, `record-field-invalid`
 */
export function coerce(type: AvroType, value: unknown, path: string): unknown {
  const parts = type as unknown as Parts
  if (parts.types !== undefined) return coerceUnion(parts.types, value, path)
  if (parts.fields !== undefined) return coerceRecord(parts.fields, value, path)
  if (parts.valuesType !== undefined) {
    const valuesType = parts.valuesType
    const given = asObject(value, path)
    return Object.fromEntries(
      Object.keys(given).map((name) => [
        name.toWellFormed(),
        coerce(valuesType, given[name], `${path}.${name}`),
      ]),
    )
  }
  if (parts.itemsType !== undefined) {
    const itemsType = parts.itemsType
    if (!Array.isArray(value)) throw unfit(type, value, path)
    return value.map((item, at) => coerce(itemsType, item, `${path}[${at}]`))
  }
  const coerced = coerceScalar(parts, value)
  if (!type.isValid(coerced)) throw unfit(type, value, path)
  return coerced
}

function coerceScalar(parts: Parts, value: unknown): unknown {
  // Every string that we give to a long is a time: numbers come as numbers.
  if (parts.typeName === 'long' && typeof value === 'string') return Date.parse(value)
  if (parts.symbols !== undefined && typeof value === 'string' && !parts.symbols.includes(value))
    return parts.default
  // avsc writes half of a surrogate pair as three bytes, each of which reads as a broken character of its own.
  if (parts.typeName === 'string' && typeof value === 'string') return value.toWellFormed()
  if (parts.typeName === 'bytes' && typeof value === 'string') return Buffer.from(value, 'base64')
  return value
}

function coerceUnion(types: AvroType[], value: unknown, path: string): unknown {
  const isNull = value === null || value === undefined
  const branches = types.filter((type) => (type.typeName === 'null') === isNull)
  if (isNull && branches.length > 0) return null
  let first: unknown
  for (const branch of branches)
    try {
      return coerce(branch, value, path)
    } catch (error) {
      first ??= error
    }
  throw first ?? unfit(undefined, value, path)
}

function coerceRecord(fields: NonNullable<Parts['fields']>, value: unknown, path: string): Plain {
  const given = asObject(value, path)
  const record: Plain = {}
  for (const field of fields) {
    const at = path === '' ? field.name : `${path}.${field.name}`
    const own = given[field.name]
    if (own !== undefined) record[field.name] = coerce(field.type, own, at)
    else if (field.defaultValue() === undefined)
      throw new RecordError('record-field-missing', missingText(at))
  }
  return record
}

const missingText = (at: string) => `${at} must be there, got none: it has no default in the topic's schema`

function asObject(value: unknown, path: string): Plain {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Plain
  throw unfit(undefined, value, path)
}

function unfit(type: AvroType | undefined, value: unknown, path: string): RecordError {
  return new RecordError(
    'record-field-invalid',
    `${path || 'the record'} must be ${type === undefined ? 'an object' : `of type ${type.name ?? type.typeName}`}, got ${describe(value)}: correct it`,
  )
}
