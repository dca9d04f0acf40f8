/** A producer that renames a field or a record, and says by an alias what it was called, is still understood. */

import type avsc from 'avsc'
import type { AvroType } from './avro.ts'

type Json = Record<string, unknown>

interface Field extends Json {
  name: string
  type: unknown
  aliases?: string[]
}

/**
 * Avro looks at the reader's aliases only, which serves readers that are newer than their writers. Here the producer is
 * the newer one as often: each of our names that it lacks, and gives as an alias, gets its name as an alias in turn.
 *
 * @param reader the JSON of our schema
 * @returns the same object, where the writer has renamed nothing of ours
 */
export function withWritersNames(reader: unknown, writer: AvroType): unknown {
  if (Array.isArray(reader)) {
    const branches = reader.map((branch) => withWritersNames(branch, writer))
    return branches.some((branch, i) => branch !== reader[i]) ? branches : reader
  }
  const kind = (reader as Json | null)?.type
  if (kind !== 'record' && kind !== 'enum') return reader
  const theirs = branchOf(writer, kind)
  if (theirs === undefined) return reader
  const named = renamed(reader as Json, theirs)
  return kind === 'record' ? withFields(named, theirs as avsc.types.RecordType) : named
}

/** The writer's type of a kind, alone or in a union; undefined where there is none, or a choice. */
function branchOf(writer: AvroType, kind: string): AvroType | undefined {
  const branches = (writer as avsc.types.UnwrappedUnionType).types ?? [writer]
  const ofKind = branches.filter(({ typeName }) => typeName === kind)
  return ofKind.length === 1 ? ofKind[0] : undefined
}

function renamed(reader: Json, writer: AvroType): Json {
  const { name = '', aliases } = writer as avsc.types.RecordType
  const ours = String(reader.name)
  const theirs = unqualified(name)
  if (theirs === ours || aliases?.some((alias) => unqualified(alias) === ours) !== true) return reader
  return { ...reader, aliases: [...((reader.aliases as string[] | undefined) ?? []), theirs] }
}

function withFields(reader: Json, writer: avsc.types.RecordType): Json {
  const ours = reader.fields as Field[]
  const taken = new Set(ours.flatMap(({ name, aliases = [] }) => [name, ...aliases]))
  const fields = ours.map((field) => {
    const names = [field.name, ...(field.aliases ?? [])]
    const same = writer.fields.find(({ name }) => names.includes(name))
    // A name that is one of ours already stays what it is.
    const formerly = writer.fields.filter(
      ({ name, aliases }) => !taken.has(name) && aliases.includes(field.name),
    )
    const theirs = same ?? (formerly.length === 1 ? formerly[0] : undefined)
    if (theirs === undefined) return field
    const type = withWritersNames(field.type, theirs.type)
    if (same === undefined) return { ...field, type, aliases: [...(field.aliases ?? []), theirs.name] }
    return type === field.type ? field : { ...field, type }
  })
  return fields.some((field, i) => field !== ours[i]) ? { ...reader, fields } : reader
}

function unqualified(name: string): string {
  return name.slice(name.lastIndexOf('.') + 1)
}
