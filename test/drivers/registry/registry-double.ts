/** A schema registry over HTTP that answers as Confluent's does, holds everything in memory, and fails on demand. */

import { createHash } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import avsc from 'avsc'

interface Reference {
  name: string
  subject: string
  version: number
}

interface Stored {
  id: number
  guid: string
  schema: string
  schemaType: string
  references: Reference[]
}

/** What goes wrong with every request until it is changed. */
export type RegistryFault =
  | { kind: 'down' }
  | { kind: 'hangs' }
  /** Answers once the promise has settled. */
  | { kind: 'slow'; until: Promise<void> }
  /** So many times nothing is known, as in a replica that hasn't heard of it yet. */
  | { kind: 'lags'; answers: number }
  | { kind: 'status'; status: number; headers?: Record<string, string> }
  | { kind: 'page' }
  | { kind: 'json'; body: unknown }
  | { kind: 'endless' }
  | { kind: 'redirect'; to: string }

export interface RegistryDouble {
  url: string
  fault: RegistryFault | null
  /** `GET /schemas/ids/1`, in the order of arrival, those that failed as well. */
  requests: string[]
  /** Level of subjects without one of their own. */
  level: string
  /** @returns id and GUID; whatever the level says */
  put(subject: string, schema: unknown, more?: { schemaType?: string; references?: Reference[] }): Stored
  levelOf(subject: string): string | undefined
  versionsOf(subject: string): number
  close(): Promise<void>
}

export interface RegistryDoubleOptions {
  username?: string
  password?: string
  /** False: an older registry, which answers 404 without a word. */
  hasGuids?: boolean
  /** False: a registry that says no without a reason. */
  givesReasons?: boolean
  /** Before every path. */
  path?: string
}

interface Answer {
  status: number
  body: unknown
}

const no = (status: number, code: number, message: string): Answer => ({
  status,
  body: { error_code: code, message },
})
const yes = (body: unknown): Answer => ({ status: 200, body })

class Registry {
  readonly byId = new Map<number, Stored>()
  readonly subjects = new Map<string, Stored[]>()
  readonly levels = new Map<string, string>()
  level = 'BACKWARD'

  put(subject: string, text: string, schemaType = 'AVRO', references: Reference[] = []): Stored {
    const same = [...this.byId.values()].find((one) => one.schema === text)
    const stored = same ?? this.stored(text, schemaType, references)
    const versions = this.subjects.get(subject) ?? []
    this.subjects.set(subject, versions)
    if (!versions.includes(stored)) versions.push(stored)
    return stored
  }

  private stored(schema: string, schemaType: string, references: Reference[]): Stored {
    const hex = createHash('sha256').update(schema).digest('hex')
    const guid = hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12}).*/, '$1-$2-$3-$4-$5')
    const stored = { id: this.byId.size + 1, guid, schema, schemaType, references }
    this.byId.set(stored.id, stored)
    return stored
  }

  levelOf(subject: string): string {
    return this.levels.get(subject) ?? this.level
  }

  /** Why the level of the subject forbids the schema. */
  conflicts(subject: string, text: string, asked?: 'all' | 'latest'): string[] {
    const level = this.levelOf(subject)
    const versions = this.subjects.get(subject) ?? []
    const isAll = asked === 'all' || (asked === undefined && level.endsWith('_TRANSITIVE'))
    const older = isAll ? versions : versions.slice(-1)
    const ours = avsc.Type.forSchema(JSON.parse(text))
    return older.flatMap(({ id, schema }) => {
      const theirs = avsc.Type.forSchema(JSON.parse(schema))
      const pairs: [avsc.Type, avsc.Type][] = []
      if (/^(BACKWARD|FULL)/.test(level)) pairs.push([ours, theirs])
      if (/^(FORWARD|FULL)/.test(level)) pairs.push([theirs, ours])
      return pairs.flatMap(([reader, writer]) => {
        try {
          reader.createResolver(writer)
          return []
        } catch (error) {
          return [`READER_WRITER_MISMATCH against schema ${id}: ${(error as Error).message}`]
        }
      })
    })
  }
}

function schemaAnswer({ schema, schemaType, references }: Stored): Record<string, unknown> {
  return {
    schema,
    ...(schemaType !== 'AVRO' && { schemaType }),
    ...(references.length > 0 && { references }),
  }
}

function versionAnswer(subject: string, versions: Stored[], stored: Stored): Answer {
  return yes({ subject, version: versions.indexOf(stored) + 1, id: stored.id, ...schemaAnswer(stored) })
}

function route(
  registry: Registry,
  method: string,
  path: string,
  body: never,
  options: RegistryDoubleOptions,
): Answer | null {
  const [first, second = '', third, fourth, fifth] = path.split('/').slice(1).map(decodeURIComponent)
  if (path === '/schemas/types') return yes(['JSON', 'PROTOBUF', 'AVRO'])
  if (first === 'schemas' && second === 'ids') {
    const stored = registry.byId.get(Number(third))
    return stored === undefined ? no(404, 40403, `Schema ${third} not found`) : yes(schemaAnswer(stored))
  }
  if (first === 'schemas' && second === 'guids' && options.hasGuids !== false) {
    const stored = [...registry.byId.values()].find(({ guid }) => guid === third)
    return stored === undefined ? no(404, 40403, `Schema ${third} not found`) : yes(schemaAnswer(stored))
  }
  if (first === 'config') return config(registry, method, second, body)
  if (first === 'compatibility' && third !== undefined) {
    if (!registry.subjects.has(third)) return no(404, 40401, `Subject '${third}' not found.`)
    // As some registries do: every version, whatever the level.
    const asked = fifth === 'latest' ? 'latest' : 'all'
    const messages = registry.conflicts(third, (body as { schema: string }).schema, asked)
    const reasons = options.givesReasons === false ? {} : { messages }
    return yes({ is_compatible: messages.length === 0, ...reasons })
  }
  return first === 'subjects' ? subjects(registry, method, second, third, fourth, body) : null
}

