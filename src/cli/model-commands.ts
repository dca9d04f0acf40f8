/** `freshet model init|inspect|verify`: bundles of weights on disk. */

import { resolve } from 'node:path'
import type { Command } from 'commander'
import { InvalidArgumentError, Option } from 'commander'
import { openBundle } from '../model/bundle.ts'
import { initBundle } from '../model/init-bundle.ts'
import { inspectBundle, summaryText } from '../model/inspect-bundle.ts'
import { PRESET_NAMES, type PresetName } from '../model/presets.ts'
import { systemClock } from '../pipeline/clock.ts'
import { print, printJson } from './output.ts'
import { positiveInteger } from './program-options.ts'

interface InitOptions {
  preset: PresetName
  seed: number
  id?: string
  created?: number
  tokenizer?: string
  json?: boolean
}

export function addModelCommands(program: Command): void {
  const model = program
    .command('model')
    .description('model bundles: weights, tokenizers and a manifest over them')
  model
    .command('init')
    .description('make a bundle with random weights; the same seed and --created give the same bytes')
    .argument('<directory>', 'new or empty')
    .addOption(new Option('--preset <name>', 'shape of the model').choices(PRESET_NAMES).default('tiny'))
    .option('--seed <number>', 'of all draws', positiveInteger, 1)
    .option('--id <id>', 'name of the model, 1 to 40 of a-z, 0-9 and -')
    .addOption(
      new Option('--created <time>', 'for the manifest, ISO 8601 in UTC or Unix seconds; by default now')
        .env('SOURCE_DATE_EPOCH')
        .argParser(createdMs),
    )
    .option('--tokenizer <file>', 'a published tokenizer.json instead of one of our own')
    .option('--json', 'the answer as JSON')
    .addHelpText(
      'after',
      '\nExamples:\n  freshet model init models/tiny\n  freshet model init models/small --preset small --seed 7',
    )
    .action(async (directory: string, _options: unknown, command: Command) => {
      const { preset, seed, id, created, tokenizer, json }: InitOptions = command.optsWithGlobals()
      const made = await initBundle({
        preset,
        seed,
        directory,
        createdMs: created ?? systemClock.nowMs(),
        ...(id === undefined ? {} : { id }),
        ...(tokenizer === undefined ? {} : { tokenizerPath: resolve(tokenizer) }),
      })
      if (json === true) printJson(made)
      else print(`${made.id} made in ${made.directory}; its weights are random until it is trained`)
    })
  model
    .command('inspect')
    .description('what is in a bundle')
    .argument('<directory>')
    .option('--json', 'the answer as JSON')
    .addHelpText('after', '\nExamples:\n  freshet model inspect models/tiny')
    .action(async (directory: string, _options: unknown, command: Command) => {
      const bundle = await openBundle(directory, { verify: false })
      try {
        const summary = inspectBundle(bundle)
        if (command.optsWithGlobals().json === true) printJson(summary)
        else print(summaryText(summary))
      } finally {
        bundle.close()
      }
    })
  model
    .command('verify')
    .description('check every file, hash, key and shape of a bundle')
    .argument('<directory>')
    .option('--json', 'the answer as JSON')
    .addHelpText('after', '\nExamples:\n  freshet model verify models/tiny')
    .action(async (directory: string, _options: unknown, command: Command) => {
      const bundle = await openBundle(directory, { verify: true })
      try {
        const { contentHash, manifest } = bundle
        const answer = { id: manifest.id, contentHash, files: manifest.files.size }
        if (command.optsWithGlobals().json === true) printJson(answer)
        else
          print(`${answer.id} is whole: ${answer.files} files as the manifest says, content ${contentHash}`)
      } finally {
        bundle.close()
      }
    })
}

/** @returns milliseconds since the Unix epoch */
function createdMs(value: string): number {
  const isIso = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,3})?Z$/.test(value)
  const timeMs = isIso ? Date.parse(value) : /^\d{1,11}$/.test(value) ? Number(value) * 1_000 : Number.NaN
  if (Number.isNaN(timeMs))
    throw new InvalidArgumentError('expected a time like 2026-11-24T00:00:00Z, or seconds since 1970')
  return timeMs
}
