/** The command line as its users meet it: help, exit codes, and the verbs through processes of their own. */

import assert from 'node:assert/strict'
import {
  appendFileSync,
  cpSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, suite, test } from 'node:test'
import type { Command } from 'commander'
import { createProgram } from '../../src/cli/program.ts'
import { openDataDirectory } from '../../src/drivers/sqlite/data-directory.ts'
import { WriterLock } from '../../src/drivers/sqlite/writer-lock.ts'
import { hasDirectory, runToEnd, SETTINGS, startProgram } from '../kill/program.ts'
import { GOLDEN_BUNDLE, search } from './standalone-fixture.ts'

function verbsBelow(command: Command): Command[] {
  return command.commands.flatMap((verb) => (verb.commands.length > 0 ? verbsBelow(verb) : [verb]))
}

function helpOf(command: Command): string {
  let help = ''
  command.configureOutput({
    writeOut: (text) => {
      help += text
    },
  })
  command.outputHelp()
  return help
}

// Beside each other: most of a child's time is its start.
suite('the program', { concurrency: 3 }, () => {
  const root = mkdtempSync(join(tmpdir(), 'freshet-program-'))
  const directory = join(root, 'data')
  const file = join(root, 'events.jsonl')
  const here = ['-d', directory, ...SETTINGS]

  before(async () => {
    const now = Date.now()
    const at = (user: string, query: string) => ({
      ...search(user, query),
      header: { event_id: `${user}-${query}`, event_time: now - 60_000, source: 'test', user_id: user },
    })
    const events = [at('ada', 'hotels'), at('ben', 'boots'), at('chloe', 'rice')]
    const ahead = { ...at('ada', 'next year'), header: { ...at('ada', '').header, event_time: now + 3.2e10 } }
    const lines = [...events, ahead].map((event) => JSON.stringify(event))
    writeFileSync(file, `${lines.join('\n')}\n{broken\n`)
    const { stdout } = await runToEnd([...here, 'ingest', '--json', file])
    const { files, deadLetters } = JSON.parse(stdout)
    assert.deepEqual([files[0].records, files[0].deadLetters, files[0].resumedAt], [4, 1, 0])
    assert.deepEqual(deadLetters, { 'event-from-future': 1, 'ingest-line': 1 }, 'those of the pipeline, too')
  })

  after(() => rmSync(root, { recursive: true, force: true }))

  suite('over one data directory', { concurrency: 1 }, () => {
    test('nearest, explain and the dead letters answer as JSON from a directory at rest', async () => {
      const nearest = JSON.parse((await runToEnd([...here, 'nearest', 'ada', '--json'])).stdout)
      assert.deepEqual(nearest.neighbours.map(({ user }: { user: string }) => user).sort(), ['ben', 'chloe'])
      const explained = JSON.parse((await runToEnd([...here, 'explain', 'ada', '--json'])).stdout)
      assert.equal(explained.window.search.length, 1)
      const letters = JSON.parse((await runToEnd([...here, 'dlq', 'list', '--json'])).stdout)
      assert.deepEqual(
        letters.map(({ reason }: { reason: string }) => reason),
        ['ingest-line', 'event-from-future'],
      )
    })

    test('a page says how the next is asked for, the last says nothing, and another question is refused', async () => {
      const first = await runToEnd([...here, 'nearest', 'ada', '-k', '1'])
      const next = /^there are more: the same command with --after (\S+)$/m.exec(first.stderr)![1]!
      const second = await runToEnd([...here, 'nearest', 'ada', '-k', '1', '--after', next])
      assert.doesNotMatch(second.stderr, /there are more/)
      const users = [first, second].map(({ stdout }) => / (ben|chloe) /.exec(stdout)![1])
      assert.deepEqual(users.sort(), ['ben', 'chloe'])
      const other = await runToEnd([...here, 'nearest', 'ada', '--before', '2020-01-01', '--after', next], 2)
      assert.match(other.stderr, /^error: page-of-other-question: /m)
      const nobody = await runToEnd([...here, 'nearest', 'ada', '--before', '2020-01-01'])
      assert.deepEqual([nobody.stdout, /^nobody fits$/m.test(nobody.stderr)], ['', true])
    })

    test('over SQLite recall says that every search is exact', async () => {
      const { stdout } = await runToEnd([...here, 'collections', 'recall', '-k', '1', '--json'])
      const { alwaysExact, recall, users: asked } = JSON.parse(stdout)
      assert.deepEqual([alwaysExact, recall, asked], [true, { mean: 1, p5: 1 }, 3])
    })

    test('an instruction that is added is embedded before the verb ends, and a forgotten user is gone', async () => {
      await runToEnd([...here, 'instructions', 'add', 'next', 'What next?'])
      const { stdout } = await runToEnd([...here, 'nearest', 'ada', '-i', 'next', '--json'])
      assert.equal(JSON.parse(stdout).neighbours.length, 2)
      const forgotten = await runToEnd([...here, 'forget', 'ben', '--json'])
      assert.equal(JSON.parse(forgotten.stdout).state, 'done')
      const { stderr } = await runToEnd([...here, 'nearest', 'ben'], 2)
      assert.match(stderr, /^error: user-not-embedded: /m)
      await runToEnd([...here, 'verify'])
    })

    test('another bundle than the one the directory was made with is refused, with what to do', async () => {
      const args = [
        '-d',
        directory,
        '--set',
        `model.bundle=${join(GOLDEN_BUNDLE, '../bundle-mlp')}`,
        'nearest',
        'ada',
      ]
      const { stderr } = await runToEnd(args, 2)
      assert.match(stderr, /^error: model-not-active: .*golden-linear.*dataDir/m)
    })
  })

  test('every verb has a help of its own, with an example that begins with its name', () => {
    const verbs = verbsBelow(createProgram())
    assert.ok(verbs.length >= 25)
    for (const verb of verbs) {
      if (verb.name() === 'version') continue
      const path = [verb.parent?.name() === 'freshet' ? '' : `${verb.parent!.name()} `, verb.name()].join('')
      assert.match(helpOf(verb), new RegExp(`Examples:\\n(.*\\n)*?.*freshet ${path}`), path)
    }
  })

  test('an unknown verb, an unknown option and an odd value are mistakes of usage: exit code 2', async () => {
    const commands = [
      ['nope'],
      ['nearest', '--nope'],
      ['nearest', 'ada', '-k', 'many'],
      ['--set', 'x', 'run'],
    ]
    const ends = await Promise.all(commands.map((args) => startProgram(args).ended))
    assert.deepEqual(
      ends.map(({ code }) => code),
      [2, 2, 2, 2],
    )
    for (const { stderr } of ends) assert.doesNotMatch(stderr, / at .*\.ts:\d/)
  })

  test('the standard input is an import like any other: what is piped again is known by its content', async () => {
    const path = join(root, 'piped')
    const args = ['-d', path, ...SETTINGS, 'ingest', '--json', '--no-embed', '-']
    const input = readFileSync(file)
    const reports = [await runToEnd(args, 0, input), await runToEnd(args, 0, input)]
    const [first, second] = reports.map(({ stdout }) => JSON.parse(stdout).files[0])
    assert.equal(first.file, 'the standard input')
    assert.deepEqual([first.records, first.resumedAt, second.records, second.resumedAt], [4, 0, 4, null])
    assert.deepEqual(readdirSync(join(path, 'spool')), [])
  })

  test('where a process holds the directory, a verb asks it; where it does not answer, the exit code is 3', async () => {
    const path = join(root, 'locked')
    openDataDirectory({ path, access: 'write', nowMs: Date.now() }).close()
    const lock = WriterLock.acquire(path, Date.now())
    try {
      const silent = await runToEnd(['-d', path, ...SETTINGS, 'nearest', 'ada'], 2)
      assert.match(silent.stderr, /^error: data-directory-locked: .*stop it/m)
      lock.announce('http://127.0.0.1:9')
      await runToEnd(['-d', path, ...SETTINGS, 'nearest', 'ada'], 3)
    } finally {
      lock.release()
    }
  })

  test('where a service runs, every verb goes to it over HTTP, and SIGTERM ends it with exit code 0', async () => {
    const path = join(root, 'served')
    const there = ['-d', path, ...SETTINGS]
    const service = startProgram([...there, 'run'])
    await hasDirectory(service, path, true)
    const ingested = JSON.parse((await runToEnd([...there, 'ingest', '--json', file])).stdout)
    assert.deepEqual([ingested.accepted, ingested.rejected], [3, 2])
    await runToEnd([...there, 'instructions', 'add', 'next', 'What next?'])
    const asked = await Promise.all([
      runToEnd([...there, 'instructions', 'list']),
      runToEnd([...there, 'user', 'ada', '--vectors', '--json']),
      runToEnd([...there, 'verify', '--json']),
      runToEnd([...there, 'users', 'parked']),
      runToEnd([...there, 'nearest', 'ada', '-k', '1', '--json']),
      runToEnd([...there, 'collections', 'recall', '-i', 'next', '-k', '1']),
    ])
    const page = JSON.parse(asked[4].stdout)
    const rest = await runToEnd([...there, 'nearest', 'ada', '--after', page.next, '--json'])
    assert.deepEqual([page.neighbours.length, JSON.parse(rest.stdout).neighbours.length], [1, 1])
    assert.match(asked[5].stdout, /^recall@1 over 3 users: mean 1\.0000, p5 1\.0000$/m)
    assert.match(asked[0].stdout, /^next +main +active +What next\?$/m)
    assert.equal(JSON.parse(asked[1].stdout).instructions[0].vector.length, 16)
    assert.deepEqual(JSON.parse(asked[2].stdout).wrong, [])
    assert.match((await runToEnd([...there, 'forget', 'ada'])).stdout, /^ada: forgotten as of /)
    await runToEnd([...there, 'instructions', 'retire', 'next'])
    const { stderr } = await runToEnd([...there, 'nearest', 'nobody'], 2)
    assert.match(stderr, /^error: user-unknown: /m)
    service.child.kill('SIGTERM')
    assert.equal((await service.ended).code, 0)
  })

  test('Ctrl-C ends start gracefully, even while everybody is embedded for the first time', async () => {
    const world = join(root, 'world')
    const start = startProgram(['-d', world, ...SETTINGS, 'start', '--users', '60'])
    await hasDirectory(start, world, true)
    start.child.kill('SIGINT')
    assert.equal((await start.ended).code, 0)
  })

  test('a data directory of a newer version, a flipped byte and a climbing path are refused by name', async () => {
    const newer = join(root, 'newer')
    const { main, close } = openDataDirectory({ path: newer, access: 'write', nowMs: Date.now() })
    main.exec('PRAGMA user_version = 99')
    close()
    const flipped = join(root, 'flipped')
    cpSync(GOLDEN_BUNDLE, flipped, { recursive: true })
    const weights = join(flipped, 'modules.safetensors')
    const bytes = readFileSync(weights)
    bytes[bytes.length - 1]! ^= 1
    writeFileSync(weights, bytes)
    const climbing = join(root, 'climbing')
    cpSync(GOLDEN_BUNDLE, climbing, { recursive: true })
    const manifest = readFileSync(join(climbing, 'manifest.json'), 'utf8')
    writeFileSync(
      join(climbing, 'manifest.json'),
      manifest.replace('"modules.safetensors"', '"../modules.safetensors"'),
    )
    const ends = await Promise.all([
      runToEnd(['-d', newer, ...SETTINGS, 'nearest', 'ada'], 2),
      runToEnd(['-d', join(root, 'f'), '--set', `model.bundle=${flipped}`, 'nearest', 'ada'], 2),
      runToEnd(['model', 'verify', climbing], 2),
    ])
    assert.deepEqual(
      ends.map(({ stderr }) => /^error: ([a-z-]+): /m.exec(stderr)?.[1]),
      ['data-directory-newer', 'bundle-file-changed', 'bundle-path'],
    )
  })

  test('embed gives the vectors of the golden set, in every form', async () => {
    const input = join(GOLDEN_BUNDLE, '../embed-linear.json')
    const golden = JSON.parse(readFileSync(input, 'utf8'))
    const forms = ['packed', 'separate']
    const ends = await Promise.all(
      forms.map((form) => runToEnd(['embed', '--bundle', GOLDEN_BUNDLE, '--input', input, '--form', form])),
    )
    for (const { stdout } of ends) {
      const answer = JSON.parse(stdout)
      assert.equal(answer.model, 'golden-linear')
      for (const [i, { vectors }] of answer.users.entries())
        for (const [j, vector] of vectors.entries())
          for (const [at, value] of vector.entries()) {
            const expected = golden.expected.users[i].results[j].u[at]
            assert.ok(
              Math.abs(value - expected) <= golden.tolerance.u,
              `user ${i}, instruction ${j}, ${value}, ${expected}`,
            )
          }
    }
  })

  test('embed reads lines of users from the standard input, and names the line that is none', async () => {
    const lines = '{"id":"a","events":{"search":["Searched for hotels."]}}\n{"id":"b"}\n'
    const args = ['embed', '--bundle', GOLDEN_BUNDLE, '--input', '-', '--instruction', 'What next?']
    const { stdout } = await runToEnd(args, 0, lines)
    const answer = JSON.parse(stdout)
    assert.deepEqual(
      answer.users.map(({ id, vectors }: { id: string; vectors: number[][] }) => [
        id,
        vectors.length,
        vectors[0]!.length,
      ]),
      [
        ['a', 1, 16],
        ['b', 1, 16],
      ],
    )
    const { stderr } = await runToEnd(args, 2, `${lines}{"id":7}\n`)
    assert.match(stderr, /^error: embed-input: the standard input:3: /m)
  })

  test('start shows a moving vector as plain lines, and leaves nothing behind', async () => {
    const { stdout, stderr } = await runToEnd([
      ...SETTINGS,
      'start',
      '--users',
      '15',
      '--rate',
      '60',
      '--for',
      '7',
    ])
    assert.match(stdout, /try: curl 'http:\/\/127\.0\.0\.1:\d+\/v1\/users\/ada\/nearest/)
    assert.match(stdout, / Ada: \w+/)
    assert.match(stdout, /next-need: moved \d\.\d{4}, since the start (?!0\.0000)\d\.\d{4}, near \w/)
    assert.match(stderr, /is removed$/m)
  })

  test('config lint names the place of a fault, and doctor the bundle that is not whole', async () => {
    const config = join(root, 'freshet.yaml')
    writeFileSync(config, 'refresh:\n  quietMs: 60000\n  maxDelayMs: 30000\n')
    appendFileSync(config, 'sever: {}\n')
    const lint = await runToEnd(['config', 'lint', '--config', config], 2)
    assert.match(lint.stdout, /freshet\.yaml:4/)
    const print = await runToEnd(['config', 'print', '--set', 'refresh.quietMs=7'])
    assert.match(print.stdout, /quietMs: 7 # flag/)
    const doctor = await runToEnd(
      ['-d', directory, '--set', 'server.port=0', '--set', `model.bundle=${root}`, 'doctor', '--json'],
      2,
    )
    const failed = JSON.parse(doctor.stdout).filter(({ result }: { result: string }) => result === 'fail')
    assert.deepEqual(
      failed.map(({ what }: { what: string }) => what),
      ['bundle'],
    )
  })
})
