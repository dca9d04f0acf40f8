/** Lists and maps of Avro that a corrupt count or length can't send into an endless loop, longs that keep their sign. */

import avsc from 'avsc'
import { INTEGER_MAX, INTEGER_MIN } from './field-readers.ts'

/** What avsc reads from; its typings leave it out. */
interface Tap {
  buf: Buffer
  pos: number
  readLong(): number
  skipLong(): void
  writeLong(value: number): void
  readString(): string
  skipString(): void
}
interface Reader {
  _read(tap: Tap): unknown
  _skip(tap: Tap): void
}

/** Items of the next block, 0 at the end of the list or map. */
function blockCount(tap: Tap): number {
  const count = tap.readLong()
  if (count >= 0) return count
  // The block's size in bytes: nothing of ours jumps over blocks, as a size could lie.
  tap.skipLong()
  return -count
}

/**
 * Every item takes a byte at least, and lies within the bytes that there are.
 *
 * avsc trusts counts and lengths: one flipped bit promises 2^50 items, which it tries to read, or gives a string a negative
 * length, which leads back to the same bytes for ever. With this, no more items are read than there are bytes.
 */
function mustAdvance(tap: Tap, from: number): void {
  if (tap.pos > tap.buf.length) throw new PastEnd()
  if (tap.pos <= from) throw new RangeError('an item that ends before it starts')
}

/** More is promised than there are bytes. */
export class PastEnd extends RangeError {}

// The overridden methods exist at run time only; the typings of avsc hide them.
const ArrayBase = avsc.types.ArrayType as unknown as new (schema: unknown, options: unknown) => object
const MapBase = avsc.types.MapType as unknown as new (schema: unknown, options: unknown) => object

class BoundedArray extends ArrayBase {
  declare readonly itemsType: Reader

  _read(tap: Tap): unknown[] {
    const items: unknown[] = []
    for (let count = blockCount(tap); count !== 0; count = blockCount(tap))
      for (; count > 0; count--) {
        const from = tap.pos
        items.push(this.itemsType._read(tap))
        mustAdvance(tap, from)
      }
    return items
  }

  _skip(tap: Tap): void {
    for (let count = blockCount(tap); count !== 0; count = blockCount(tap))
      for (; count > 0; count--) {
        const from = tap.pos
        this.itemsType._skip(tap)
        mustAdvance(tap, from)
      }
  }
}

class BoundedMap extends MapBase {
  declare readonly valuesType: Reader

  _read(tap: Tap): Record<string, unknown> {
    const values: Record<string, unknown> = {}
    for (let count = blockCount(tap); count !== 0; count = blockCount(tap))
      for (; count > 0; count--) {
        const from = tap.pos
        const name = tap.readString()
        const value = this.valuesType._read(tap)
        mustAdvance(tap, from)
        // Assigning it would change the object's prototype instead.
        if (name === '__proto__') continue
        values[name] = value
      }
    return values
  }

  _skip(tap: Tap): void {
    for (let count = blockCount(tap); count !== 0; count = blockCount(tap))
      for (; count > 0; count--) {
        const from = tap.pos
        tap.skipString()
        this.valuesType._skip(tap)
        mustAdvance(tap, from)
      }
  }
}

const LongBase = avsc.types.LongType as unknown as new () => object

type ErrorHook = (value: unknown, type: BoundedLong) => void

const isBounded = (value: unknown): value is number =>
  Number.isInteger(value) && (value as number) >= INTEGER_MIN && (value as number) <= INTEGER_MAX

class BoundedLong extends LongBase {
  _check(value: unknown, _flags: unknown, hook?: ErrorHook): boolean {
    const isOurs = isBounded(value)
    if (!isOurs) hook?.(value, this)
    return isOurs
  }

  _read(tap: Tap): number {
    const value = tap.readLong()
    if (!isBounded(value)) throw new RangeError('a whole number of more than 53 bits')
    return value
  }

  _write(tap: Tap, value: unknown): void {
    if (!isBounded(value)) throw new RangeError(`${value}, which is no whole number of 53 bits`)
    tap.writeLong(value)
  }
}

interface Resolver {
  _read(tap: Tap): unknown
}
const DoubleBase = avsc.types.DoubleType as unknown as new () => {
  _update(resolver: Resolver, writer: Reader): void
}

/** avsc reads a writer's longs into doubles without a look at them. */
class BoundedDouble extends DoubleBase {
  override _update(resolver: Resolver, writer: Reader): void {
    super._update(resolver, writer)
    if (writer instanceof BoundedLong) resolver._read = writer._read
  }
}

/** For avsc's `typeHook`: lists, maps, longs and doubles are ours, everything else is avsc's. */
export function boundedTypes(schema: unknown, options: unknown): avsc.Type | undefined {
  const kind = typeof schema === 'string' ? schema : (schema as { type?: unknown } | null)?.type
  if (kind === 'double') return new BoundedDouble() as unknown as avsc.Type
  if (kind === 'long') return new BoundedLong() as unknown as avsc.Type
  if (kind === 'array') return new BoundedArray(schema, options) as unknown as avsc.Type
  if (kind === 'map') return new BoundedMap(schema, options) as unknown as avsc.Type
  return undefined
}
