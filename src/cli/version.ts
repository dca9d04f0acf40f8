/** The version of this freshet, as its package says. */

import { readFileSync } from 'node:fs'

/** Beside `src/` and `dist/` alike. */
const PACKAGE_FILE = new URL('../../package.json', import.meta.url)

export function freshetVersion(): string {
  return (JSON.parse(readFileSync(PACKAGE_FILE, 'utf8')) as { version: string }).version
}
