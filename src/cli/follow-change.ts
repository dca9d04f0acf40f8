/** After a change to a data directory at rest: its consequences are computed before the verb ends. */

import { type Access, settle } from './service-access.ts'

/** Where another process has the directory, that one does it by itself. */
export async function follow({ standalone }: Access, { wait }: { wait: boolean }): Promise<void> {
  if (standalone !== null && wait) await settle('embedding', standalone)
}
