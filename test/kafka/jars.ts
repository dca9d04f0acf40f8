/** Apache Kafka's own jars by their Maven coordinates, fetched once into a cache, and what makes its starts quick. */

import { execFile } from 'node:child_process'
import { createHash, randomUUID } from 'node:crypto'
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { checkMavenVersion, findJava, findMaven, type Java } from './java.ts'
import { KafkaError } from './kafka-error.ts'
import { freePorts } from './ports.ts'
import { serverProperties } from './properties.ts'
import { type Jvm, javaArguments, Server } from './server.ts'

const run = promisify(execFile)

const POM = fileURLToPath(new URL('./pom.xml', import.meta.url))
const CACHE = fileURLToPath(new URL('../../node_modules/.cache/freshet-kafka', import.meta.url))
const PLUGIN = 'org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies'
/** 8 s with nothing cached; a slow line gets more. */
const MAVEN_MS_MAX = 600_000
/** Longer than any preparation takes: what is older was left by one that was killed. */
const ABANDONED_MS = 3_600_000
/** Fixed, so that a node's folder can be told from any other cluster's; 22 characters of base64url. */
const CLUSTER_ID = 'freshet-kafka-clusterA'

export interface Kafka {
  jvm: Jvm
  /** A formatted log folder, to be copied. */
  formatted: string
}

interface Places {
  cache: string
  environment: Readonly<Record<string, string | undefined>>
}

const HERE: Places = { cache: CACHE, environment: process.env }

/** By the hash of the pom: another version of Kafka has another folder. */
function jarFolder(cache: string): string {
  return join(cache, createHash('sha256').update(readFileSync(POM)).digest('hex').slice(0, 16))
}

/**
 * Makes a folder under another name and moves it into place when it is whole, so that nobody meets a half; of several
 * that make the same at once, the first stays.
 */
async function makeFolder(path: string, make: (partial: string) => Promise<void>): Promise<void> {
  if (existsSync(path)) return
  const parent = join(path, '..')
  mkdirSync(parent, { recursive: true })
  for (const name of readdirSync(parent).filter((one) => one.startsWith('partial-'))) {
    const left = statSync(join(parent, name), { throwIfNoEntry: false })
    if (left !== undefined && Date.now() - left.mtimeMs > ABANDONED_MS)
      rmSync(join(parent, name), { recursive: true, force: true })
  }
  const partial = join(parent, `partial-${basename(path)}-${randomUUID()}`)
  mkdirSync(partial)
  try {
    await make(partial)
    renameSync(partial, path)
  } catch (error) {
    if (!existsSync(path)) throw error
  } finally {
    rmSync(partial, { recursive: true, force: true })
  }
}

/**
 * @returns the folder of all jars, the same for all who ask
 * @throws {KafkaError} when Maven is missing or too old, or can't fetch them
 */
export async function fetchJars({ cache, environment }: Places): Promise<string> {
  const folder = jarFolder(cache)
  await makeFolder(folder, async (partial) => {
    const maven = findMaven(environment)
    const options = { env: environment, timeout: MAVEN_MS_MAX, maxBuffer: 1 << 24 }
    checkMavenVersion((await run(maven, ['-B', '-version'], options)).stdout)
    const copy = [
      '-q',
      '-B',
      '-C',
      '-f',
      POM,
      PLUGIN,
      `-DoutputDirectory=${partial}`,
      '-DincludeScope=runtime',
    ]
    try {
      await run(maven, copy, options)
    } catch (cause) {
      const { stdout, stderr, message } = cause as Error & { stdout?: string; stderr?: string }
      const told = `${stdout ?? ''}${stderr ?? ''}`.trim() || message
      throw new KafkaError(
        `expected Apache Kafka from Maven, got:\n${told}\nIs its repository reachable? A mirror goes into ~/.m2/settings.xml`,
        { cause },
      )
    }
  })
  return folder
}

/** In one order always: an archive of classes fits one class path, character by character. */
function classPathOf(folder: string): string {
  const jars = readdirSync(folder).filter((name) => name.endsWith('.jar'))
  return jars
    .sort()
    .map((name) => join(folder, name))
    .join(':')
}

/**
 * Formats a log folder and starts a server once. Left are `formatted`, which saves every later node the second JVM, and
 * `kafka.jsa`, classes as this JVM has parsed and linked them: half of the CPU time of a start.
 */
async function prepare(jvm: Jvm, folder: string): Promise<void> {
  const work = join(folder, 'work')
  const scratch = join(work, 'scratch')
  mkdirSync(scratch, { recursive: true })
  const [port = 0, controllerPort = 0] = await freePorts(2)
  const node = { nodeId: 1, port, controllerPort }
  writeFileSync(join(work, 'server.properties'), serverProperties(node, [node], join(work, 'log')))
  const format = ['kafka.tools.StorageTool', 'format', '-t', CLUSTER_ID, '-c', 'server.properties']
  await run(jvm.java, [...javaArguments(jvm, scratch), ...format], { cwd: work })
  cpSync(join(work, 'log'), join(folder, 'formatted'), { recursive: true })
  // A JVM that can't make archives goes on without: no harm but the time.
  const extra = ['-XX:+IgnoreUnrecognizedVMOptions', `-XX:ArchiveClassesAtExit=${join(folder, 'kafka.jsa')}`]
  const server = await Server.start(jvm, work, { discard: folder, extra })
  await server.signal('SIGTERM')
  rmSync(work, { recursive: true })
}

let installed: Promise<Kafka> | undefined

/**
 * The first call on a machine takes 15 s or, with nothing in Maven's own cache, 30 s; the first of a process 0.1 s.
 *
 * @throws {KafkaError} when Java or Maven is missing or too old, or Kafka can't be fetched
 */
export function installKafka(): Promise<Kafka> {
  installed ??= install(HERE)
  return installed
}

async function install(places: Places): Promise<Kafka> {
  const java = findJava(places.environment)
  const jars = await fetchJars(places)
  const jvm: Jvm = { java: java.command, classPath: classPathOf(jars), archive: null }
  const prepared = preparedFolder(jars, java)
  await makeFolder(prepared, (partial) => prepare(jvm, partial))
  const archive = join(prepared, 'kafka.jsa')
  return {
    jvm: { ...jvm, archive: existsSync(archive) ? archive : null },
    formatted: join(prepared, 'formatted'),
  }
}

/** An archive fits one build of Java and one place of the jars. */
function preparedFolder(jars: string, java: Java): string {
  const hash = createHash('sha256').update(`${java.command}\n${java.build}`).digest('hex').slice(0, 16)
  return `${jars}-java-${hash}`
}

let missing: string | null | undefined

/** Why no real Kafka can be had here, and what to install; null when it can, or must be tried. */
export function kafkaMissing(): string | null {
  if (missing === undefined) missing = whyMissing(HERE)
  return missing
}

/** @param places where to look; the answer is not kept */
export function whyMissing({ cache, environment }: Places): string | null {
  if (process.platform === 'win32') return 'expected a POSIX shell, got Windows: use WSL'
  try {
    findJava(environment)
    if (!existsSync(jarFolder(cache))) findMaven(environment)
    return null
  } catch (error) {
    if (error instanceof KafkaError) return error.message
    throw error
  }
}
