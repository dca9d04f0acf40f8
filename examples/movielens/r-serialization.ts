/** Decodes R's binary serialisation (XDR, versions 2 and 3), as far as data frames need it. */

import { InputError } from './input-error.ts'
import { XdrCursor } from './xdr-cursor.ts'

/** NA is null; a factor is an integer vector with the attribute `levels`. */
export interface RVector {
  kind: 'logical' | 'integer' | 'double' | 'string' | 'list'
  values: readonly (number | string | null | RValue)[]
  attributes: ReadonlyMap<string, RValue>
}
export type RValue =
  | RVector
  | { kind: 'pairs'; pairs: readonly (readonly [string, RValue])[] }
  | RSymbol
  | null
interface RSymbol {
  kind: 'symbol'
  name: string
}

/** Type codes of serialize.c and Rinternals.h. */
const TYPE = {
  symbol: 1,
  pairlist: 2,
  chars: 9,
  logical: 10,
  integer: 13,
  double: 14,
  strings: 16,
  list: 19,
  altrep: 238,
  baseEnv: 241,
  emptyEnv: 242,
  globalEnv: 253,
  nil: 254,
  reference: 255,
} as const
const HAS_ATTRIBUTES = 0x200
const HAS_TAG = 0x400
const LATIN1_LEVEL = 1 << 2
const NA_INTEGER = -2_147_483_648
/** Data frames nest a handful of levels; a file that nests deeper wants our stack. */
const DEPTH_MAX = 64
/** Sequences take no bytes in the file, so that nothing else bounds them. */
const SEQUENCE_MAX = 5_000_000

/**
 * @param bytes one uncompressed `serialize()` stream, format `X`
 * @throws {InputError} when it is cut off, lies about its lengths, or holds what no data frame holds
 */
export function unserialize(bytes: Buffer): RValue {
  const cursor = new XdrCursor(bytes)
  const format = cursor.ascii(2)
  if (format !== 'X\n') {
    throw new InputError(
      `expected R data in XDR form ("X\\n"), got ${JSON.stringify(format)}: save it with ascii = FALSE`,
    )
  }
  const version = cursor.int()
  if (version !== 2 && version !== 3) {
    throw new InputError(`expected R serialisation version 2 or 3, got ${version}: save it with version = 3`)
  }
  cursor.int() // R that wrote it
  cursor.int() // oldest R that reads it
  if (version === 3) cursor.ascii(cursor.length(1)) // name of the native encoding; strings carry their own
  return new Decoder(cursor).item(0)
}

class Decoder {
  private readonly cursor: XdrCursor
  /** Symbols in order of appearance: later ones are numbers into this list. */
  private readonly symbols: RSymbol[] = []

  constructor(cursor: XdrCursor) {
    this.cursor = cursor
  }

  item(depth: number): RValue {
    if (depth > DEPTH_MAX) {
      throw new InputError(`expected R data nested at most ${DEPTH_MAX} deep: this is no data frame`)
    }
    const flags = this.cursor.int()
    const type = flags & 0xff
    switch (type) {
      case TYPE.nil:
      case TYPE.globalEnv:
      case TYPE.emptyEnv:
      case TYPE.baseEnv:
        return null
      case TYPE.reference:
        return this.reference(flags)
      case TYPE.symbol:
        return this.symbol()
      case TYPE.pairlist:
        return this.pairlist(flags, depth)
      case TYPE.altrep:
        return this.altrep(depth)
      default:
        return this.vector(type, flags, depth)
    }
  }

  private reference(flags: number): RSymbol {
    const index = flags >> 8 || this.cursor.int()
    const symbol = this.symbols[index - 1]
    if (symbol === undefined) {
      throw new InputError(
        `expected a reference to one of ${this.symbols.length} symbols, got ${index}: the R data is damaged`,
      )
    }
    return symbol
  }

  private symbol(): RSymbol {
    const symbol: RSymbol = { kind: 'symbol', name: this.chars() ?? 'NA' }
    this.symbols.push(symbol)
    return symbol
  }

