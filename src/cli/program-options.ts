/** Options that every verb takes, and the settings that follow from them. */

import type { Command } from 'commander'
import { InvalidArgumentError } from 'commander'
import { type LoadedSettings, loadSettings, type SettingsInput } from '../config/load-settings.ts'
import { timeOf } from '../server/requests.ts'

export interface GlobalOptions {
  config?: string
  dataDir?: string
  url?: string
  set: Record<string, unknown>
  debug?: boolean
}

export function addGlobalOptions(command: Command): Command {
  return command
    .option('-c, --config <file>', 'YAML file with settings; configs/default.yaml explains all of them')
    .option('-d, --data-dir <directory>', 'directory of events, states and vectors (dataDir)')
    .option(
      '--url <address>',
      'ask this running freshet instead of the one on the data directory (server.url)',
    )
    .option(
      '--set <path=value>',
      'one setting, e.g. --set refresh.quietMs=500; repeatable',
      collectSetting,
      {},
    )
    .option('--debug', 'show stack traces')
}

/** What the settings are read from; flags win over the environment, which wins over the file. */
export function settingsInput(options: GlobalOptions, flags: Record<string, unknown> = {}): SettingsInput {
  const dataDir = options.dataDir === undefined ? {} : { dataDir: options.dataDir }
  const url = options.url === undefined ? {} : { 'server.url': options.url }
  return {
    file: options.config ?? null,
    env: process.env,
    flags: { ...flags, ...options.set, ...dataDir, ...url },
  }
}

/** @throws {ConfigError} `config-unreadable`, `config-invalid` */
export function settingsOf(options: GlobalOptions, flags: Record<string, unknown> = {}): LoadedSettings {
  return loadSettings(settingsInput(options, flags))
}

function collectSetting(text: string, before: Record<string, unknown>): Record<string, unknown> {
  const at = text.indexOf('=')
  if (at <= 0) throw new InvalidArgumentError('expected path=value, e.g. refresh.quietMs=500')
  return { ...before, [text.slice(0, at)]: parsed(text.slice(at + 1)) }
}

/** Numbers, booleans, null and lists as in JSON; anything else is a string. */
function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

/** @throws {InvalidArgumentError} */
export function positiveInteger(text: string): number {
  const value = Number(text)
  if (!Number.isSafeInteger(value) || value < 1)
    throw new InvalidArgumentError('expected a whole number from 1 on')
  return value
}

/** @returns a parser of whole numbers from 1 to `most`, which throws {InvalidArgumentError} */
export function countUpTo(most: number): (text: string) => number {
  return (text) => {
    const value = positiveInteger(text)
    if (value > most) throw new InvalidArgumentError(`expected at most ${most}`)
    return value
  }
}

/** @throws {InvalidArgumentError} */
export function seconds(text: string): number {
  const value = Number(text)
  if (!(value > 0) || !Number.isFinite(value)) throw new InvalidArgumentError('expected seconds, more than 0')
  return value
}

/** `YYYY-MM-DD` -> days since the Unix epoch. @throws {InvalidArgumentError} */
export function day(text: string): number {
  const ms = Date.parse(`${text}T00:00:00Z`)
  if (!/^\d{4}-\d{2}-\d{2}$/.test(text) || Number.isNaN(ms))
    throw new InvalidArgumentError('expected YYYY-MM-DD')
  return ms / 86_400_000
}

/** @returns milliseconds since the Unix epoch. @throws {InvalidArgumentError} */
export function timeMs(text: string): number {
  const ms = timeOf(text)
  if (Number.isNaN(ms))
    throw new InvalidArgumentError(
      'expected a day such as 2026-01-31, a time such as 2026-01-31T08:00:00Z, or milliseconds',
    )
  return ms
}

/** @throws {InvalidArgumentError} */
export function cosine(text: string): number {
  const value = Number(text)
  if (text.trim() === '' || !(value >= -1 && value <= 1))
    throw new InvalidArgumentError('expected a number from -1 to 1')
  return value
}

export function repeated(text: string, before: string[]): string[] {
  return [...before, text]
}
