/** Instructions that an operator declares in YAML files, registered at start. */

import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { z } from 'zod'
import { ConfigError } from '../errors.ts'
import { parseSettingsDocument } from './document.ts'
import { type Environment, findingText, type SettingsFinding } from './finding.ts'
import { issueFindings } from './schema-issues.ts'

/** As the registry has them, which this folder may not import; a test compares the two. */
const NAME = z.string().regex(/^[a-z0-9-]{1,40}$/, 'expected 1 to 40 of a-z, 0-9 and -')
const TEXT_LENGTH_MAX = 2_000
const DAY_MS = 86_400_000

const declared = z.strictObject({
  id: NAME.refine((id) => id !== 'general', 'general is built in and has no text'),
  text: z.string().trim().min(1).max(TEXT_LENGTH_MAX),
  lang: z.string().min(2).max(35).default('en'),
  group: NAME.default('main'),
  /** `retired` takes an instruction out of use without losing its line. */
  status: z.enum(['active', 'shadow', 'retired']).default('active'),
  /** Milliseconds. */
  maxStalenessMs: z.int().positive().default(DAY_MS),
  owner: z.string().min(1).nullable().default(null),
})
const declaredList = z.array(declared).min(1)

export type DeclaredInstruction = z.output<typeof declared>

/**
 * Reads a file: a YAML list of instructions.
 *
 * @throws {ConfigError} `instructions-unreadable`, `instructions-invalid`; the message lists all that is wrong, with its line
 */
export function readInstructionFile(file: string, env: Environment): DeclaredInstruction[] {
  const found = parse(file, env)
  refuse([...found.findings, ...duplicates(found.instructions)])
  return found.instructions.map(({ instruction }) => instruction)
}

/**
 * Reads every `.yaml` and `.yml` file of a directory, by name; an id may stand in one of them only.
 *
 * @throws {ConfigError} `instructions-unreadable`, `instructions-invalid`
 */
export function readInstructionDirectory(directory: string, env: Environment): DeclaredInstruction[] {
  const names = unlessUnreadable(directory, () => readdirSync(directory))
  const found = names
    .filter((name) => /\.ya?ml$/.test(name))
    .sort()
    .map((name) => parse(path.join(directory, name), env))
  const instructions = found.flatMap((one) => one.instructions)
  refuse([...found.flatMap((one) => one.findings), ...duplicates(instructions)])
  return instructions.map(({ instruction }) => instruction)
}

interface Placed {
  instruction: DeclaredInstruction
  where: string
}

function parse(file: string, env: Environment): { instructions: Placed[]; findings: SettingsFinding[] } {
  const text = unlessUnreadable(file, () => readFileSync(file, 'utf8'))
  const document = parseSettingsDocument(text, file, env)
  if (document.findings.length > 0) return { instructions: [], findings: document.findings }
  const parsed = declaredList.safeParse(document.value)
  if (!parsed.success) {
    const findings = parsed.error.issues.flatMap((issue) =>
      issueFindings(issue, document.value, document.where),
    )
    return { instructions: [], findings }
  }
  const instructions = parsed.data.map((instruction, i) => ({
    instruction,
    where: document.where([i, 'id']),
  }))
  return { instructions, findings: [] }
}

function duplicates(instructions: readonly Placed[]): SettingsFinding[] {
  const first = new Map<string, string>()
  const findings: SettingsFinding[] = []
  for (const { instruction, where } of instructions) {
    const before = first.get(instruction.id)
    if (before === undefined) first.set(instruction.id, where)
    else
      findings.push({ path: '', where, message: `${instruction.id} stands in ${before} already: remove one` })
  }
  return findings
}

function refuse(findings: readonly SettingsFinding[]): void {
  if (findings.length > 0) throw new ConfigError('instructions-invalid', findings.map(findingText).join('\n'))
}

function unlessUnreadable<T>(place: string, read: () => T): T {
  try {
    return read()
  } catch (cause) {
    throw new ConfigError(
      'instructions-unreadable',
      `expected readable instructions in ${place}, got: ${(cause as Error).message}: correct the path or its rights`,
      { cause },
    )
  }
}
