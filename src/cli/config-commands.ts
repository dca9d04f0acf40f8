/** `freshet config print|lint|schema`: what is set, where it comes from, and what is wrong with it. */

import type { Command } from 'commander'
import { findingText } from '../config/finding.ts'
import { readInstructionDirectory } from '../config/instruction-files.ts'
import { lintSettings, loadSettings } from '../config/load-settings.ts'
import { printSettings, settingsJsonSchema } from '../config/print-settings.ts'
import { ConfigError } from '../errors.ts'
import { lintTopics } from '../events/lint-topics.ts'
import { directorySchemas } from '../events/schema-source.ts'
import { EXIT, print, printJson } from './output.ts'
import { type GlobalOptions, settingsInput, settingsOf } from './program-options.ts'

export function addConfigCommands(program: Command): void {
  const config = program.command('config').description('settings: defaults, file, environment and flags')
  config
    .command('print')
    .description('the settings in force, each with its origin, secrets masked')
    .addHelpText('after', '\nExamples:\n  freshet config print\n  freshet config print --config freshet.yaml')
    .action((_options: unknown, command: Command) => {
      process.stdout.write(printSettings(settingsOf(command.optsWithGlobals())))
    })
  config
    .command('lint')
    .description('everything that does not fit, with its place; exit code 2 when something is an error')
    .option('--json', 'findings as JSON')
    .addHelpText('after', '\nExamples:\n  freshet config lint --config freshet.yaml')
    .action((_options: unknown, command: Command) => lint(command.optsWithGlobals()))
  config
    .command('schema')
    .description('JSON Schema of a settings file, for editors')
    .addHelpText('after', '\nExamples:\n  freshet config schema > freshet.schema.json')
    .action(() => printJson(settingsJsonSchema()))
}

interface Finding {
  severity: 'error' | 'warning'
  text: string
}

function lint(options: GlobalOptions & { json?: boolean }): void {
  const findings = findAll(options)
  if (options.json === true) printJson(findings)
  else if (findings.length === 0) print('everything fits')
  else for (const { severity, text } of findings) print(`${severity}: ${text}`)
  if (findings.some(({ severity }) => severity === 'error')) process.exitCode = EXIT.usage
}

/** Topics and instructions are looked at only where the settings can be read at all. */
function findAll(options: GlobalOptions): Finding[] {
  const input = settingsInput(options)
  const wrong = lintSettings(input).map(
    (finding): Finding => ({ severity: 'error', text: findingText(finding) }),
  )
  if (wrong.length > 0) return wrong
  const { settings, placeOf } = loadSettings(input)
  const { topics, schemas } = settings.events
  const findings: Finding[] = []
  caught(findings, () => {
    for (const { at, severity, message } of lintTopics(
      topics,
      directorySchemas(schemas.directory, schemas.ids),
    ))
      findings.push({ severity, text: `${placeOf(['events', 'topics', ...at])}: ${message}` })
  })
  const { directory } = settings.instructions
  if (directory !== null) caught(findings, () => void readInstructionDirectory(directory, process.env))
  return findings
}

function caught(findings: Finding[], look: () => void): void {
  try {
    look()
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    findings.push({ severity: 'error', text: error.message })
  }
}
