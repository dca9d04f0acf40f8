/** One worker thread with its sessions: one task at a time, a watchdog, and a new thread after a lost one. */

import { Piscina } from 'piscina'
import { UnavailableError } from '../../errors.ts'
import type { WorkerReply, WorkerSettings, WorkerTask } from './onnx-messages.ts'

/** A source tree runs its TypeScript as it is; the published package has JavaScript only. */
const WORKER = new URL(
  import.meta.url.endsWith('.ts') ? './onnx-worker.ts' : './onnx-worker.js',
  import.meta.url,
)

export class OnnxLane {
  readonly #pool: Piscina<WorkerTask, WorkerReply>
  readonly #runLimitMs: number

  /** @param runLimitMs a task that takes longer is given up, and its thread ended */
  constructor(settings: WorkerSettings, runLimitMs: number) {
    this.#runLimitMs = runLimitMs
    this.#pool = new Piscina({
      filename: WORKER.href,
      workerData: settings,
      minThreads: 1,
      maxThreads: 1,
      concurrentTasksPerWorker: 1,
      // Waiting by Atomics would block the thread's event loop between runs, and with it the runtime's callbacks.
      atomics: 'disabled',
    })
  }

  /**
   * @throws {UnavailableError} `inference-stuck` after the limit; `inference-worker-lost` when the thread died
   */
  async send(task: WorkerTask, transfer: ArrayBuffer[] = []): Promise<WorkerReply> {
    const watchdog = new AbortController()
    const timer = setTimeout(() => watchdog.abort(), this.#runLimitMs)
    try {
      return await this.#pool.run(task, { signal: watchdog.signal, transferList: transfer })
    } catch (cause) {
      if (watchdog.signal.aborted) {
        throw new UnavailableError(
          'inference-stuck',
          `expected a run of at most ${this.#runLimitMs} ms, got none: its thread was replaced, lower batchTokensMax if it happens again`,
          { cause },
        )
      }
      throw new UnavailableError(
        'inference-worker-lost',
        `expected an answer of the inference thread, got ${(cause as Error).message}: a new thread is started, look at the memory limit if it happens again`,
        { cause },
      )
    } finally {
      clearTimeout(timer)
    }
  }

  async close(): Promise<void> {
    await this.#pool.destroy()
  }
}
