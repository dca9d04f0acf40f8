/** Lets loops sleep until their time comes or until somebody has work for them. */

import type { Clock } from './clock.ts'

export class Waker {
  private readonly clock: Clock
  private alarm = new AbortController()

  constructor(clock: Clock) {
    this.clock = clock
  }

  wake(): void {
    this.alarm.abort()
    this.alarm = new AbortController()
  }

  sleep(ms: number, signal: AbortSignal): Promise<void> {
    return this.clock.sleep(ms, AbortSignal.any([this.alarm.signal, signal]))
  }
}
