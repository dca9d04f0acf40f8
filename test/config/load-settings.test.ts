/** Settings are found, overridden, checked and complained about with their places. */

import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { environmentName } from '../../src/config/environment.ts'
import { findingText } from '../../src/config/finding.ts'
import { lintSettings, loadSettings } from '../../src/config/load-settings.ts'
import { printSettings } from '../../src/config/print-settings.ts'
import { LEAVES, settingsSchema } from '../../src/config/settings.ts'
import { ConfigError } from '../../src/errors.ts'

let directory: string

function file(text: string): string {
  const path = join(directory, 'settings.yaml')
  writeFileSync(path, text)
  return path
}

/** As a settings file writes it. */
const reference = (name: string) => `$\{${name}}`

function lint(text: string, env: Record<string, string> = {}): string[] {
  const path = file(text)
  return lintSettings({ file: path, env }).map((finding) =>
    findingText(finding).replaceAll(path, 'settings.yaml'),
  )
}

/** Another value than the default of every setting whose default is no number. */
const OTHER_VALUES: Record<string, unknown> = {
  dataDir: '/data',
  'server.host': 'localhost',
  'server.adminSecret': '0123456789012345',
  'log.level': 'warn',
  'log.userIds': 'plain',
  'log.pretty': true,
  'server.url': 'https://freshet.example',
  'model.bundle': 'bundles/1',
  'model.provider': 'cuda',
  'model.precision': 'fp16',
  'model.threads': 3,
  'model.timezone': 'Asia/Shanghai',
  'windows.horizonDays': 30.5,
  'events.driver': 'kafka',
  'events.kafka.brokers': ['kafka.example:9093'],
  'events.kafka.topicPrefix': 'staging.',
  'events.kafka.tls.enabled': true,
  'events.kafka.tls.caFile': 'ca.pem',
  'events.kafka.tls.certFile': 'own.pem',
  'events.kafka.tls.keyFile': 'own.key',
  'events.kafka.tls.servername': 'kafka',
  'events.kafka.tls.rejectUnauthorized': false,
  'events.kafka.sasl.mechanism': 'plain',
  'events.kafka.sasl.username': 'freshet',
  'events.kafka.sasl.password': 'secret',
  'events.kafka.sasl.tokenModule': 'tokens.mjs',
  'events.kafka.offsetOutOfRange': 'latest',
  'events.kafka.updates': true,
  'events.kafka.newTopics.replicas': 3,
  'events.topics': [
    {
      topic: 't',
      holds: 'app',
      format: 'json',
      schema: null,
      fields: { app_id: 'a' },
      partitioner: 'other',
    },
  ],
  'events.schemas.directory': 'own',
  'events.schemas.ids': { 7: 'x' },
  'events.registry.urls': ['https://registry.example:8081'],
  'events.registry.username': 'freshet',
  'events.registry.password': 'secret',
  'instructions.directory': 'texts',
  'vectors.driver': 'qdrant',
  'vectors.sqliteFile': 'vectors.db',
  'vectors.qdrant.url': 'https://qdrant.example:6333',
  'vectors.qdrant.grpcUrl': 'https://qdrant.example:6334',
  'vectors.qdrant.apiKey': 'secret',
  'vectors.qdrant.prefix': 'staging',
  'vectors.qdrant.writeOrdering': 'strong',
  'vectors.qdrant.readConsistency': 'majority',
  'vectors.qdrant.searchEf': 64,
  'vectors.qdrant.collection.datatype': 'float16',
  'vectors.qdrant.collection.onDisk': true,
  'vectors.qdrant.collection.payloadOnDisk': false,
  'vectors.qdrant.collection.hnsw.onDisk': true,
  'vectors.qdrant.collection.quantization': 'int8',
  'vectors.qdrant.collection.deletedThreshold': 0.1,
  'vectors.qdrant.collection.segmentKbMax': 5_000,
  'vectors.qdrant.collection.segments': 4,
  'vectors.qdrant.collection.strictMode': true,
}

