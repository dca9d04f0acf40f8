/** `freshet run`: the service, until somebody stops it. */

import type { Command } from 'commander'
import { registerDeclared } from './declared-instructions.ts'
import { type GlobalOptions, seconds, settingsOf } from './program-options.ts'
import { closeObservers, observe, serve } from './serve.ts'
import { stopRequest } from './signals.ts'
import { openStandalone } from './standalone.ts'

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
  const standalone = await openStandalone(settings)
  const observers = observe(settings.log, standalone, false)
  try {
    await standalone.start()
    const serving = await serve(standalone, observers)
    await registerDeclared(serving.service, settings.instructions.directory)
    serving.logs.info('program', `freshet answers at ${serving.url}`, {
      dataDir: settings.dataDir,
      pid: process.pid,
    })
    try {
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
