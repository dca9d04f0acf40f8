/** `freshet schemas` as its users meet it: answers, exit codes, and what a registry is asked to do. */

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { createProgram } from '../../src/cli/program.ts'
import { FreshetError } from '../../src/errors.ts'
import { ownSchema } from '../../src/events/own-schemas.ts'
import { type RegistryDouble, startRegistryDouble } from '../drivers/registry/registry-double.ts'
import { runToEnd } from '../kill/program.ts'

let double: RegistryDouble
let here: string[]

const TOPICS = JSON.stringify([
  { topic: 'behavior.search', holds: 'search', format: 'avro-confluent' },
  { topic: 'behavior.app', holds: 'app', format: 'avro-confluent' },
  { topic: 'user.tabular', holds: 'tabular' },
  { topic: 'clicks', holds: 'spm', format: 'json' },
])

describe('freshet schemas', () => {
  before(async () => {
    double = await startRegistryDouble({ username: 'me', password: 'correct horse' })
    here = ['--set', `events.registry.urls=["${double.url}"]`, '--set', `events.topics=${TOPICS}`]
    here.push('--set', 'events.registry.username=me', '--set', 'events.registry.password=correct horse')
  })

  after(() => double.close())

  test('register says what it did, and check then calls it the same', async () => {
    const made = JSON.parse((await runToEnd([...here, 'schemas', 'register', '--json'])).stdout)
    assert.deepEqual(
      made.map(({ topic, status, done, level }: Record<string, string>) => [topic, status, done, level]),
      [
        ['behavior.search', 'missing', 'registered', 'FULL_TRANSITIVE'],
        ['behavior.app', 'missing', 'registered', 'FULL_TRANSITIVE'],
      ],
    )
    const { stdout } = await runToEnd([...here, 'schemas', 'check', 'behavior.search', 'user.tabular'])
    assert.match(stdout, /^behavior\.search +behavior\.search-value +same +1 +FULL_TRANSITIVE$/m)
    assert.match(stdout, /^user\.tabular +user\.tabular-value +missing +BACKWARD$/m)
    assert.match(stdout, /^freshet schemas register would register/m)
  })

  test('what won’t do is refused with exit code 4, and nothing is written', async () => {
    const { fields, ...more } = ownSchema('spm') as { fields: { name: string }[] }
    double.put('pages-value', { ...more, fields: fields.filter(({ name }) => name !== 'spm_a') })
    const topics = `events.topics=${JSON.stringify([{ topic: 'pages', holds: 'spm', format: 'avro-confluent' }])}`
    const { stdout, stderr } = await runToEnd([...here, '--set', topics, 'schemas', 'register'], 4)
    assert.match(stdout, /^pages +pages-value +incompatible .*as it was$/m)
    assert.match(stderr, /^pages-value: refused: .*spm_a/m)
    assert.match(
      stderr,
      /^pages-value: version 1 \(id \d+\) can't be read, its records will be dead letters/m,
    )
    assert.equal(double.versionsOf('pages-value'), 1)
  })

  test('mistakes say what to do before anything is asked', async () => {
    const fails = (args: readonly string[], code: string, message: RegExp) =>
      assert.rejects(createProgram().parseAsync(args, { from: 'user' }), (error: unknown) => {
        assert.ok(error instanceof FreshetError, String(error))
        assert.equal(error.code, code)
        assert.match(error.message, message)
        return true
      })
    const check = [...here, 'schemas', 'check']
    await fails(
      ['schemas', 'check', 'behavior.search'],
      'registry-missing',
      /events\.registry\.urls must name/,
    )
    await fails([...here.slice(0, 2), 'schemas', 'check'], 'schemas-topics', /name the topics/)
    await fails([...check, 'behavior.serch'], 'schemas-topics', /did you mean behavior\.search\?/)
    await fails([...check, 'clicks'], 'schemas-topics', /clicks, which is in JSON/)
    const wrong = ['--set', 'events.registry.password=wrong']
    await fails([...here, ...wrong, 'schemas', 'check'], 'registry-unauthorized', /status 401/)
  })
})
