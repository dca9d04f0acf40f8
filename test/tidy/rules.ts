/** The rules of the house as functions: files in, complaints out; test/tidy.test.ts says what they are applied to. */

import type { SourceFile } from './source-tree.ts'

/** `path:line: what is wrong: what to do`. */
export type Complaint = string

const LINES_MAX = 400
const FUNCTION_LINES_MAX = 70

/** Names that say where a thing was put, not what it is. */
const BANNED_WORDS = new Set(['util', 'utils', 'helper', 'helpers', 'manager', 'managers'])

/** The same, but fine as an adjective: `common-words.ts`. */
const BANNED_NAMES = new Set(['common', 'misc', 'shared', 'lib'])

/** Put together here, so that this file doesn't complain about itself. */
const UNFINISHED = new RegExp(`\\b(${['TO', 'FIX'].map((start, i) => start + ['DO', 'ME'][i]).join('|')})\\b`)

/** `// tidy(rule): reason`, on the line itself; for a rule about a whole file, on any of its lines. */
function exempt(line: string | undefined, rule: string): boolean {
  return line !== undefined && new RegExp(`// tidy\\(${rule}\\): \\S.{9,}`).test(line)
}

function complain(file: SourceFile, line: number | null, rule: string, what: string): Complaint[] {
  const lines = line === null ? file.lines : [file.lines[line - 1]]
  if (lines.some((text) => exempt(text, rule))) return []
  return [`${file.path}${line === null ? '' : `:${line}`}: ${what} [${rule}]`]
}

/** The row of the table that a path belongs to: `drivers/sqlite`, `window`, `errors.ts`, `cli`; null outside src. */
export function folderOf(path: string): string | null {
  const [root, first, second] = path.split('/')
  if (root !== 'src' || first === undefined) return null
  if (first === 'cli.ts') return 'cli'
  if (first === 'drivers') return second === undefined ? null : `drivers/${second}`
  return first
}

/** Resolves a relative specifier; null for a package. */
export function resolveImport(from: string, specifier: string): string | null {
  if (!specifier.startsWith('.')) return null
  const parts = from.split('/').slice(0, -1)
  for (const part of specifier.split('/')) {
    if (part === '..') parts.pop()
    else if (part !== '.') parts.push(part)
  }
  return parts.join('/')
}

/** `@scope/name/sub` -> `@scope/name`. */
export function packageOf(specifier: string): string {
  return specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/')
}

/**
 * A folder imports itself and what its row allows; types count, too.
 *
 * @param table folder -> folders it may import; `*` is every folder of the table
 */
export function foreignImports(file: SourceFile, table: Record<string, readonly string[]>): Complaint[] {
  const from = folderOf(file.path)
  const outsider = from === null
  const allowed = from === null ? null : table[from]
  if (!outsider && allowed === undefined)
    return complain(file, null, 'folders', `no row for src/${from}: add one to FOLDERS of test/tidy.test.ts`)
  return file.imports.flatMap(({ specifier, line }) => {
    // A test may load what it has just written; in src nobody could tell what such an import reaches.
    if (specifier === null && outsider) return []
    if (specifier === null) return complain(file, line, 'folders', 'an import computed at run time')
    const target = resolveImport(file.path, specifier)
    if (target === null) return []
    const to = folderOf(target)
    if (outsider) return outsiderImport(file, line, to)
    if (to === null) return complain(file, line, 'folders', `src may not import ${target}`)
    if (to === from || allowed!.includes(to) || allowed!.includes('*')) return []
    return complain(file, line, 'folders', `src/${from} may not import src/${to}: it flows the other way`)
  })
}

/** Tests and benches build the parts as the command line does; examples use freshet from outside. */
function outsiderImport(file: SourceFile, line: number, to: string | null): Complaint[] {
  if (!file.path.startsWith('examples/') || to === null) return []
  if (to !== 'cli' && !to.startsWith('drivers/')) return []
  return complain(file, line, 'folders', `an example may not import src/${to}`)
}

