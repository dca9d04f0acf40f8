/** Whether a TCP port can be listened on. */

import { createServer } from 'node:net'

export async function isPortFree(host: string, port: number): Promise<boolean> {
  return (await listenFault(host, port)) === null
}

/** Not so where the address can't be listened on for another reason, which whoever tries is told. */
export async function isPortTaken(host: string, port: number): Promise<boolean> {
  return (await listenFault(host, port)) === 'EADDRINUSE'
}

/** @returns the system's code; null: it can be */
function listenFault(host: string, port: number): Promise<string | null> {
  return new Promise((resolve) => {
    const probe = createServer()
    probe.once('error', ({ code }: NodeJS.ErrnoException) => resolve(code ?? 'unknown'))
    probe.listen({ host, port }, () => probe.close(() => resolve(null)))
  })
}
