#!/usr/bin/env node
/** The program: one command line, one exit code. */

import { runProgram } from './cli/program.ts'

// `| head` closes the pipe early: that is the reader's right.
process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1))
process.exitCode = await runProgram(process.argv.slice(2))