  private pairlist(flags: number, depth: number): RValue {
    const pairs: (readonly [string, RValue])[] = []
    let head = flags
    while ((head & 0xff) === TYPE.pairlist) {
      if (head & HAS_ATTRIBUTES) this.item(depth + 1)
      const tag = head & HAS_TAG ? this.item(depth + 1) : null
      pairs.push([tag?.kind === 'symbol' ? tag.name : '', this.item(depth + 1)])
      head = this.cursor.int()
    }
    if ((head & 0xff) !== TYPE.nil) {
      throw new InputError(`expected the end of a pair list, got type ${head & 0xff}: the R data is damaged`)
    }
    return { kind: 'pairs', pairs }
  }

  private vector(type: number, flags: number, depth: number): RVector {
    const { kind, values } = this.values(type, depth)
    const attributes = new Map<string, RValue>()
    if (flags & HAS_ATTRIBUTES) {
      const read = this.item(depth + 1)
      if (read?.kind === 'pairs') for (const [name, value] of read.pairs) attributes.set(name, value)
    }
    return { kind, values, attributes }
  }

  private values(type: number, depth: number): Pick<RVector, 'kind' | 'values'> {
    const { cursor } = this
    switch (type) {
      case TYPE.logical:
      case TYPE.integer: {
        const kind = type === TYPE.logical ? 'logical' : 'integer'
        return { kind, values: read(cursor.length(4), () => naToNull(cursor.int())) }
      }
      case TYPE.double:
        return { kind: 'double', values: read(cursor.length(8), () => nanToNull(cursor.double())) }
      case TYPE.strings:
        return { kind: 'string', values: read(cursor.length(8), () => this.chars()) }
      case TYPE.list:
        return { kind: 'list', values: read(cursor.length(4), () => this.item(depth + 1)) }
      default:
        throw new InputError(
          `expected vectors, lists and factors, got R type ${type}: this is no plain data frame`,
        )
    }
  }

  private chars(): string | null {
    const flags = this.cursor.int()
    if ((flags & 0xff) !== TYPE.chars) {
      throw new InputError(`expected a string, got R type ${flags & 0xff}: the R data is damaged`)
    }
    const length = this.cursor.int()
    if (length === -1) return null
    return (flags >> 12) & LATIN1_LEVEL ? this.cursor.ascii(length) : this.cursor.utf8(length)
  }

  /** Vectors that R keeps in another form: arithmetic sequences and wrapped ones are enough for data frames. */
  private altrep(depth: number): RValue {
    const info = this.item(depth + 1)
    const state = this.item(depth + 1)
    this.item(depth + 1) // attributes
    const className = info?.kind === 'pairs' ? info.pairs[0]?.[1] : null
    const name = className?.kind === 'symbol' ? className.name : 'an unnamed class'
    if (name === 'compact_intseq' && state?.kind === 'double')
      return sequence(state.values as (number | null)[])
    if (name.startsWith('wrap_') && state?.kind === 'list') return state.values[0] as RValue
    throw new InputError(`expected a sequence or a wrapped vector, got ${name}: save it with version = 2`)
  }
}

function sequence([count, first, step]: readonly (number | null)[]): RVector {
  const size = count ?? 0
  if (!(size >= 0 && size <= SEQUENCE_MAX)) {
    throw new InputError(
      `expected a sequence of 0 to ${SEQUENCE_MAX} numbers, got ${size}: the R data is damaged`,
    )
  }
  const values = Array.from({ length: size }, (_, i) => (first ?? 1) + i * (step ?? 1))
  return { kind: 'integer', values, attributes: new Map() }
}

function read<T>(count: number, next: () => T): T[] {
  const values: T[] = []
  for (let i = 0; i < count; i++) values.push(next())
  return values
}

function naToNull(value: number): number | null {
  return value === NA_INTEGER ? null : value
}

/** NA_real_ is one of the NaNs, and no column of ours may hold another. */
function nanToNull(value: number): number | null {
  return Number.isNaN(value) ? null : value
}
