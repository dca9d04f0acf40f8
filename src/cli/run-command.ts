/** `freshet run`: the service, until somebody stops it. */

import type { Command } from 'commander'
import { UnavailableError } from '../errors.ts'
import type { Logs } from '../observability/logs.ts'
import { pending, planOf } from './collection-plan.ts'
import { registerDeclared } from './declared-instructions.ts'
import { openStandalone } from './open-standalone.ts'
import { type GlobalOptions, seconds, settingsOf } from './program-options.ts'
import { closeObservers, observe, serve } from './serve.ts'
import { stopRequest } from './signals.ts'
import type { Standalone } from './standalone.ts'

export function addRunCommand(program: Command): void {
  program
    .command('run')
    .description('keep vectors fresh and answer over HTTP, until SIGTERM or Ctrl-C')
    .option('--drain <seconds>', 'how long a stop waits for users whose events were read', seconds, 10)
    .addHelpText(
      'after',
      `
Examples:
  freshet run --data-dir /var/lib/freshet
  freshet run --config freshet.yaml --set server.port=8080
  FRESHET_WINDOWS__HORIZON_DAYS=none freshet run`,
    )
    .action(async (options: { drain: number }, command: Command) =>
      run(command.optsWithGlobals(), options.drain),
    )
}

async function run(options: GlobalOptions, drainSeconds: number): Promise<void> {
  const { settings } = settingsOf(options)
  const stop = stopRequest()
  const standalone = await openStandalone(settings, { unreachable: 'wait' })
  const observers = observe(settings.log, standalone, false)
  try {
    const isReached = await standalone.start()
    const serving = await serve(standalone, observers)
    try {
      const declare = () => registerDeclared(serving.service, settings.instructions.directory)
      if (isReached) await declare()
      serving.logs.info('program', `freshet answers at ${serving.url}`, {
        dataDir: settings.dataDir,
        pid: process.pid,
      })
      if (isReached) await tellVectors(standalone, serving.logs)
      if (!isReached) {
        serving.logs.warn(
          'vectors',
          'events are taken; they wait in the log until the vectors can be reached',
        )
        await Promise.race([stop.asked, standalone.takenOver()])
        if (!stop.signal.aborted) {
          await tellVectors(standalone, serving.logs)
          await declare()
        }
      }
      await Promise.race([stop.asked, standalone.ended()])
      serving.logs.info('program', 'stopping: what was read is embedded and committed', { drainSeconds })
    } finally {
      await serving.close()
    }
  } finally {
    closeObservers(observers)
    await standalone.close(drainSeconds * 1_000)
    stop.dispose()
  }
}

/** Where the vectors are, and whether collections are as set: a start leaves what is otherwise to `collections apply`. */
async function tellVectors({ parts }: Standalone, logs: Logs): Promise<void> {
  const { vectors, updater, settings, opensVectors } = parts
  logs.info('vectors', `vectors are in ${opensVectors.place()}`)
  try {
    const changes = pending(
      await planOf({ vectors, view: updater.control.view, state: 'matching', settings }),
    )
    if (changes.length > 0)
      logs.warn('vectors', `collections are otherwise than set (${changes.length}): freshet collections plan`)
  } catch (error) {
    // It can be asked for at any time, and what is down is told by whoever writes.
    if (!(error instanceof UnavailableError)) throw error
  }
}
