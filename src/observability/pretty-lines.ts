/** Log lines for people at a terminal: the same facts as the JSON, in the order in which one reads. */

const LEVELS: Readonly<Record<number, string>> = {
  10: 'trace',
  20: 'debug',
  30: 'info',
  40: 'warn',
  50: 'error',
  60: 'fatal',
}

/** ANSI: grey, yellow, red. */
const COLOURS: Readonly<Record<string, string>> = {
  trace: '\u001b[90m',
  debug: '\u001b[90m',
  warn: '\u001b[33m',
  error: '\u001b[31m',
  fatal: '\u001b[31m',
}
const RESET = '\u001b[0m'

/** Told by the line itself. */
const SHOWN = new Set(['level', 'time', 'msg', 'component', 'pid', 'hostname', 'err'])

/**
 * @param json one line of JSON as pino writes it
 * @returns `10:15:02 warn  vectors: msg key=value ...`, ending in a newline; the line itself when it is no JSON
 */
export function prettyLine(json: string, coloured: boolean): string {
  let line: Record<string, unknown>
  try {
    line = JSON.parse(json)
  } catch {
    return json
  }
  const level = LEVELS[line.level as number] ?? String(line.level)
  const time = new Date(line.time as number).toISOString().slice(11, 19)
  const component = line.component === undefined ? '' : `${line.component}: `
  const rest = Object.entries(line)
    .filter(([key]) => !SHOWN.has(key))
    .map(([key, value]) => ` ${key}=${typeof value === 'string' ? value : JSON.stringify(value)}`)
    .join('')
  const error = line.err as { code?: string; message?: string } | undefined
  const why = error === undefined ? '' : ` (${error.code ?? 'error'}: ${error.message})`
  const text = harmless(`${time} ${level.padEnd(5)} ${component}${line.msg ?? ''}${rest}${why}`)
  const colour = coloured ? COLOURS[level] : undefined
  return colour === undefined ? `${text}\n` : `${colour}${text}${RESET}\n`
}

/** What came from outside must not break the line, nor command the terminal. */
function harmless(text: string): string {
  return text.replace(/\p{Cc}/gu, (control) =>
    JSON.stringify(control)
      .slice(1, -1)
      .replace(/^[^\\]/, '?'),
  )
}
