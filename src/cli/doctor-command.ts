/** `freshet doctor`: what this machine can do for freshet, and what stands in the way. */

import { existsSync, mkdtempSync, rmSync, statfsSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import type { Command } from 'commander'
import type { Settings } from '../config/settings.ts'
import { openOnnxRuntime } from '../drivers/onnx/onnx-runtime.ts'
import { writerInfo } from '../drivers/sqlite/writer-lock.ts'
import { FreshetError } from '../errors.ts'
import { openBundle } from '../model/bundle.ts'
import type { Provider } from '../model/embedding-model.ts'
import { systemClock } from '../pipeline/clock.ts'
import { checkKafka } from './doctor-kafka.ts'
import { type Check, checkVectors } from './doctor-vectors.ts'
import { openDirectory } from './open-vectors.ts'
import { EXIT, print, printJson } from './output.ts'
import { isPortFree } from './port.ts'
import { type GlobalOptions, settingsOf } from './program-options.ts'
import { freshetVersion } from './version.ts'

const NODE_MAJOR = 24
const FREE_BYTES_MIN = 1024 ** 3
const SYNC_ROUNDS = 20
/** A commit of offsets every 500 ms must not wait for the disk most of the time. */
const SYNC_MS_MAX = 100
const PROVIDERS: Provider[] = ['cpu', 'webgpu', 'cuda']

export function addDoctorCommand(program: Command): void {
  program
    .command('doctor')
    .description(
      'check Node, providers, disk, data directory, vectors, bundle and port; exit code 2 when something fails',
    )
    .option('--json', 'checks as JSON')
    .addHelpText('after', '\nExamples:\n  freshet doctor\n  freshet doctor --config freshet.yaml --json')
    .action((_options: unknown, command: Command) => doctor(command.optsWithGlobals()))
}

async function doctor(options: GlobalOptions & { json?: boolean }): Promise<void> {
  const { settings } = settingsOf(options)
  const checks: Check[] = [node()]
  for (const provider of PROVIDERS) checks.push(await canCompute(provider, settings))
  checks.push(...(await disk(settings.dataDir)))
  checks.push(
    ...(settings.events.driver === 'kafka' ? await checkKafka(settings) : [dataDirectory(settings)]),
  )
  checks.push(...(await checkVectors(settings)))
  checks.push(await bundle(settings))
  checks.push(await port(settings))
  if (options.json === true) printJson(checks)
  else for (const { what, result, text } of checks) print(`${result.padEnd(4)}  ${what.padEnd(14)}  ${text}`)
  if (checks.some(({ result }) => result === 'fail')) process.exitCode = EXIT.usage
}

function node(): Check {
  const { node: version } = process.versions
  const isNew = Number(version.split('.')[0]) >= NODE_MAJOR
  return {
    what: 'node',
    result: isNew ? 'ok' : 'fail',
    text: `freshet ${freshetVersion()} on Node ${version}, ${process.platform} ${process.arch}${isNew ? '' : `: use Node ${NODE_MAJOR} or newer`}`,
  }
}

async function canCompute(provider: Provider, { model }: Settings): Promise<Check> {
  const isWanted = model.provider === provider
  try {
    const runtime = await openOnnxRuntime({ provider, threads: 1 })
    await runtime.close()
    return { what: provider, result: 'ok', text: isWanted ? 'can be had, and is set' : 'can be had' }
  } catch (error) {
    return { what: provider, result: isWanted ? 'fail' : 'note', text: textOf(error) }
  }
}

async function disk(dataDir: string): Promise<Check[]> {
  let place = resolve(dataDir)
  while (!existsSync(place) && dirname(place) !== place) place = dirname(place)
  try {
    const { bavail, bsize } = statfsSync(place)
    const free = bavail * bsize
    const syncMs = await syncSpeedMs(place)
    return [
      {
        what: 'disk space',
        result: free >= FREE_BYTES_MIN ? 'ok' : 'note',
        text: `${(free / 1024 ** 3).toFixed(1)} GiB free at ${place}`,
      },
      {
        what: 'disk sync',
        result: syncMs <= SYNC_MS_MAX ? 'ok' : 'note',
        text: `${syncMs.toFixed(1)} ms to make a small write durable`,
      },
    ]
  } catch (error) {
    return [{ what: 'disk', result: 'fail', text: `${place}: ${textOf(error)}` }]
  }
}

/** Median of small synced appends, milliseconds. */
async function syncSpeedMs(place: string): Promise<number> {
  const directory = mkdtempSync(join(place, '.freshet-doctor-'))
  try {
    const file = await open(join(directory, 'sync'), 'w')
    const times: number[] = []
    for (let round = 0; round < SYNC_ROUNDS; round++) {
      const startMs = performance.now()
      await file.appendFile(Buffer.alloc(4096))
      await file.datasync()
      times.push(performance.now() - startMs)
    }
    await file.close()
    return times.sort((a, b) => a - b)[SYNC_ROUNDS / 2]!
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

function dataDirectory(settings: Settings): Check {
  const path = settings.dataDir
  const what = 'data directory'
  if (!existsSync(join(path, 'freshet.db')))
    return { what, result: 'ok', text: `${path} is made at the first start` }
  try {
    // Reading takes no lock, and says which format the files are in.
    openDirectory(settings, 'read', systemClock.nowMs()).close()
  } catch (error) {
    const isOld = error instanceof FreshetError && error.code === 'data-directory-older'
    return { what, result: isOld ? 'note' : 'fail', text: textOf(error) }
  }
  const info = writerInfo(path)
  if (info === null) return { what, result: 'ok', text: `${path} is readable and nobody writes to it` }
  const where = info.url === null ? '' : ` at ${info.url}`
  return { what, result: 'note', text: `process ${info.pid} has ${path}, or had it when it died${where}` }
}

async function bundle({ dataDir, model }: Settings): Promise<Check> {
  const what = 'bundle'
  const path = model.bundle ?? join(dataDir, 'models', 'tiny')
  if (model.bundle === null && !existsSync(path))
    return { what, result: 'ok', text: 'the built-in one is made at the first start' }
  try {
    const opened = await openBundle(path, { verify: true })
    const { id } = opened.manifest
    opened.close()
    return { what, result: 'ok', text: `${id} in ${path}: every file is what its manifest says` }
  } catch (error) {
    return { what, result: 'fail', text: textOf(error) }
  }
}

async function port({ dataDir, server }: Settings): Promise<Check> {
  const what = 'port'
  if (server.port === 0 || (await isPortFree(server.host, server.port)))
    return { what, result: 'ok', text: `${server.host}:${server.port} is free` }
  const own = writerInfo(dataDir)?.url
  if (own?.endsWith(`:${server.port}`))
    return { what, result: 'note', text: `${own} is this data directory's own freshet` }
  return {
    what,
    result: 'fail',
    text: `${server.host}:${server.port} is taken: set server.port, or 0 for a free one`,
  }
}

function textOf(error: unknown): string {
  return error instanceof FreshetError ? `${error.code}: ${error.message}` : String((error as Error).message)
}