function config(
  registry: Registry,
  method: string,
  subject: string,
  body: { compatibility: string },
): Answer {
  if (method === 'PUT') {
    registry.levels.set(subject, body.compatibility)
    return yes({ compatibility: body.compatibility })
  }
  if (subject === '') return yes({ compatibilityLevel: registry.level })
  const level = registry.levels.get(subject)
  return level === undefined
    ? no(404, 40408, `Subject '${subject}' does not have subject-level compatibility configured`)
    : yes({ compatibilityLevel: level })
}

function subjects(
  registry: Registry,
  method: string,
  subject: string,
  third: string | undefined,
  version: string | undefined,
  body: { schema: string; references?: Reference[] },
): Answer {
  const versions = registry.subjects.get(subject)
  if (method === 'POST' && third === 'versions') {
    if (body.references !== undefined)
      return yes({ id: registry.put(subject, body.schema, 'AVRO', body.references).id })
    try {
      avsc.Type.forSchema(JSON.parse(body.schema))
    } catch {
      return no(422, 42201, 'Invalid schema')
    }
    const conflicts = registry.conflicts(subject, body.schema)
    if (conflicts.length > 0 && versions?.some(({ schema }) => schema === body.schema) !== true)
      return no(409, 409, `Schema being registered is incompatible: ${conflicts.join(', ')}`)
    return yes({ id: registry.put(subject, body.schema).id })
  }
  if (versions === undefined) return no(404, 40401, `Subject '${subject}' not found.`)
  if (method === 'POST') {
    const stored = versions.find(({ schema }) => schema === body.schema)
    return stored === undefined
      ? no(404, 40403, 'Schema not found')
      : versionAnswer(subject, versions, stored)
  }
  if (version === undefined) return yes(versions.map((_, i) => i + 1))
  const stored = versions[Number(version) - 1]
  return stored === undefined
    ? no(404, 40402, `Version ${version} not found.`)
    : versionAnswer(subject, versions, stored)
}

async function bodyOf(request: IncomingMessage): Promise<never> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk)
  return (chunks.length === 0 ? undefined : JSON.parse(Buffer.concat(chunks).toString())) as never
}

/** @returns true when the fault has answered */
async function failed(fault: RegistryFault | null, response: ServerResponse): Promise<boolean> {
  switch (fault?.kind) {
    case undefined:
      return false
    case 'slow':
      await fault.until
      return false
    case 'hangs':
      return true
    case 'lags':
      if (fault.answers-- <= 0) return false
      response.writeHead(404).end(JSON.stringify(no(404, 40403, 'Schema not found').body))
      return true
    case 'down':
      response.destroy()
      return true
    case 'status':
      response.writeHead(fault.status, fault.headers).end('not now')
      return true
    case 'page':
      response.writeHead(200, { 'content-type': 'text/html' }).end('<html>Welcome</html>')
      return true
    case 'json':
      response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(fault.body))
      return true
    case 'redirect':
      response.writeHead(302, { location: fault.to }).end()
      return true
    case 'endless':
      for (let i = 0; i < 6 && !response.destroyed; i++) response.write(Buffer.alloc(1024 * 1024, 0x20))
      response.end('{}')
      return true
  }
}

/** Listens on a free port of this machine. */
export async function startRegistryDouble(options: RegistryDoubleOptions = {}): Promise<RegistryDouble> {
  const registry = new Registry()
  const { username, password, path: before = '' } = options
  const secret =
    username === undefined ? null : `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`
  const server = createServer(async (request, response) => {
    const { method = 'GET', url = '/' } = request
    double.requests.push(`${method} ${url}`)
    const body = await bodyOf(request)
    if (await failed(double.fault, response)) return
    const isIn = secret === null || request.headers.authorization === secret
    const path = new URL(url, 'http://double').pathname
    const answer = !isIn
      ? no(401, 401, 'Unauthorized')
      : path.startsWith(before)
        ? route(registry, method, path.slice(before.length), body, options)
        : null
    if (answer === null) response.writeHead(404).end()
    else
      response
        .writeHead(answer.status, { 'content-type': 'application/vnd.schemaregistry.v1+json' })
        .end(JSON.stringify(answer.body))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const double: RegistryDouble = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}${before}`,
    fault: null,
    requests: [],
    get level() {
      return registry.level
    },
    set level(level) {
      registry.level = level
    },
    put: (subject, schema, { schemaType, references } = {}) =>
      registry.put(
        subject,
        typeof schema === 'string' ? schema : JSON.stringify(schema),
        schemaType,
        references,
      ),
    levelOf: (subject) => registry.levels.get(subject),
    versionsOf: (subject) => registry.subjects.get(subject)?.length ?? 0,
    close: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
  return double
}
