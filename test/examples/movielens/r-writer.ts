/** Writes R's serialisation and lazy-load databases, so that the reader is tested without anybody's data. */

import { deflateSync, gzipSync } from 'node:zlib'

type Attributes = Record<string, Buffer>
const NIL = int(254)

function int(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32BE(value)
  return bytes
}

function double(value: number): Buffer {
  const bytes = Buffer.alloc(8)
  bytes.writeDoubleBE(value)
  return bytes
}

function flags(type: number, attributes: Attributes): Buffer {
  return int(type | (Object.keys(attributes).length > 0 ? 0x300 : 0))
}

function attributeList(attributes: Attributes): Buffer {
  const entries = Object.entries(attributes)
  if (entries.length === 0) return Buffer.alloc(0)
  return Buffer.concat([...entries.flatMap(([name, value]) => [int(2 | 0x400), symbol(name), value]), NIL])
}

export function chars(text: string | null, latin1 = false): Buffer {
  if (text === null) return Buffer.concat([int(9), int(-1)])
  const bytes = Buffer.from(text, latin1 ? 'latin1' : 'utf8')
  return Buffer.concat([int(9 | ((latin1 ? 4 : 8) << 12)), int(bytes.length), bytes])
}

export function symbol(name: string): Buffer {
  return Buffer.concat([int(1), chars(name)])
}

export function ints(values: readonly (number | null)[], attributes: Attributes = {}): Buffer {
  const items = values.map((value) => int(value ?? -2_147_483_648))
  return Buffer.concat([flags(13, attributes), int(values.length), ...items, attributeList(attributes)])
}

export function doubles(values: readonly number[]): Buffer {
  return Buffer.concat([int(14), int(values.length), ...values.map(double)])
}

export function strings(values: readonly (string | null)[], latin1 = false): Buffer {
  return Buffer.concat([int(16), int(values.length), ...values.map((value) => chars(value, latin1))])
}

export function factor(values: readonly string[]): Buffer {
  const levels = [...new Set(values)].sort()
  return ints(
    values.map((value) => levels.indexOf(value) + 1),
    { levels: strings(levels), class: strings(['factor']) },
  )
}

/** An arithmetic sequence as R >= 3.5 stores `first:(first + count - 1)`. */
export function compactSequence(first: number, count: number): Buffer {
  const info = Buffer.concat([
    int(2),
    symbol('compact_intseq'),
    int(2),
    symbol('base'),
    int(2),
    ints([13]),
    NIL,
  ])
  return Buffer.concat([int(238), info, doubles([count, first, 1]), NIL])
}

export function named(columns: Record<string, Buffer>): Buffer {
  const attributes = { names: strings(Object.keys(columns)) }
  return Buffer.concat([
    flags(19, attributes),
    int(Object.keys(columns).length),
    ...Object.values(columns),
    attributeList(attributes),
  ])
}

export function serialize(value: Buffer, version: 2 | 3 = 3): Buffer {
  const native = version === 3 ? [int(5), Buffer.from('UTF-8')] : []
  return Buffer.concat([Buffer.from('X\n'), int(version), int(0x040202), int(0x020300), ...native, value])
}

/** @returns the two files of a lazy-load database that holds one value */
export function lazyLoad(name: string, value: Buffer): { rdx: Buffer; rdb: Buffer } {
  const size = Buffer.alloc(4)
  size.writeUInt32BE(value.length)
  const padding = Buffer.from('another chunk')
  const chunk = Buffer.concat([size, deflateSync(value)])
  const index = named({
    variables: named({ [name]: ints([padding.length, chunk.length]) }),
    references: named({}),
    compressed: ints([1]),
  })
  return { rdx: gzipSync(serialize(index)), rdb: Buffer.concat([padding, chunk]) }
}
