/** What keeps a broker from running, and what to do about it. */

/** Printed without a stack: whoever reads it has to act on a machine, not on our code. */
export class KafkaError extends Error {
  override readonly name = 'KafkaError'
}
