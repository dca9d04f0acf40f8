/** Lists and maps of Avro that a corrupt count or length can't send into an endless loop. */

import avsc from 'avsc'

/** What avsc reads from; its typings leave it out. */
interface Tap {
  buf: Buffer
  pos: number
  readLong(): number
  skipLong(): void
  readString(): string
  skipString(): void
}
interface Reader {
  _read(tap: Tap): unknown
  _skip(tap: Tap): void
}

/**
 * The count of the next block of a list or map, 0 at its end.
 *
 * avsc trusts counts: one flipped bit makes it loop for years or allocate gigabytes. Every item takes a byte at least,
 * so a count beyond the bytes that are left is a lie.
 */
function blockCount(tap: Tap): number {
  let count = tap.readLong()
  if (count < 0) {
    count = -count
    tap.skipLong()
  }
  if (tap.pos > tap.buf.length || count > tap.buf.length - tap.pos) throw new PastEnd()
  return count
}

/** Lengths of strings are trusted as well, and a negative one leads backwards, to the same bytes for ever. */
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

/** For avsc's `typeHook`: lists and maps are ours, everything else is avsc's. */
export function boundedContainers(schema: unknown, options: unknown): avsc.Type | undefined {
  const kind = (schema as { type?: unknown } | null)?.type
  if (kind === 'array') return new BoundedArray(schema, options) as unknown as avsc.Type
  if (kind === 'map') return new BoundedMap(schema, options) as unknown as avsc.Type
  return undefined
}
