/** Reads an object of untrusted JSON field by field; whatever is not as expected is refused with the field's path. */

/** Throws the error of whoever reads: `expected … for field, got …`. */
export type Refuse = (field: string, expected: string, got: unknown) => never

export interface NumberBounds {
  min?: number
  max?: number
  /** The number must be greater than this. */
  above?: number
}

export class JsonFields {
  readonly path: string
  readonly #fields: Record<string, unknown>
  readonly #refuse: Refuse

  /** @param path of the object inside the document; empty for the document itself */
  constructor(value: unknown, path: string, refuse: Refuse) {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      refuse(path === '' ? 'the document' : path, 'an object', value)
    }
    this.path = path
    this.#fields = value as Record<string, unknown>
    this.#refuse = refuse
  }

  has(key: string): boolean {
    return Object.hasOwn(this.#fields, key) && this.#fields[key] !== null && this.#fields[key] !== undefined
  }

  /** Refuses missing keys and keys that nobody knows: a misspelt one must not pass as its default. */
  exactly(keys: readonly string[]): void {
    for (const key of keys) {
      if (!Object.hasOwn(this.#fields, key)) this.#refuse(this.name(key), 'to be present', undefined)
    }
    for (const key of Object.keys(this.#fields)) {
      if (!keys.includes(key))
        this.#refuse(this.name(key), `no key but ${keys.join(', ')}`, this.#fields[key])
    }
  }

  name(key: string): string {
    return this.path === '' ? key : `${this.path}.${key}`
  }

  value(key: string): unknown {
    return Object.hasOwn(this.#fields, key) ? this.#fields[key] : undefined
  }

  keys(): string[] {
    return Object.keys(this.#fields)
  }

  refuse(key: string, expected: string): never {
    return this.#refuse(this.name(key), expected, this.value(key))
  }

  text(key: string): string {
    const value = this.value(key)
    return typeof value === 'string' ? value : this.refuse(key, 'a string')
  }

  oneOf<T>(key: string, allowed: readonly T[]): T {
    const value = this.value(key) as T
    return allowed.includes(value)
      ? value
      : this.refuse(key, allowed.map((one) => JSON.stringify(one)).join(' or '))
  }

  number(key: string, bounds: NumberBounds = {}): number {
    const value = this.value(key)
    return isNumber(value, bounds) ? value : this.refuse(key, `a number${describe(bounds)}`)
  }

  integer(key: string, bounds: NumberBounds = {}): number {
    const value = this.value(key)
    if (isNumber(value, bounds) && Number.isSafeInteger(value)) return value
    return this.refuse(key, `a whole number${describe(bounds)}`)
  }

  list(key: string): unknown[] {
    const value = this.value(key)
    return Array.isArray(value) ? value : this.refuse(key, 'an array')
  }

  texts(key: string): string[] {
    const values = this.list(key)
    return values.every((value) => typeof value === 'string')
      ? values
      : this.refuse(key, 'an array of strings')
  }

  numbers(key: string, count: number, bounds: NumberBounds = {}): number[] {
    const values = this.list(key)
    const fits = values.length === count && values.every((value) => isNumber(value, bounds))
    return fits ? (values as number[]) : this.refuse(key, `${count} numbers${describe(bounds)}`)
  }

  /** A nested object under a key. */
  fields(key: string): JsonFields {
    return new JsonFields(this.value(key), this.name(key), this.#refuse)
  }

  /** The objects of an array under a key. */
  objects(key: string): JsonFields[] {
    return this.list(key).map((item, i) => new JsonFields(item, `${this.name(key)}[${i}]`, this.#refuse))
  }
}

function isNumber(value: unknown, { min, max, above }: NumberBounds): value is number {
  if (typeof value !== 'number' || !Number.isFinite(value)) return false
  return value >= (min ?? -Infinity) && value <= (max ?? Infinity) && (above === undefined || value > above)
}

function describe({ min, max, above }: NumberBounds): string {
  const parts: string[] = []
  if (min !== undefined) parts.push(` >= ${min}`)
  if (above !== undefined) parts.push(` > ${above}`)
  if (max !== undefined) parts.push(` <= ${max}`)
  return parts.join(' and')
}

/** A value as an error message shows it: JSON, cut to a line. */
export function shown(value: unknown): string {
  const json = JSON.stringify(value) ?? 'nothing'
  return json.length <= 80 ? json : `${json.slice(0, 80)}…`
}
