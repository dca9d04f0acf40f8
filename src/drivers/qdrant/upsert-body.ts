/** The body of an upsert as bytes, slice by slice: `JSON.stringify` would hold the event loop for 200 ms at a time. */

import { setImmediate } from 'node:timers/promises'
import type { Point, WriteVersion } from '../../vectors/vector-store.ts'
import { fence } from './fence.ts'
import { toServerPayload } from './point-payload.ts'
import { type PointBatch, unitScale } from './point-writer.ts'

/** One slice takes about 1.5 ms; between two of them others have their turn. */
const SLICE_NUMBERS_MAX = 65_536
const SLICE_POINTS_MAX = 64

/** `-0.1234567,` */
const NUMBER_BYTES_MAX = 11
/** Seven decimals: of a vector of norm 1 no number is off by more than 5e-8, less than float32 products round. */
const DECIMALS = 1e7

/** ASCII. */
const [ZERO, DOT, MINUS, COMMA] = [48, 46, 45, 44]
/** Digits of 0000 to 9999 in ASCII. */
const DIGITS = Uint8Array.from({ length: 40_000 }, (_, i) => {
  const [four, place] = [Math.floor(i / 4), i % 4]
  return ZERO + (Math.floor(four / 10 ** (3 - place)) % 10)
})

/**
 * @param take makes a buffer, or gives one that is used again; a slice lies in it
 * @returns the request's body; each call makes it anew
 */
export async function* upsertBody(
  { version, writtenAtMs, points, onlyExisting }: PointBatch,
  take: (bytes: number) => Buffer = Buffer.allocUnsafe,
): AsyncGenerator<Buffer> {
  const mode = onlyExisting === true ? '"update_mode":"update_only",' : ''
  yield Buffer.from(`{${mode}"update_filter":${JSON.stringify(fence(version))},"points":[`)
  for (let from = 0; from < points.length; ) {
    const to = sliceEnd(points, from)
    // Others first: the slice before this one may have come straight from a loop of its own.
    if (from > 0) await setImmediate()
    yield slice(points.slice(from, to), from === 0, version, writtenAtMs, take)
    from = to
  }
  yield Buffer.from(']}')
}

/** Bytes of a point in the body, at most. */
export function pointBytesMax(point: Point): number {
  const head = `${JSON.stringify(toServerPayload(point, WIDEST, 0))}`
  return Buffer.byteLength(head) + POINT_FRAME_BYTES + vectorBytesMax(point)
}

const WIDEST: WriteVersion = { epoch: Number.MAX_SAFE_INTEGER, write: Number.MAX_SAFE_INTEGER }
/** `,{"id":"…36…","payload":…,"vector":{…}}` */
const POINT_FRAME_BYTES = 80

function vectorBytesMax(point: Point): number {
  if (point.kind === 'stub') return 0
  let bytes = 0
  for (const [name, vector] of point.vectors)
    bytes += Buffer.byteLength(JSON.stringify(name)) + 4 + vector.length * NUMBER_BYTES_MAX
  return bytes
}

function sliceEnd(points: readonly Point[], from: number): number {
  let numbers = 0
  let to = from
  do {
    const point = points[to]!
    if (point.kind === 'vectors') for (const vector of point.vectors.values()) numbers += vector.length
    to++
  } while (to < points.length && to - from < SLICE_POINTS_MAX && numbers < SLICE_NUMBERS_MAX)
  return to
}

function slice(
  points: readonly Point[],
  isFirst: boolean,
  version: WriteVersion,
  writtenAtMs: number,
  take: (bytes: number) => Buffer,
): Buffer {
  const heads = points.map((point) => {
    const payload = JSON.stringify(toServerPayload(point, version, writtenAtMs))
    return Buffer.from(`,{"id":"${point.id}","payload":${payload},"vector":{`)
  })
  const bytesMax = points.reduce((sum, point, i) => sum + heads[i]!.length + vectorBytesMax(point) + 2, 0)
  const out = take(bytesMax)
  let at = 0
  for (const [i, point] of points.entries()) {
    const head = heads[i]!
    // The first point of all has no comma before it.
    at += head.copy(out, at, isFirst && i === 0 ? 1 : 0)
    if (point.kind === 'vectors') at = writeVectors(out, at, point.vectors)
    at += out.write('}}', at, 'latin1')
  }
  return out.subarray(0, at)
}

function writeVectors(out: Buffer, from: number, vectors: ReadonlyMap<string, Float32Array>): number {
  let at = from
  for (const [name, vector] of vectors) {
    at += out.write(`${at === from ? '' : ','}${JSON.stringify(name)}:[`, at)
    at = writeNumbers(out, at, vector)
    at += out.write(']', at, 'latin1')
  }
  return at
}

/**
 * Writes `x, y, ...` with seven decimals each, of the vector scaled to norm 1.
 *
 * @returns where it ends in `out`
 */
export function writeNumbers(out: Uint8Array, from: number, vector: Float32Array): number {
  const scale = DECIMALS * unitScale(vector)
  let at = from
  for (let i = 0; i < vector.length; i++) {
    if (i > 0) out[at++] = COMMA
    let rest = Math.round(vector[i]! * scale)
    if (rest < 0) {
      out[at++] = MINUS
      rest = -rest
    }
    const whole = rest >= DECIMALS ? 1 : 0
    rest -= whole * DECIMALS
    const high = Math.trunc(rest / 10_000)
    const highAt = high * 4
    const lowAt = (rest - high * 10_000) * 4
    out[at] = ZERO + whole
    out[at + 1] = DOT
    out[at + 2] = DIGITS[highAt + 1]!
    out[at + 3] = DIGITS[highAt + 2]!
    out[at + 4] = DIGITS[highAt + 3]!
    out[at + 5] = DIGITS[lowAt]!
    out[at + 6] = DIGITS[lowAt + 1]!
    out[at + 7] = DIGITS[lowAt + 2]!
    out[at + 8] = DIGITS[lowAt + 3]!
    at += 9
  }
  return at
}
