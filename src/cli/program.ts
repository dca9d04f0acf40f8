/** The command line: every verb, its help, and what the process answers with. */

import { Command, CommanderError } from 'commander'
import { addAdminCommands } from './admin-commands.ts'
import { addCollectionCommands } from './collections-commands.ts'
import { addConfigCommands } from './config-commands.ts'
import { addDoctorCommand } from './doctor-command.ts'
import { addEmbedCommand } from './embed-command.ts'
import { addIngestCommand } from './ingest-command.ts'
import { addModelCommands } from './model-commands.ts'
import { addOffsetsCommands } from './offsets-commands.ts'
import { EXIT, print, reportError } from './output.ts'
import { addGlobalOptions, type GlobalOptions } from './program-options.ts'
import { addQueryCommands } from './query-commands.ts'
import { addRunCommand } from './run-command.ts'
import { addSchemasCommands } from './schemas-commands.ts'
import { addStartCommand } from './start-command.ts'
import { addStatusCommand } from './status-command.ts'
import { addTopicsCommands } from './topics-commands.ts'
import { freshetVersion } from './version.ts'

export function createProgram(): Command {
  const program = new Command('freshet')
    .description('Keeps instruction-aware user embeddings fresh: events in, fresh vectors out.')
    .version(freshetVersion(), '-V, --version')
    .exitOverride()
    .showHelpAfterError('(--help says more)')
  addGlobalOptions(program)
  addStartCommand(program)
  addRunCommand(program)
  addIngestCommand(program)
  addQueryCommands(program)
  addAdminCommands(program)
  addCollectionCommands(program)
  addEmbedCommand(program)
  addModelCommands(program)
  addConfigCommands(program)
  addSchemasCommands(program)
  addTopicsCommands(program)
  addOffsetsCommands(program)
  addDoctorCommand(program)
  addStatusCommand(program)
  program
    .command('version')
    .description('the version of freshet and of Node')
    .action(() => print(`freshet ${freshetVersion()}, Node ${process.versions.node}`))
  program.addHelpText(
    'after',
    `
Exit codes: 0 done, 2 a mistake in usage or configuration, 3 something needed is unreachable, 4 a check failed, 5 changes are
pending (collections plan, topics plan).

First steps:
  freshet start                          a world to watch, and nothing to set up
  freshet ingest events.jsonl            your events
  freshet nearest <user>                 who is like whom`,
  )
  return program
}

/** Runs one command line. @returns the exit code */
export async function runProgram(args: readonly string[]): Promise<number> {
  const program = createProgram()
  try {
    await program.parseAsync(args, { from: 'user' })
    return Number(process.exitCode ?? EXIT.ok)
  } catch (error) {
    // Commander has said everything already; help and version are no mistakes.
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage
    return reportError(error, program.opts<GlobalOptions>().debug === true)
  }
}
