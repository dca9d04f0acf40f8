import assert from 'node:assert/strict'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { fetchJars, whyMissing } from './jars.ts'
import { until } from './process-end.ts'

/** Maven's place is taken by a script: these tests are about the cache, not about the network. */
describe('the cache of jars', { skip: process.platform === 'win32' }, () => {
  let root = ''
  let count = 0

  before(() => {
    root = mkdtempSync(join(tmpdir(), 'freshet-jars-'))
  })

  after(() => rmSync(root, { recursive: true }))

  /** @param copy shell lines of the goal; $out is the folder to fill */
  function machine(copy: string): { cache: string; environment: Record<string, string> } {
    const folder = join(root, `${count++}`)
    const script = `#!/bin/sh
cd ${folder}
if [ "$*" = "-B -version" ]; then echo 'Apache Maven 3.8.7'; exit; fi
echo run >> runs
for one; do case $one in -DoutputDirectory=*) out=\${one#*=};; esac; done
${copy}
`
    const bin = join(folder, 'bin')
    mkdirSync(bin, { recursive: true })
    writeFileSync(join(bin, 'mvn'), script)
    writeFileSync(join(bin, 'java'), `#!/bin/sh\necho 'openjdk version "17"' >&2\n`)
    for (const name of ['mvn', 'java']) chmodSync(join(bin, name), 0o755)
    return { cache: join(folder, 'cache'), environment: { PATH: `${bin}:${process.env.PATH}` } }
  }

  test('whoever comes while jars are being fetched gets all of them, and later nobody fetches again', async () => {
    const places = machine('touch $out/a.jar half; sleep 0.2; touch $out/b.jar')
    const half = join(places.cache, '..', 'half')
    const listed = async () => readdirSync(await fetchJars(places)).sort()
    const first = listed()
    await until('the first jar is there', () => existsSync(half))
    const whole = ['a.jar', 'b.jar']
    assert.deepEqual(await Promise.all([first, listed(), listed()]), [whole, whole, whole])
    assert.equal(readdirSync(places.cache).length, 1)
    rmSync(join(places.cache, '..', 'runs'))
    assert.deepEqual(await listed(), whole)
    assert.ok(!existsSync(join(places.cache, '..', 'runs')))
  })

  test('a fetch that fails leaves no folder and says what Maven said', async () => {
    const places = machine('touch $out/a.jar; echo "[ERROR] Could not transfer artifact"; exit 1')
    await assert.rejects(fetchJars(places), /Could not transfer artifact\nIs its repository reachable\?/)
    assert.deepEqual(readdirSync(places.cache), [])
  })

  test('what a killed fetch left is cleared away once it is old, not before', async () => {
    const places = machine('touch $out/a.jar')
    const [old, fresh] = ['partial-old', 'partial-fresh'].map((name) => join(places.cache, name))
    mkdirSync(old!, { recursive: true })
    mkdirSync(fresh!)
    utimesSync(old!, new Date(0), new Date(0))
    await fetchJars(places)
    assert.deepEqual([existsSync(old!), existsSync(fresh!)], [false, true])
  })

  test('Maven is missed only while there are no jars', async () => {
    const places = machine('touch $out/a.jar')
    assert.equal(whyMissing(places), null)
    const without = machine('exit 1')
    rmSync(join(without.environment.PATH!.split(':')[0]!, 'mvn'))
    const javaOnly = { PATH: without.environment.PATH!.split(':')[0]! }
    assert.match(whyMissing({ cache: places.cache, environment: javaOnly })!, /^expected Maven/)
    await fetchJars(places)
    assert.equal(whyMissing({ cache: places.cache, environment: javaOnly }), null)
    assert.match(whyMissing({ cache: places.cache, environment: { PATH: root } })!, /^expected Java 17/)
  })
})
