/** What the configuration says about one source topic: what it holds, how its values are framed, whose fields they have. */

import type { TextModality } from './behavior-event.ts'

/** What the records of a topic say. */
export type Holds = TextModality | 'tabular' | 'userqa' | 'tombstone'

export type RecordFormat = 'avro-confluent' | 'avro-single-object' | 'avro-raw' | 'json'

type Scalar = string | number | boolean

/** Where one of our fields comes from in a record of another shape. */
export interface FieldRule {
  /** Dotted path in the producer's record. */
  path?: string | undefined
  /** The same value for every record. */
  constant?: Scalar | undefined
  /** Paths whose values, hashed together, name the event: for producers without event ids. */
  hash?: readonly string[] | undefined
  /** Of a time; without it numbers are milliseconds and strings ISO 8601. */
  unit?: 'ms' | 's' | 'us' | 'iso' | undefined
  /** Numbers are multiplied by it and, for `amount_minor`, rounded: 100 makes cents of euros. */
  scale?: number | undefined
  /** The producer's value -> ours, for enums above all. */
  values?: Readonly<Record<string, Scalar>> | undefined
  /** Where the path leads nowhere, or to a value that `values` does not list. */
  default?: Scalar | undefined
}

/** Our field -> a path, or a rule. */
export type FieldRules = Readonly<Record<string, string | FieldRule>>

export interface TopicSettings {
  topic: string
  holds: Holds
  format: RecordFormat
  /** Name of the writer's schema for `avro-raw`; null: ours. */
  schema: string | null
  /** null: the records have our fields. */
  fields: FieldRules | null
}