/**
 * A package is imported by its home only; tests and benches may hold ours against any package of the list.
 *
 * @param homes package -> folders from the root, e.g. `src/events`, `examples/movielens`, `test`
 */
export function strayPackages(file: SourceFile, homes: Record<string, readonly string[]>): Complaint[] {
  return file.imports.flatMap(({ specifier, line }) => {
    if (specifier === null || specifier.startsWith('.')) return []
    if (specifier.startsWith('node:') && !(specifier in homes)) return []
    const name = specifier.startsWith('node:') ? specifier : packageOf(specifier)
    const own = homes[name]
    if (own === undefined)
      return complain(file, line, 'packages', `${name} has no home: add it to PACKAGES of test/tidy.test.ts`)
    if (own.some((home) => file.path.startsWith(`${home}/`) || file.path.startsWith(`${home}.`))) return []
    if (/^(test|bench)\//.test(file.path)) return []
    const where = own.join(' and ')
    return complain(file, line, 'packages', `${name} is imported by ${where} only: use what that exports`)
  })
}

/** One sentence on what the file is for; more may follow. A test needs none: its names are sentences. */
export function opening(file: SourceFile): Complaint[] {
  if (/\.(test|long)\.ts$/.test(file.path)) return []
  if (file.opening !== null && /^[A-Z0-9`"'“][\s\S]{8,}?[.:!?](\s|$)/.test(file.opening)) return []
  return complain(file, null, 'opening', 'open the file with a comment of one sentence: what it is for')
}

export function length(file: SourceFile): Complaint[] {
  if (file.lines.length <= LINES_MAX) return []
  return complain(
    file,
    null,
    'file-lines',
    `${file.lines.length} lines, at most ${LINES_MAX}: split it by thought`,
  )
}

export function functionLength(file: SourceFile): Complaint[] {
  return file.functions.flatMap(({ name, line, lines }) => {
    if (lines <= FUNCTION_LINES_MAX) return []
    return complain(file, line, 'function-lines', `${name}: ${lines} lines, at most ${FUNCTION_LINES_MAX}`)
  })
}

/** @param path of any file or folder that is ours */
export function badName(path: string): Complaint[] {
  return path.split('/').flatMap((part) => {
    const stem = part.replace(/^\./, '').replace(/(\.[a-z0-9]+)+$/, '')
    const words = stem.split(/[-_.]/)
    const banned = BANNED_NAMES.has(stem) ? stem : words.find((word) => BANNED_WORDS.has(word.toLowerCase()))
    if (banned !== undefined)
      return [`${path}: "${banned}" says nothing: name the type or the verb that it holds [names]`]
    if (/\.(ts|avsc)$/.test(part) && stem === 'index') return [`${path}: no barrels [names]`]
    if (/\.(ts|avsc)$/.test(part) && !/^[a-z0-9]+(-[a-z0-9]+)*$/.test(stem))
      return [`${path}: file names are kebab-case [names]`]
    return []
  })
}

export function barrel(file: SourceFile): Complaint[] {
  return file.imports
    .filter(({ reExport }) => reExport)
    .flatMap(({ line }) =>
      complain(file, line, 'barrels', 'import a thing from where it is, and pass nothing on'),
    )
}

/** Folders on the data path return, throw, or publish to a diagnostics channel. */
export function logging(file: SourceFile): Complaint[] {
  return file.loggingLines.flatMap((line) =>
    complain(file, line, 'logging', 'the data path does not log: throw, return, or publish to a channel'),
  )
}

/** All files run in one process, under one root: a hook there runs around the tests of every other file, too. */
export function rootHook(file: SourceFile): Complaint[] {
  if (!file.path.startsWith('test/')) return []
  return file.rootHookLines.flatMap((line) =>
    complain(file, line, 'root-hooks', 'put the hook into a describe with the tests that need it'),
  )
}

export function unfinished(path: string, text: string): Complaint[] {
  return text.split('\n').flatMap((line, i) => {
    const word = UNFINISHED.exec(line)?.[0]
    return word === undefined ? [] : [`${path}:${i + 1}: ${word}: finish it, or file an issue [unfinished]`]
  })
}

/**
 * `test/window/day.test.ts`, `test/window/day-zones.test.ts`, `test/window/day.slow.test.ts` and `test/window/day.kafka.test.ts`
 * belong to `src/window/day.ts`.
 *
 * @param exists whether a path from the root is a file or folder
 * @param own folders and files of test/ that mirror nothing in src
 */
export function mirror(
  file: SourceFile,
  exists: (path: string) => boolean,
  own: readonly string[],
): Complaint[] {
  const match = /^test\/(?:(.*)\/)?([^/]+?)(?:\.slow|\.kafka)?\.test\.ts$/.exec(file.path)
  if (match === null) return []
  const [, folder = '', name = ''] = match
  if (own.some((path) => file.path === path || file.path.startsWith(`${path}/`))) return []
  const root = /^(bench|examples)(\/|$)/.test(folder) ? folder : `src${folder === '' ? '' : `/${folder}`}`
  if (!exists(root)) return complain(file, null, 'mirror', `there is no folder ${root}`)
  const words = name.split('-')
  if (words.some((_, i) => exists(`${root}/${words.slice(0, i + 1).join('-')}.ts`))) return []
  return complain(file, null, 'mirror', `no ${root}/${name}.ts: name the test for its file`)
}

const PATH_NOT_IMPORTED = /(?<!from )(?<!import )(?<!import\()'(\.{1,2}\/[^'\s]+\.ts)'/g

/** Code that no test loads can break unseen. @returns files with code in `among` that no import leads to from `roots` */
export function unreached(
  files: readonly SourceFile[],
  roots: readonly SourceFile[],
  among: RegExp,
): Complaint[] {
  const byPath = new Map(files.map((file) => [file.path, file]))
  const seen = new Set<string>()
  const queue = [...roots]
  for (let file = queue.pop(); file !== undefined; file = queue.pop()) {
    if (seen.has(file.path)) continue
    seen.add(file.path)
    const run = file.imports.filter(({ typeOnly }) => !typeOnly).map(({ specifier }) => specifier)
    // A worker or a child process is named by its file, a mutant's original by its path in src.
    const urls = [...file.text.matchAll(PATH_NOT_IMPORTED)].map((found) => found[1]!)
    const loaded = [...file.text.matchAll(/load\('([^'\s]+\.ts)'\)/g)].map((found) => `src/${found[1]}`)
    const near = [...run, ...urls].map((specifier) => specifier && resolveImport(file.path, specifier))
    for (const next of [...near, ...loaded]) if (next && byPath.has(next)) queue.push(byPath.get(next)!)
  }
  return files
    .filter(({ path, functions }) => among.test(path) && functions.length > 0 && !seen.has(path))
    .flatMap((file) => complain(file, null, 'untested', 'no test loads it'))
}

/**
 * A bench's numbers go to bench/results/<its name>.json, where bench/table.ts reads them.
 *
 * @param files all of bench/; one that another imports, or that is the reader, is no bench
 */
export function benchResults(files: readonly SourceFile[]): Complaint[] {
  const imported = new Set(
    files.flatMap(({ path, imports }) =>
      imports.map(({ specifier }) => resolveImport(path, specifier ?? '')),
    ),
  )
  return files.flatMap((file) => {
    const name = /^bench\/([^/]+)\.ts$/.exec(file.path)?.[1]
    if (name === undefined || name === 'table' || imported.has(file.path)) return []
    if (/\bwriteResult\(/.test(file.text) && file.text.includes(`bench: '${name}'`)) return []
    return complain(file, null, 'bench', `must call writeResult with bench: '${name}'`)
  })
}
