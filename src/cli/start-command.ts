/** `freshet start`: a whole freshet with a small world to watch, and nothing to set up. */

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { Command } from 'commander'
import { readInstructionFile } from '../config/instruction-files.ts'
import type { Settings } from '../config/settings.ts'
import { UnavailableError } from '../errors.ts'
import { DEFAULT_TENANT } from '../events/ids.ts'
import { Recent } from '../observability/recent.ts'
import { systemClock } from '../pipeline/clock.ts'
import type { UserRef } from '../server/service.ts'
import { register, registerDeclared } from './declared-instructions.ts'
import type { Standalone } from './open-standalone.ts'
import { openStandalone } from './open-standalone.ts'
import { note, print } from './output.ts'
import { isPortFree } from './port.ts'
import { type GlobalOptions, positiveInteger, seconds, settingsOf } from './program-options.ts'
import { closeObservers, observe, openLogs, type Serving, serve } from './serve.ts'
import { settle } from './service-access.ts'
import { type StopRequest, stopRequest } from './signals.ts'
import { createScreen, type Frame } from './start-screen.ts'
import { VectorWatch } from './vector-watch.ts'
import { WorldPlayer } from './world-player.ts'

/** Beside `src/` and `dist/` alike. */
const INSTRUCTIONS_FILE = fileURLToPath(new URL('../../configs/instructions/default.yaml', import.meta.url))
const FRAME_MS = 1_000
const DRAIN_MS = 5_000

/** Quicker than for real users, so that there is something to see; the file's or the environment's come second here. */
const VISIBLE = { 'refresh.quietMs': 500, 'refresh.minEvents': 3, 'refresh.maxDelayMs': 2_000 }

interface StartOptions extends GlobalOptions {
  for?: number
  users: number
  rate: number
  seed: number
}

export function addStartCommand(program: Command): void {
  program
    .command('start')
    .description('a freshet with a small synthetic world to watch: vectors move within seconds')
    .option('--for <seconds>', 'end by itself after so long', seconds)
    .option('--users <count>', 'who lives in the world', positiveInteger, 300)
    .option('--rate <events>', 'events a second', seconds, 20)
    .option('--seed <number>', 'another number is another world', positiveInteger, 1)
    .addHelpText(
      'after',
      `
Without --data-dir everything lies in a temporary directory, which is removed at the end. Ctrl-C ends it.

Examples:
  freshet start
  freshet start --users 100 --rate 50 --for 60
  freshet start --data-dir ./world`,
    )
    .action((_options: unknown, command: Command) => start(command.optsWithGlobals()))
}

async function start(options: StartOptions): Promise<void> {
  const temporary = options.dataDir === undefined ? mkdtempSync(join(tmpdir(), 'freshet-')) : undefined
  try {
    const dataDir = options.dataDir ?? temporary!
    const { settings, origins } = settingsOf({ ...options, dataDir }, VISIBLE)
    const { host, port } = settings.server
    if (origins.get('server.port') === 'default' && !(await isPortFree(host, port))) settings.server.port = 0
    if (temporary !== undefined) note(`everything lies in ${temporary} and is removed at the end`)
    await play(settings, options)
  } finally {
    if (temporary !== undefined) {
      rmSync(temporary, { recursive: true, force: true })
      note(`${temporary} is removed`)
    }
  }
}

async function play(settings: Settings, options: StartOptions): Promise<void> {
  const stop = stopRequest()
  const startMs = Date.now()
  const standalone = await openStandalone(settings, { unreachable: 'wait' })
  const observers = observe(openLogs(settings.log, systemClock, true), standalone)
  try {
    if (!(await standalone.start())) {
      note(`the vectors can't be reached at ${settings.vectors.qdrant.url} yet: waiting for them`)
      await Promise.race([standalone.takenOver(), stop.asked])
      if (stop.signal.aborted) return
    }
    const serving = await serve(standalone, observers)
    try {
      await register(serving.service, readInstructionFile(INSTRUCTIONS_FILE, process.env))
      await registerDeclared(serving.service, settings.instructions.directory)
      const timer = options.for === undefined ? undefined : setTimeout(stop.ask, options.for * 1_000)
      await watch(standalone, serving, stop, { ...options, startMs })
      clearTimeout(timer)
    } finally {
      await serving.close()
    }
  } finally {
    closeObservers(observers)
    await standalone.close(DRAIN_MS)
    stop.dispose()
  }
}

/** @returns undefined while the store of vectors can't be asked: what was seen last stays */
async function look(
  vectors: VectorWatch,
  { service }: Serving,
  ref: UserRef,
): Promise<Frame['instructions'] | undefined> {
  try {
    const instructions: Frame['instructions'] = []
    for (const movement of await vectors.look()) {
      const request = { instruction: movement.id, k: 2, from: { users: [ref] } }
      const { neighbours } = await service.nearest(request)
      instructions.push({ ...movement, neighbours })
    }
    return instructions
  } catch (error) {
    if (error instanceof UnavailableError) return undefined
    throw error
  }
}

async function watch(
  standalone: Standalone,
  serving: Serving,
  stop: StopRequest,
  { seed, users, rate, startMs }: StartOptions & { startMs: number },
): Promise<void> {
  const player = new WorldPlayer(standalone, { seed, userCount: users, eventsPerSecond: rate })
  standalone.parts.updater.refreshing = false
  const count = await player.past()
  if (count > 0) note(`${users} users have a past of ${count} events; each is embedded once`)
  await Promise.race([settle('embedding', standalone), stop.asked])
  const ref = { tenant: DEFAULT_TENANT, user: player.followed.user }
  print(`try: curl '${serving.url}/v1/users/${ref.user}/nearest?instruction=next-need&k=3'`)
  const vectors = new VectorWatch(standalone.parts, ref)
  const screen = createScreen(process.stdout)
  // The past came in at once: what is shown from here on is the present.
  const recent = new Recent(standalone.parts.clock)
  const playing = player.present(stop.signal)
  let instructions: Frame['instructions'] = []
  while (!stop.signal.aborted) {
    instructions = (await look(vectors, serving, ref)) ?? instructions
    const status = await serving.service.status()
    screen.show({
      url: serving.url,
      elapsedMs: Date.now() - startMs,
      status: {
        ...status,
        events: { ...status.events, perSecond: recent.events.perSecond },
        freshnessMs: recent.freshness,
      },
      followed: player.followed.name,
      sentence: player.lastSentence,
      instructions,
    })
    await Promise.race([
      sleep(FRAME_MS, undefined, { signal: stop.signal }).catch(() => {}),
      standalone.ended(),
    ])
  }
  recent.close()
  screen.end()
  await playing
}