describe('settings', () => {
  before(() => {
    directory = mkdtempSync(join(tmpdir(), 'freshet-config-'))
  })
  after(() => rmSync(directory, { recursive: true }))

  test('an empty file, no file and {} all give the defaults', () => {
    for (const path of [null, file(''), file('{}'), file('# nothing\n')])
      assert.deepEqual(loadSettings({ file: path, env: {} }).settings, settingsSchema.parse({}))
  })

  test('a flag wins over the environment, that over the file, that over the default, and each is named', () => {
    const path = file('refresh:\n  quietMs: 1\n  maxDelayMs: 11\n  minEvents: 21\n')
    const { settings, origins } = loadSettings({
      file: path,
      env: { FRESHET_REFRESH__QUIET_MS: '2', FRESHET_REFRESH__MAX_DELAY_MS: '12' },
      flags: { 'refresh.quietMs': 3 },
    })
    assert.deepEqual(
      [settings.refresh.quietMs, settings.refresh.maxDelayMs, settings.refresh.minEvents],
      [3, 12, 21],
    )
    const named = ['refresh.quietMs', 'refresh.maxDelayMs', 'refresh.minEvents', 'refresh.batchUsersMax']
    assert.deepEqual(
      named.map((name) => origins.get(name)),
      ['flag', 'FRESHET_REFRESH__MAX_DELAY_MS', `${path}:4`, 'default'],
    )
  })

  test('every setting can be given by its environment twin', () => {
    const other: Record<string, unknown> = { ...OTHER_VALUES }
    const defaults = settingsSchema.parse({}) as unknown as Record<string, never>
    const env: Record<string, string> = {}
    for (const { path } of LEAVES) {
      const byDefault = path.split('.').reduce<unknown>((value, name) => (value as never)[name], defaults)
      const value = other[path] ?? (byDefault as number) + (path.endsWith('BytesMax') ? 1 : 10)
      other[path] = value
      env[environmentName(path)] = typeof value === 'string' ? value : JSON.stringify(value)
    }
    const { settings } = loadSettings({ file: null, env })
    for (const { path } of LEAVES)
      assert.deepEqual(
        path.split('.').reduce<unknown>((value, name) => (value as never)[name], settings),
        other[path],
        path,
      )
  })

  test('the environment can take a setting back to null', () => {
    const path = file('model:\n  bundle: somewhere\n')
    assert.equal(
      loadSettings({ file: path, env: { FRESHET_MODEL__BUNDLE: 'null' } }).settings.model.bundle,
      null,
    )
  })

  test('references to the environment are replaced; unquoted they keep their type, $${ stays literal', () => {
    const path = file(
      `server:\n  port: ${reference('PORT:-7711')}\n  host: "${reference('HOST')}"\ndataDir: a/${reference('X:-b')}/$${reference('X')}\nmodel:\n  bundle: "${reference('N')}"\n`,
    )
    const { settings } = loadSettings({ file: path, env: { HOST: 'localhost', X: '', N: '12' } })
    assert.equal(settings.server.port, 7711)
    assert.equal(settings.server.host, 'localhost')
    assert.equal(settings.dataDir, `a/b/${reference('X')}`)
    assert.equal(settings.model.bundle, '12')
  })

  test('the place of a value deep in a list is known, by file and line or by variable', () => {
    const path = file(
      'events:\n  topics:\n    - topic: a\n      holds: search\n      fields:\n        numeric.x: y\n',
    )
    const loaded = loadSettings({ file: path, env: {} })
    const at = ['events', 'topics', 0, 'fields', 'numeric.x']
    assert.equal(loaded.placeOf(at), `${path}:6`)
    const env = { FRESHET_EVENTS__TOPICS: '[{topic: a, holds: search}]' }
    assert.equal(loadSettings({ file: path, env }).placeOf(at), 'FRESHET_EVENTS__TOPICS')
  })

  test('a secret is read from the file that its variable names, and printed as a mask', () => {
    const secret = join(directory, 'secret')
    writeFileSync(secret, 'correct horse battery\n')
    const loaded = loadSettings({ file: null, env: { FRESHET_SERVER__ADMIN_SECRET_FILE: secret } })
    assert.equal(loaded.settings.server.adminSecret, 'correct horse battery')
    const printed = printSettings(loaded)
    assert.ok(!printed.includes('horse'))
    assert.match(printed, /adminSecret: "?\*+"? # FRESHET_SERVER__ADMIN_SECRET_FILE/)
  })

  test('what is printed reads back as the same settings', () => {
    const env = { FRESHET_SERVER__PORT: '1', FRESHET_EVENTS__SCHEMAS__IDS: '{"7": "x"}' }
    const loaded = loadSettings({ file: null, env })
    const again = loadSettings({ file: file(printSettings(loaded)), env: {} })
    assert.deepEqual(again.settings, loaded.settings)
  })

  test('lint names file, line, setting, what was expected, what came and what to do', () => {
    assert.deepEqual(
      lint(
        [
          'refresh:',
          '  quiteMs: 5',
          '  minEvents: many',
          'servr: {}',
          'log: { level: loud }',
          'events:',
          '  topics:',
          '    - topic: a',
          '      holds: paybil',
          '    - topic: b',
          '      holds: search',
          '      feilds: {}',
          '    - topic: c',
          '      holds: search',
          '      fields: { query: { paths: q } }',
          'windows: { horizonDays: sometimes }',
          'server: { adminSecret: short }',
        ].join('\n'),
      ),
      [
        'settings.yaml:2: refresh.quiteMs: no such setting: did you mean quietMs?',
        'settings.yaml:3: refresh.minEvents: must be of type number, got "many": correct it',
        'settings.yaml:4: servr: no such setting: did you mean server?',
        'settings.yaml:5: log.level: must be one of trace, debug, info, warn, error, fatal, silent, got "loud": correct it',
        'settings.yaml:9: events.topics.0.holds: must be one of paybill, miniprogram, spm, app, search, tabular, userqa, tombstone, got "paybil": correct it',
        'settings.yaml:12: events.topics.1.feilds: no such setting: did you mean fields?',
        'settings.yaml:15: events.topics.2.fields.query.paths: no such setting: did you mean path?',
        'settings.yaml:16: windows.horizonDays: must be one of kept, bundle, none, or of type number, got "sometimes": correct it',
        'settings.yaml:17: server.adminSecret: must be at least 16 characters long, got a secret: correct it',
      ],
    )
  })

  test('a schema id that is neither a number nor a GUID is refused', () => {
    assert.deepEqual(lint('events:\n  schemas:\n    ids:\n      7: order\n      seven: order\n'), [
      'settings.yaml:5: events.schemas.ids.seven: must be under a schema id: a number, or a GUID, got "order": correct it',
    ])
  })

  test('settings that contradict each other are refused with both values', () => {
    assert.deepEqual(lint('refresh:\n  quietMs: 60000\n'), [
      'settings.yaml:2: refresh.quietMs: quietMs (60000) must not exceed maxDelayMs (30000): lower quietMs, or raise maxDelayMs',
    ])
    for (const provider of ['cpu', 'webgpu'])
      assert.deepEqual(lint('model: { precision: fp16 }', { FRESHET_MODEL__PROVIDER: provider }), [
        `settings.yaml:1: model.precision: precision of provider ${provider} must be one of fp32, got fp16: change model.precision, or model.provider`,
      ])
    assert.deepEqual(lint('model: { precision: fp16 }', { FRESHET_MODEL__PROVIDER: 'cuda' }), [])
    assert.match(lint('model: { precision: int8 }')[0]!, /model\.precision.*fp32/)
    assert.match(lint('server: { host: 0.0.0.0 }')[0]!, /adminSecret must be set when host \(0\.0\.0\.0\)/)
    assert.match(lint('model: { timezone: Mars/Olympus }')[0]!, /IANA name such as UTC/)
    assert.match(lint('windows: { userBytesMax: 600000000 }')[0]!, /must not exceed memoryBytesMax/)
    assert.match(
      lint('server: { bodyBytesMax: 1000 }')[0]!,
      /valueBytesMax \(1048576\) must not exceed bodyBytesMax/,
    )
    const twice = 'events: { topics: [{topic: a, holds: app}, {topic: a, holds: spm}] }'
    assert.match(lint(twice)[0]!, /events\.topics\.1\.topic: each topic must be listed once/)
  })

  test('an unknown variable of ours is refused, one that Kubernetes sets is not', () => {
    assert.deepEqual(lint('', { FRESHET_REFRESH__QUITE_MS: '1', FRESHET_PORT: 'tcp://10.0.0.1:7710' }), [
      'FRESHET_REFRESH__QUITE_MS: no such setting: did you mean FRESHET_REFRESH__QUIET_MS?',
    ])
  })

  test('a wrong value from the environment is blamed on its variable', () => {
    assert.deepEqual(lint('server:\n  port: 1\n', { FRESHET_SERVER__PORT: 'http' }), [
      'FRESHET_SERVER__PORT: server.port: must be of type number, got "http": correct it',
    ])
  })

  test('an undefined reference, broken YAML, a list for a file and a missing file are each said', () => {
    assert.match(
      lint(`server: {}\ndataDir: ${reference('NOWHERE')}\n`)[0]!,
      /settings\.yaml:2: \$\{NOWHERE\} must be set/,
    )
    assert.match(lint('server:\n  port: [1\n')[0]!, /^settings\.yaml:\d: YAML: /)
    assert.match(lint('server: {}\nserver: {}\n')[0]!, /^settings\.yaml:2: YAML: .*unique/)
    assert.match(lint('- 1\n')[0]!, /must be a map of settings/)
    assert.throws(
      () => loadSettings({ file: join(directory, 'none.yaml'), env: {} }),
      (error) => error instanceof ConfigError && error.code === 'config-unreadable',
    )
  })

  test('loading throws everything that lint finds, in one error', () => {
    const path = file('refresh: { quiteMs: 1 }\nservr: {}\n')
    assert.throws(
      () => loadSettings({ file: path, env: {} }),
      (error) =>
        error instanceof ConfigError &&
        error.code === 'config-invalid' &&
        error.message.includes('quiteMs') &&
        error.message.includes('servr'),
    )
  })
})
