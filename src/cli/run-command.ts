/** `freshet run`: the service, until somebody stops it. */

import type { Command } from 'commander'
import type { Settings } from '../config/settings.ts'
import { UnavailableError } from '../errors.ts'
import type { Logs } from '../observability/logs.ts'
import { systemClock } from '../pipeline/clock.ts'
import { portTaken } from '../server/http-server.ts'
import { pending, planOf } from './collection-plan.ts'
import { registerDeclared } from './declared-instructions.ts'
import type { Freshet } from './freshet.ts'
import { openStandalone } from './open-standalone.ts'
import { silentVectors } from './open-vectors.ts'
import { openWorker } from './open-worker.ts'
import { EXIT } from './output.ts'
import { isPortTaken } from './port.ts'
import { type GlobalOptions, seconds, settingsOf } from './program-options.ts'
import { type Say, sayWhile } from './say-while.ts'
import { closeObservers, observe, openLogs, serve } from './serve.ts'
import { stopRequest } from './signals.ts'

export function addRunCommand(program: Command): void {
  program
    .command('run')
    .description('keep vectors fresh and answer over HTTP, until SIGTERM or Ctrl-C')
    .option('--drain <seconds>', 'how long a stop waits for users whose events were read', seconds, 10)
    .addHelpText(
      'after',
      `
With events.driver sqlite it is alone, over its data directory. With kafka it is a worker: any number of them share the
topics as a consumer group, each with a data directory of its own. A second signal ends it at once; nothing is lost either way.

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
  const logs = openLogs(settings.log, systemClock, false)
  const say: Say = (component, text) => logs.warn(component, text)
  const freshet = await Promise.race([open(settings, say), stop.asked])
  // Brokers or a model keep it waiting, and nothing was taken over: it ends as a second signal would end it.
  if (freshet === undefined) process.exit(EXIT.ok)
  const observers = observe(logs, freshet)
  try {
    const { host, port } = settings.server
    // Before a group is joined, and left again at each attempt of whoever restarts us.
    if (port !== 0 && (await isPortTaken(host, port))) throw portTaken(host, port)
    const isReached = await sayWhile(
      () => say('vectors', silentVectors(settings)),
      () => freshet.start(),
    )
    const serving = await serve(freshet, observers)
    try {
      const { place } = freshet.parts.backend
      logs.info('program', `freshet answers at ${serving.url}`, {
        dataDir: settings.dataDir,
        place,
        pid: process.pid,
      })
      if (!isReached)
        logs.warn('vectors', 'events are taken; they wait in the log until the vectors can be reached')
      // A worker may have to wait for its turn, or may never be needed: probes and searches are answered all the same.
      await Promise.race([stop.asked, freshet.takenOver()])
      if (!stop.signal.aborted) {
        await registerDeclared(serving.service, settings.instructions.directory)
        await tellVectors(freshet, logs)
      }
      await Promise.race([stop.asked, freshet.ended()])
      logs.info('program', 'stopping: what was read is embedded and committed', { drainSeconds })
    } finally {
      await serving.close()
    }
  } finally {
    closeObservers(observers)
    await freshet.close(drainSeconds * 1_000)
    stop.dispose()
  }
}

function open(settings: Settings, say: Say): Promise<Freshet> {
  return settings.events.driver === 'kafka'
    ? openWorker(settings, systemClock, say)
    : openStandalone(settings, { unreachable: 'wait', say })
}

/** Where the vectors are, and whether collections are as set: a start leaves what is otherwise to `collections apply`. */
async function tellVectors({ parts }: Freshet, logs: Logs): Promise<void> {
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
