/** One broker for all tests of a process, started when the first asks; it ends with the process. */

import { randomUUID } from 'node:crypto'
import { type Broker, startBroker } from './broker.ts'

let shared: Promise<Broker> | undefined

/** Never kill, stop or close it: a test that does takes a broker of its own. */
export function sharedBroker(): Promise<Broker> {
  shared ??= startBroker()
  return shared
}

/** A name of a topic, group or transaction that no other test has. */
export function uniqueName(what: string): string {
  return `${what}-${randomUUID().slice(0, 8)}`
}
