/** SIGINT and SIGTERM: the first asks to stop gracefully, the second ends the process at once. */

/** As shells have it: 128 and the signal's number. */
const FORCED_EXIT = { SIGINT: 130, SIGTERM: 143 } as const

export interface StopRequest {
  signal: AbortSignal
  /** Resolves with the first request. */
  asked: Promise<void>
  /** Asks without a signal: the time is over. */
  ask(): void
  dispose(): void
}

export function stopRequest(): StopRequest {
  const controller = new AbortController()
  const asked = new Promise<void>((resolve) =>
    controller.signal.addEventListener('abort', () => resolve(), { once: true }),
  )
  const listener = (name: 'SIGINT' | 'SIGTERM') => {
    if (controller.signal.aborted) process.exit(FORCED_EXIT[name])
    controller.abort()
  }
  process.on('SIGINT', listener)
  process.on('SIGTERM', listener)
  return {
    signal: controller.signal,
    asked,
    ask: () => controller.abort(),
    dispose: () => {
      process.off('SIGINT', listener)
      process.off('SIGTERM', listener)
    },
  }
}
