/** Registers tests that need a real broker; where none can be had, says why instead. */

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { kafkaMissing } from './jars.ts'

/**
 * Without a broker one test stands for the suite: skipped with the reason, and failed in CI, where everything has to be there.
 *
 * @param missing why the tests can't run, and what to install; null: they can
 */
export function kafkaSuite(
  title: string,
  register: () => void,
  missing: string | null = kafkaMissing(),
): void {
  if (missing === null) describe(title, register)
  else if (process.env.CI === 'true') test(title, () => assert.fail(missing))
  else test(title, { skip: missing })
}
