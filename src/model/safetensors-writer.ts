/** Writes safetensors files, one tensor in memory at a time, the same bytes for the same input. */

import { closeSync, fsyncSync, openSync, writeSync } from 'node:fs'
import { invariant } from '../errors.ts'
import { bfloat16FromFloat32 } from './float-formats.ts'

export interface TensorToWrite {
  name: string
  shape: readonly number[]
  /** F32 is what serving maps straight from disk; BF16 halves the file. */
  dtype: 'F32' | 'BF16'
  /** Called once, in file order; row-major, as many numbers as the shape holds. */
  values: () => Float32Array
}

/** Data starts at a multiple of this, so that mapped float32 values are aligned. */
const ALIGNMENT_BYTES = 64

/**
 * Writes the tensors in the order given and flushes them to disk.
 *
 * @throws {BugError} `invariant`, when values and shape differ or a name comes twice
 */
export function writeSafetensors(path: string, tensors: readonly TensorToWrite[]): void {
  const header: Record<string, unknown> = { __metadata__: { format: 'pt' } }
  let end = 0
  for (const { name, shape, dtype } of tensors) {
    invariant(!Object.hasOwn(header, name), `tensor ${name} is written twice`)
    const begin = end
    end += elementCount(shape) * (dtype === 'F32' ? 4 : 2)
    header[name] = { dtype, shape, data_offsets: [begin, end] }
  }
  const json = new TextEncoder().encode(JSON.stringify(header))
  const padded = Math.ceil((8 + json.length) / ALIGNMENT_BYTES) * ALIGNMENT_BYTES
  const head = new Uint8Array(padded).fill(0x20)
  new DataView(head.buffer).setBigUint64(0, BigInt(padded - 8), true)
  head.set(json, 8)

  const descriptor = openSync(path, 'w')
  try {
    writeAll(descriptor, head)
    for (const tensor of tensors) writeAll(descriptor, encode(tensor))
    fsyncSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
}

function encode({ name, shape, dtype, values }: TensorToWrite): Uint8Array {
  const floats = values()
  invariant(floats.length === elementCount(shape), `${name} [${shape}] was given ${floats.length} values`)
  const stored = dtype === 'F32' ? floats : bfloat16FromFloat32(floats)
  return new Uint8Array(stored.buffer, stored.byteOffset, stored.byteLength)
}

function elementCount(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1)
}

function writeAll(descriptor: number, bytes: Uint8Array): void {
  let done = 0
  while (done < bytes.length)
    done += writeSync(descriptor, bytes, done, Math.min(bytes.length - done, 1 << 30))
}
