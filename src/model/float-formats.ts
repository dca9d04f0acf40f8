/** Conversions between float32 and the two 16-bit formats in which weights are stored. */

/**
 * @param halves IEEE 754 binary16 bit patterns [n]
 * @returns float32 [n], exact
 */
export function float32FromFloat16(halves: Uint16Array): Float32Array {
  const bits = new Uint32Array(halves.length)
  const out = new Float32Array(bits.buffer)
  for (let i = 0; i < halves.length; i++) {
    const half = halves[i]!
    const sign = (half & 0x8000) << 16
    const exponent = (half >>> 10) & 0x1f
    const fraction = half & 0x3ff
    if (exponent === 0) {
      // Zero and the subnormals: fraction * 2^-24, exact in float32.
      out[i] = fraction * 2 ** -24
      bits[i] = bits[i]! | sign
    } else if (exponent === 0x1f) bits[i] = sign | 0x7f800000 | (fraction << 13)
    else bits[i] = sign | ((exponent + 112) << 23) | (fraction << 13)
  }
  return out
}

/**
 * @param halves bfloat16 bit patterns [n]: the upper half of a float32
 * @returns float32 [n], exact
 */
export function float32FromBfloat16(halves: Uint16Array): Float32Array {
  const bits = new Uint32Array(halves.length)
  for (let i = 0; i < halves.length; i++) bits[i] = halves[i]! << 16
  return new Float32Array(bits.buffer)
}

/**
 * @param values float32 [n], no NaN
 * @returns bfloat16 bit patterns [n], rounded to the nearest, ties to even
 */
export function bfloat16FromFloat32(values: Float32Array): Uint16Array {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length)
  const out = new Uint16Array(values.length)
  for (let i = 0; i < values.length; i++) {
    const word = bits[i]!
    out[i] = (word + 0x7fff + ((word >>> 16) & 1)) >>> 16
  }
  return out
}
