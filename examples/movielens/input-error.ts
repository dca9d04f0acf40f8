/** What is wrong with the user's copy of MovieLens, and what to do about it. */

/** Printed without a stack: whoever reads it has to act on a file, not on our code. */
export class InputError extends Error {
  override readonly name = 'InputError'
}
