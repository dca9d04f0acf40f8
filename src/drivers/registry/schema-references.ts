/** Makes one self-contained Avro schema of a schema and the ones that it refers to in the registry. */

import { RecordError } from '../../errors.ts'
import { messageOf } from '../../events/avro.ts'
import type { RegistrySchema, SchemaReference } from './registry-client.ts'

/** Schemas that one may lean on, altogether: far above any model of data, and an end to whatever goes in circles. */
const REFERENCED_MAX = 200

/** A named type of a referenced schema, and the namespace in which its parts are read. */
interface Definition {
  schema: Record<string, unknown>
  name: string
  namespace: string
}

const NAMED = new Set(['record', 'error', 'enum', 'fixed'])
const PRIMITIVE = new Set(['null', 'boolean', 'int', 'long', 'float', 'double', 'bytes', 'string'])

/**
 * @param id for messages
 * @param fetchVersion undefined when there is no such version
 * @returns parsed JSON without references
 * @throws {RecordError} `record-schema-unknown`: what is registered can't be had as an Avro schema
 */
export async function selfContained(
  id: number | string,
  schema: RegistrySchema,
  fetchVersion: (reference: SchemaReference) => Promise<RegistrySchema | undefined>,
): Promise<unknown> {
  const definitions = new Map<string, Definition>()
  const seen = new Set<string>()
  const queue = [...schema.references]
  for (let reference = queue.shift(); reference !== undefined; reference = queue.shift()) {
    const key = `${reference.version} ${reference.subject}`
    if (seen.has(key)) continue
    seen.add(key)
    if (seen.size > REFERENCED_MAX) throw unusable(id, `one that leans on more than ${REFERENCED_MAX} others`)
    const referenced = await fetchVersion(reference)
    if (referenced === undefined)
      throw unusable(
        id,
        `one that refers to version ${reference.version} of ${reference.subject}, which is not registered`,
      )
    collect(parsed(id, referenced), '', definitions)
    queue.push(...referenced.references)
  }
  const main = parsed(id, schema)
  return definitions.size === 0 ? main : inlined(main, '', definitions, new Set())
}

function parsed(id: number | string, { type, text }: RegistrySchema): unknown {
  if (type !== 'AVRO') throw unusable(id, `one of type ${type}`)
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw unusable(id, `one that is no JSON (${messageOf(cause)})`, cause)
  }
}

function unusable(id: number | string, got: string, cause?: unknown): RecordError {
  return new RecordError(
    'record-schema-unknown',
    `expected an Avro schema under id ${id} of the registry, got ${got}: register what is missing, or map the id to a file in events.schemas.ids`,
    { cause },
  )
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null
}

/** A type's simple name and namespace, by the rules of Avro: dots in the name win over `namespace`. */
function nameOf(schema: Record<string, unknown>, enclosing: string): { name: string; namespace: string } {
  const given = String(schema.name)
  const dot = given.lastIndexOf('.')
  if (dot >= 0) return { name: given.slice(dot + 1), namespace: given.slice(0, dot) }
  return { name: given, namespace: typeof schema.namespace === 'string' ? schema.namespace : enclosing }
}

function qualified(name: string, namespace: string): string {
  return namespace === '' || name.includes('.') ? name : `${namespace}.${name}`
}

/** Schemas inside this one, with what builds it again around others. */
function parts(schema: Record<string, unknown>): {
  inner: readonly unknown[]
  rebuilt: (inner: readonly unknown[]) => Record<string, unknown>
} {
  const { type, fields, items, values } = schema
  if ((type === 'record' || type === 'error') && Array.isArray(fields))
    return {
      inner: fields.map((field) => (isObject(field) ? field.type : undefined)),
      rebuilt: (inner) => ({
        ...schema,
        fields: fields.map((field, i) => (isObject(field) ? { ...field, type: inner[i] } : field)),
      }),
    }
  if (type === 'array') return { inner: [items], rebuilt: ([inner]) => ({ ...schema, items: inner }) }
  if (type === 'map') return { inner: [values], rebuilt: ([inner]) => ({ ...schema, values: inner }) }
  return { inner: [], rebuilt: () => schema }
}

/** Every named type in a schema, by full name. */
function collect(schema: unknown, enclosing: string, into: Map<string, Definition>): void {
  if (Array.isArray(schema)) for (const branch of schema) collect(branch, enclosing, into)
  else if (isObject(schema)) {
    let namespace = enclosing
    if (NAMED.has(String(schema.type))) {
      const named = nameOf(schema, enclosing)
      namespace = named.namespace
      const fullName = qualified(named.name, namespace)
      if (!into.has(fullName)) into.set(fullName, { schema, ...named })
    }
    for (const inner of parts(schema).inner) collect(inner, namespace, into)
  }
}

/**
 * The schema with each foreign name replaced by its definition where it comes first, as Avro wants it.
 *
 * @param defined full names that were defined on the way here
 */
function inlined(
  schema: unknown,
  enclosing: string,
  definitions: ReadonlyMap<string, Definition>,
  defined: Set<string>,
): unknown {
  if (Array.isArray(schema)) return schema.map((branch) => inlined(branch, enclosing, definitions, defined))
  if (typeof schema === 'string') {
    if (PRIMITIVE.has(schema)) return schema
    const local = qualified(schema, enclosing)
    const fullName = defined.has(local) || definitions.has(local) ? local : schema
    if (defined.has(fullName)) return absolute(fullName)
    const definition = definitions.get(fullName)
    if (definition === undefined) return schema
    const { name, namespace } = definition
    return inlined({ ...definition.schema, name, namespace }, '', definitions, defined)
  }
  if (!isObject(schema)) return schema
  let namespace = enclosing
  if (NAMED.has(String(schema.type))) {
    const named = nameOf(schema, enclosing)
    namespace = named.namespace
    const fullName = qualified(named.name, namespace)
    // The same type came in by another reference.
    if (defined.has(fullName)) return absolute(fullName)
    defined.add(fullName)
  }
  const { inner, rebuilt } = parts(schema)
  return rebuilt(inner.map((one) => inlined(one, namespace, definitions, defined)))
}

/** A name without dots would be read in the enclosing namespace; with one in front it is what it says. */
function absolute(fullName: string): string {
  return fullName.includes('.') ? fullName : `.${fullName}`
}
