/** Children that don't outlive us: when we are gone, however we went, they are killed and what they wrote is removed. */

import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'
import { Socket } from 'node:net'

/**
 * A shell starts a watcher beside itself and then becomes the command, so that signals and the exit code are the
 * command's own. The watcher waits for our end of a pipe: `over` says that the command has ended, and anything else, such as
 * the end of the pipe, that we have. A dying command may still write, hence the loop.
 */
const SCRIPT = `
folder=$1; shift
(
  read -r word
  [ "$word" = over ] && exit
  kill -9 $$
  tries=0
  while [ -n "$folder" ] && [ -e "$folder" ] && [ $tries -lt 100 ]; do
    rm -rf "$folder"
    tries=$((tries + 1))
    sleep 0.1
  done
) <&3 >/dev/null 2>&1 &
exec "$@" 3<&-
`

export interface Leash {
  cwd: string
  /** Takes what the child says. It must not exist: who waits for a line in it must not find an older child's. */
  logFile: string
  /** Removed if we die first; null: nothing. */
  discard: string | null
}

/**
 * The child keeps no event loop alive: where nothing else is left to do, this process ends and takes it along. It leads a
 * session of its own, so that Ctrl-C is ours to pass on.
 */
export function spawnLeashed(command: readonly string[], { cwd, logFile, discard }: Leash): ChildProcess {
  const log = openSync(logFile, 'wx')
  try {
    const child = spawn('/bin/sh', ['-c', SCRIPT, 'sh', discard ?? '', ...command], {
      cwd,
      detached: true,
      stdio: ['ignore', log, log, 'pipe'],
    })
    const pipe = child.stdio[3]
    if (pipe instanceof Socket) {
      pipe.on('error', () => {}) // A watcher that somebody else killed reads no more.
      pipe.unref()
      child.once('exit', () => pipe.end('over\n'))
    }
    child.unref()
    return child
  } finally {
    closeSync(log)
  }
}
