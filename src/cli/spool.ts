/** The standard input as a file, since an import is read twice: first for its day. */

import { createWriteStream, mkdirSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { RequestError } from '../errors.ts'

const NAME = /^stdin-(\d+)\.jsonl$/

export class Spool {
  private readonly directory: string
  private path: string | undefined

  constructor(dataDirectory: string) {
    this.directory = join(dataDirectory, 'spool')
  }

  /** @throws {RequestError} `import-stdin-twice` */
  async fill(): Promise<string> {
    if (this.path !== undefined)
      throw new RequestError(
        'import-stdin-twice',
        'expected - once among the files, got it twice: name it once',
      )
    mkdirSync(this.directory, { recursive: true })
    this.removeOrphans()
    this.path = join(this.directory, `stdin-${process.pid}.jsonl`)
    await pipeline(process.stdin, createWriteStream(this.path))
    return this.path
  }

  remove(): void {
    if (this.path !== undefined) rmSync(this.path, { force: true })
  }

  /** What a process left behind that was killed. */
  private removeOrphans(): void {
    for (const name of readdirSync(this.directory)) {
      const pid = NAME.exec(name)?.[1]
      if (pid !== undefined && !isAlive(Number(pid))) rmSync(join(this.directory, name), { force: true })
    }
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    // Somebody else's process is alive, too.
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}
