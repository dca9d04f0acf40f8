/** A clock that stands still until it is told. */

import type { Clock } from '../../src/pipeline/clock.ts'

export class TestClock implements Clock {
  private ms = 1_769_846_400_000

  nowMs(): number {
    return this.ms
  }

  advance(ms: number): void {
    this.ms += ms
  }

  sleep(): Promise<void> {
    return Promise.resolve()
  }
}
