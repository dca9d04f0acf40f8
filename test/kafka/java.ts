/** Which Java and Maven this machine has, and what to install when they don't do. */

import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { KafkaError } from './kafka-error.ts'

/** Brokers of Kafka 4 are built for Java 17. */
const JAVA_MAJOR_MIN = 17
/** What the dependency plugin asks for. */
const MAVEN_MIN = [3, 6, 3] as const

export interface Java {
  command: string
  /** All that `java -version` says: an archive of classes fits one build only. */
  build: string
}

type Environment = Readonly<Record<string, string | undefined>>

/** JAVA_HOME goes first, as Maven does it. */
export function javaCommand(environment: Environment): string | null {
  const home = environment.JAVA_HOME
  if (home !== undefined && home !== '') return join(home, 'bin', 'java')
  return onPath('java', environment)
}

/** @returns the first such file of the PATH, null when there is none */
export function onPath(name: string, environment: Environment): string | null {
  const folders = (environment.PATH ?? '').split(delimiter).filter((folder) => folder !== '')
  return folders.map((folder) => join(folder, name)).find((path) => existsSync(path)) ?? null
}

/** `openjdk version "17.0.15" 2025-04-15` -> 17; before Java 9 it was `1.8.0`. @returns null for anything else */
export function javaMajor(build: string): number | null {
  const found = /version "(?:1\.)?(\d+)/.exec(build)
  return found === null ? null : Number(found[1])
}

/** @throws {KafkaError} when there is none, or it is too old */
export function findJava(environment: Environment = process.env): Java {
  const remedy =
    'install a Java runtime (Debian: apt-get install default-jre-headless), or set JAVA_HOME to one'
  const expected = `expected Java ${JAVA_MAJOR_MIN} or newer`
  const command = javaCommand(environment)
  if (command === null) throw new KafkaError(`${expected}, got none: ${remedy}`)
  const { error, stdout, stderr } = spawnSync(command, ['-version'], { encoding: 'utf8', env: environment })
  if (error !== undefined) throw new KafkaError(`${expected}, got ${error.message}: ${remedy}`)
  const build = `${stderr}${stdout}`.trim()
  const major = javaMajor(build)
  if (major === null || major < JAVA_MAJOR_MIN)
    throw new KafkaError(`${expected}, got ${build.split('\n')[0]} from ${command}: ${remedy}`)
  return { command, build }
}

/** @throws {KafkaError} when there is none */
export function findMaven(environment: Environment = process.env): string {
  const command = onPath('mvn', environment)
  if (command !== null) return command
  throw new KafkaError(
    'expected Maven, which fetches Kafka, got none: install it (Debian: apt-get install maven)',
  )
}

/**
 * @param output of `mvn -version`
 * @throws {KafkaError} when it is too old
 */
export function checkMavenVersion(output: string): void {
  const found = /Apache Maven (\d+)\.(\d+)\.(\d+)/.exec(output)
  const version = found?.slice(1).map(Number) ?? []
  const [major = 0, minor = 0, patch = 0] = version
  const [majorMin, minorMin, patchMin] = MAVEN_MIN
  const older =
    major < majorMin || (major === majorMin && (minor < minorMin || (minor === minorMin && patch < patchMin)))
  if (found === null || older)
    throw new KafkaError(
      `expected Maven ${MAVEN_MIN.join('.')} or newer, got ${output.trim().split('\n')[0]}: install a newer one`,
    )
}
