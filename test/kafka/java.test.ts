import assert from 'node:assert/strict'
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { checkMavenVersion, findJava, findMaven, javaCommand, javaMajor } from './java.ts'

describe('what the machine has of Java', { skip: process.platform === 'win32' }, () => {
  let root = ''

  before(() => {
    root = mkdtempSync(join(tmpdir(), 'freshet-java-'))
  })

  after(() => rmSync(root, { recursive: true }))

  /** @returns the folder of a program that says this on standard error, as java does */
  function install(path: string, says: string): string {
    const file = join(root, path)
    mkdirSync(dirname(file), { recursive: true })
    writeFileSync(file, `#!/bin/sh\necho '${says}' >&2\n`)
    chmodSync(file, 0o755)
    return dirname(file)
  }

  test('the major version is read from what vendors say, before Java 9 too', () => {
    assert.equal(javaMajor('openjdk version "17.0.15" 2025-04-15'), 17)
    assert.equal(javaMajor('java version "21" 2023-09-19 LTS'), 21)
    assert.equal(javaMajor('openjdk version "26-ea" 2026-03-17'), 26)
    assert.equal(javaMajor('java version "1.8.0_292"'), 8)
    assert.equal(javaMajor('command not found'), null)
  })

  test('JAVA_HOME goes before the PATH, and the first folder of the PATH before the second', () => {
    const one = install('one/bin/java', 'openjdk version "17.0.1"')
    const two = install('two/bin/java', 'openjdk version "21.0.1"')
    const PATH = `${two}:${one}`
    assert.equal(javaCommand({ PATH, JAVA_HOME: join(root, 'one') }), join(one, 'java'))
    assert.equal(javaCommand({ PATH, JAVA_HOME: '' }), join(two, 'java'))
    assert.deepEqual(findJava({ PATH: one }), {
      command: join(one, 'java'),
      build: 'openjdk version "17.0.1"',
    })
  })

  test('who has no Java, too old a one or a wrong JAVA_HOME is told what to install', () => {
    const remedy = /expected Java 17 or newer, got .*: install a Java runtime \(Debian: apt-get install /s
    assert.throws(() => findJava({ PATH: join(root, 'empty') }), remedy)
    assert.throws(() => findJava({}), remedy)
    const old = install('old/bin/java', 'openjdk version "11.0.2" 2019-01-15')
    assert.throws(() => findJava({ PATH: old }), /got openjdk version "11.0.2".* from .*old/)
    assert.throws(() => findJava({ PATH: old }), remedy)
    assert.throws(() => findJava({ JAVA_HOME: join(root, 'nowhere') }), /ENOENT/)
  })

  test('who has no Maven or too old a one is told', () => {
    assert.throws(() => findMaven({ PATH: root }), /expected Maven.*apt-get install maven/)
    for (const good of ['3.6.3', '3.8.7', '3.10.0', '4.0.0'])
      checkMavenVersion(`Apache Maven ${good}\nhome: x`)
    for (const bad of ['Apache Maven 3.6.2 (x)', 'Apache Maven 2.9.9', 'Apache Maven 3.5.9', 'nothing'])
      assert.throws(() => checkMavenVersion(`${bad}\n`), /expected Maven 3.6.3 or newer, got /)
  })
})
