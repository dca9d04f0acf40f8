/** Parses TypeScript files with the compiler's own parser into the few facts that the rules of tidy.test.ts judge. */

import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import * as ast from 'typescript/unstable/ast'
import { createVirtualFileSystem } from 'typescript/unstable/fs'
import { API } from 'typescript/unstable/sync'

export interface ImportFact {
  /** null: computed at run time, so that no rule can follow it. */
  specifier: string | null
  line: number
  /** `export … from`: only a barrel needs it. */
  reExport: boolean
  /** Erased before it runs. */
  typeOnly: boolean
}

export interface FunctionFact {
  name: string
  line: number
  /** Lines from its first to its last, less those of tests registered inside it: a list of tests is no function. */
  lines: number
}

export interface ThrowFact {
  className: string
  /** null: not a literal. */
  code: string | null
  line: number
}

export interface SourceFile {
  /** From the root of the project, with `/`. */
  path: string
  text: string
  lines: string[]
  /** Text of the comment that opens the file, without its marks; null where code comes first. */
  opening: string | null
  imports: ImportFact[]
  functions: FunctionFact[]
  /** `new …Error(…)`, and `super(…)` of a class that extends one. */
  errors: ThrowFact[]
  /** Lines of `before`, `after` and the like that stand in no function: they go around the tests of all files. */
  rootHookLines: number[]
  /** Lines that name `console`, or write to `process.stdout` or `process.stderr`. */
  loggingLines: number[]
}

export const ROOT = new URL('../../', import.meta.url)

const VIRTUAL = '/tree/'
/** `promise` is what our contract suites call a test that every driver must pass. */
const REGISTRARS = new Set(['test', 'promise', 'before', 'beforeEach', 'after', 'afterEach'])

const HOOKS = new Set(['before', 'beforeEach', 'after', 'afterEach'])

/** Reads files of the project and parses them in one go. @param paths from the root of the project */
export function readSources(paths: readonly string[]): SourceFile[] {
  return parseSources(
    Object.fromEntries(paths.map((path) => [path, readFileSync(new URL(path, ROOT), 'utf8')])),
  )
}

/**
 * Parses texts that need not lie on a disk.
 *
 * @param texts path from a root -> TypeScript
 * @throws {Error} when the parser lost one of them
 */
export function parseSources(texts: Record<string, string>): SourceFile[] {
  const paths = Object.keys(texts)
  const options = { noLib: true, noResolve: true, noEmit: true, types: [], allowImportingTsExtensions: true }
  const config = JSON.stringify({ compilerOptions: options, files: paths })
  const files = Object.fromEntries(paths.map((path) => [VIRTUAL + path, texts[path]!]))
  const api = new API({
    cwd: fileURLToPath(ROOT),
    fs: createVirtualFileSystem({ ...files, [`${VIRTUAL}tsconfig.json`]: config }),
  })
  try {
    const snapshot = api.updateSnapshot({ openProjects: [`${VIRTUAL}tsconfig.json`] })
    const program = snapshot.getProjects()[0]!.program
    return paths.map((path) => {
      const parsed = program.getSourceFile(VIRTUAL + path)
      if (parsed === undefined) throw new Error(`${path}: not parsed`)
      return facts(path, texts[path]!, parsed)
    })
  } finally {
    // The parser is a process of its own; left open, it would outlive the suite.
    api.close()
  }
}

function facts(path: string, text: string, parsed: ast.SourceFile): SourceFile {
  const file: SourceFile = {
    path,
    text,
    lines: text.replace(/\n$/, '').split('\n'),
    opening: openingComment(text),
    imports: [],
    functions: [],
    errors: [],
    rootHookLines: [],
    loggingLines: [],
  }
  const lineOf = (position: number) => parsed.getLineAndCharacterOfPosition(position).line + 1
  const visit = (node: ast.Node, inFunction: boolean): void => {
    readImport(node, lineOf, file.imports)
    readError(node, lineOf, file.errors)
    if (isLogging(node)) file.loggingLines.push(lineOf(node.getStart()))
    if (!inFunction && isHook(node)) file.rootHookLines.push(lineOf(node.getStart()))
    const isOne = isFunction(node)
    if (isOne && !isSuiteBody(node)) file.functions.push(functionFact(node, lineOf))
    node.forEachChild((child) => visit(child, inFunction || isOne))
  }
  visit(parsed, false)
  return file
}

