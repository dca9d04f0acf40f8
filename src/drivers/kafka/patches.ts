/** What we mend in kafkajs 2.2.4 before we use it; held to that version, because the patched parts are not its interface. */

import kafkajsManifest from 'kafkajs/package.json' with { type: 'json' }
import RequestQueue from 'kafkajs/src/network/requestQueue/index.js'
import { ConfigError } from '../../errors.ts'

const VERSION = '2.2.4'

/** Requests that were held back (a quota) are looked at again no sooner than this. */
const CHECK_MS = 10

let isPatched = false

/**
 * A queue without requests that wait sets no timers: kafkajs polls each connection every millisecond for ever, which
 * costs an idle client 5 % of a core, and prints a warning about negative times on newer versions of Node.
 *
 * @throws {ConfigError} `kafkajs-version`, when another version is installed
 */
export function patchKafkajs(): void {
  if (isPatched) return
  const { version } = kafkajsManifest
  if (version !== VERSION)
    throw new ConfigError(
      'kafkajs-version',
      `expected kafkajs ${VERSION}, whose inner parts freshet uses, got ${version}: install freshet with its lock file`,
    )
  RequestQueue.prototype.scheduleCheckPendingRequests = function () {
    if (this.throttleCheckTimeoutId !== null || this.pending.length === 0) return
    this.throttleCheckTimeoutId = setTimeout(
      () => {
        this.throttleCheckTimeoutId = null
        this.checkPendingRequests()
      },
      Math.max(this.throttledUntil - Date.now(), CHECK_MS),
    )
  }
  isPatched = true
}
