/** One worker thread with its sessions: one task at a time, a watchdog, and a new thread beside one that is stuck. */

import { setTimeout as delay } from 'node:timers/promises'
import { Piscina } from 'piscina'
import { UnavailableError } from '../../errors.ts'
import type { WorkerReply, WorkerSettings, WorkerTask } from './onnx-messages.ts'

/** A source tree runs its TypeScript as it is; the published package has JavaScript only. */
const WORKER = new URL(
  import.meta.url.endsWith('.ts') ? './onnx-worker.ts' : './onnx-worker.js',
  import.meta.url,
)
/** Closing waits at least this long for a run that is under way or was given up. */
const CLOSE_WAIT_MS_MIN = 10_000

type Pool = Piscina<WorkerTask, WorkerReply>

export class OnnxLane {
  readonly #settings: WorkerSettings
  readonly #runLimitMs: number
  readonly #closeWaitMs: number
  /** null while the only thread that may be is stuck. */
  #pool: Pool | null
  /** The end of the thread that was left behind with a stuck run; null: there is none. */
  #leftBehind: Promise<void> | null = null
  #isClosed = false

  /** @param runLimitMs a task that takes longer is given up */
  constructor(settings: WorkerSettings, runLimitMs: number) {
    this.#settings = settings
    this.#runLimitMs = runLimitMs
    this.#closeWaitMs = Math.max(runLimitMs, CLOSE_WAIT_MS_MIN)
    this.#pool = this.#startThread()
  }

  /**
   * @throws {UnavailableError} `inference-stuck` after the limit; `inference-worker-lost` when the thread died
   */
  async send(task: WorkerTask, transfer: ArrayBuffer[] = []): Promise<WorkerReply> {
    const pool = this.#pool
    if (pool === null) throw this.#stuckError()
    const run = pool.run(task, { transferList: transfer })
    const limit = Promise.withResolvers<'stuck'>()
    const timer = setTimeout(() => limit.resolve('stuck'), this.#runLimitMs)
    try {
      const outcome = await Promise.race([run, limit.promise])
      if (outcome !== 'stuck') return outcome
    } catch (cause) {
      throw new UnavailableError(
        'inference-worker-lost',
        `expected an answer of the inference thread, got ${(cause as Error).message}: a new thread is started, look at the memory limit if it happens again`,
        { cause },
      )
    } finally {
      clearTimeout(timer)
    }
    this.#leaveBehind(pool, run)
    throw this.#stuckError()
  }

  async close(): Promise<void> {
    this.#isClosed = true
    await this.#pool?.close()
    if (this.#leftBehind)
      await Promise.race([this.#leftBehind, delay(this.#closeWaitMs, undefined, { ref: false })])
  }

  /**
   * A thread inside the native library can't be ended: the call goes on, and when it returns into a dead thread the whole process
   * aborts. So it is left to itself, and a new one takes its place; but not a third beside two, nor a second holder of webgpu.
   */
  #leaveBehind(pool: Pool, run: Promise<WorkerReply>): void {
    const mayReplace = this.#leftBehind === null && this.#settings.provider !== 'webgpu'
    const before = this.#leftBehind
    this.#leftBehind = (async () => {
      await before
      await run.catch(() => {})
      await pool.close()
      this.#leftBehind = null
      if (!this.#isClosed) this.#pool ??= this.#startThread()
    })()
    this.#pool = mayReplace ? this.#startThread() : null
  }

  #startThread(): Pool {
    const pool: Pool = new Piscina({
      filename: WORKER.href,
      workerData: this.#settings,
      minThreads: 1,
      maxThreads: 1,
      concurrentTasksPerWorker: 1,
      // Waiting by Atomics would block the thread's event loop between runs, and with it the runtime's callbacks.
      atomics: 'disabled',
      closeTimeout: this.#closeWaitMs,
    })
    // A thread that dies between tasks is replaced by the pool; one that dies with a task rejects that task.
    pool.on('error', () => {})
    return pool
  }

  #stuckError(): UnavailableError {
    return new UnavailableError(
      'inference-stuck',
      `expected a run of at most ${this.#runLimitMs} ms, got none: its thread is left to itself, lower batchTokensMax if it happens again`,
      { retryAfterMs: this.#runLimitMs },
    )
  }
}