/** The first comment, without its marks. */
function openingComment(text: string): string | null {
  const start = ast.getShebang(text)?.length ?? 0
  const first = ast.getLeadingCommentRanges(text, start)?.[0]
  if (first === undefined || text.slice(start, first.pos).trim() !== '') return null
  return text
    .slice(first.pos, first.end)
    .replace(/^\/\*\*?|\*\/$|^\/\/+/g, '')
    .replace(/^\s*\* ?/gm, '')
    .trim()
}

function literal(node: ast.Node | undefined): string | null {
  if (node === undefined) return null
  if (ast.isStringLiteral(node) || ast.isNoSubstitutionTemplateLiteral(node)) return node.text
  return null
}

function readImport(node: ast.Node, lineOf: (position: number) => number, into: ImportFact[]): void {
  const add = (at: ast.Node, specifier: string | null, typeOnly: boolean, reExport = false) => {
    into.push({ specifier, line: lineOf(at.getStart()), typeOnly, reExport })
  }
  if (ast.isImportDeclaration(node)) {
    add(node, literal(node.moduleSpecifier), node.importClause?.phaseModifier === ast.SyntaxKind.TypeKeyword)
  } else if (ast.isExportDeclaration(node)) {
    if (node.moduleSpecifier) add(node, literal(node.moduleSpecifier), node.isTypeOnly, true)
  } else if (ast.isImportTypeNode(node)) {
    add(node, ast.isLiteralTypeNode(node.argument) ? literal(node.argument.literal) : null, true)
  } else if (ast.isCallExpression(node)) {
    const callee = node.expression
    const isRequire = ast.isIdentifier(callee) && callee.text === 'require'
    if (callee.kind === ast.SyntaxKind.ImportKeyword || isRequire)
      add(node, literal(node.arguments[0]), false)
  }
}

function readError(node: ast.Node, lineOf: (position: number) => number, into: ThrowFact[]): void {
  if (ast.isNewExpression(node) && ast.isIdentifier(node.expression)) {
    const className = node.expression.text
    if (/[a-z]Error$/.test(className))
      into.push({ className, code: literal(node.arguments?.[0]), line: lineOf(node.getStart()) })
  }
}

function isLogging(node: ast.Node): boolean {
  if (!ast.isPropertyAccessExpression(node) || !ast.isIdentifier(node.expression)) return false
  const owner = node.expression.text
  return owner === 'console' || (owner === 'process' && /^std(out|err)$/.test(node.name.text))
}

function isFunction(node: ast.Node): boolean {
  return (
    ast.isFunctionDeclaration(node) ||
    ast.isFunctionExpression(node) ||
    ast.isArrowFunction(node) ||
    ast.isMethodDeclaration(node) ||
    ast.isConstructorDeclaration(node) ||
    ast.isGetAccessorDeclaration(node) ||
    ast.isSetAccessorDeclaration(node)
  )
}

function isHook(node: ast.Node): boolean {
  if (!ast.isCallExpression(node)) return false
  const callee = node.expression
  if (ast.isIdentifier(callee)) return HOOKS.has(callee.text)
  return (
    ast.isPropertyAccessExpression(callee) &&
    ast.isIdentifier(callee.expression) &&
    callee.expression.text === 'test' &&
    HOOKS.has(callee.name.text)
  )
}

function isRegistration(node: ast.Node): boolean {
  if (!ast.isCallExpression(node)) return false
  let callee: ast.Node = node.expression
  if (ast.isPropertyAccessExpression(callee)) callee = callee.expression
  return ast.isIdentifier(callee) && REGISTRARS.has(callee.text)
}

/** What `describe` is given is a list of tests and what they share: its functions are judged one by one. */
function isSuiteBody(node: ast.Node): boolean {
  const call = node.parent
  if (call === undefined || !ast.isCallExpression(call)) return false
  return ast.isIdentifier(call.expression) && ['describe', 'suite'].includes(call.expression.text)
}

function functionFact(node: ast.Node, lineOf: (position: number) => number): FunctionFact {
  const first = lineOf(node.getStart())
  let lines = lineOf(node.getEnd()) - first + 1
  const subtract = (child: ast.Node): void => {
    if (isRegistration(child)) lines -= lineOf(child.getEnd()) - lineOf(child.getStart()) + 1
    else child.forEachChild(subtract)
  }
  node.forEachChild(subtract)
  const name = 'name' in node ? (node.name as ast.Node | undefined) : undefined
  const holder = node.parent
  const given =
    name ?? (holder && 'name' in holder ? (holder.name as ast.Node | undefined) : undefined) ?? null
  return { name: given?.getText() ?? 'anonymous function', line: first, lines }
}
