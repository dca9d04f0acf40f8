/** The reference file is the schema, and the schema is the reference file. */

import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { isMap, isScalar, parseDocument } from 'yaml'
import { environmentName } from '../../src/config/environment.ts'
import { lintSettings } from '../../src/config/load-settings.ts'
import { DEFAULT_SETTINGS_FILE, settingsJsonSchema } from '../../src/config/print-settings.ts'
import { LEAVES, type Settings, settingsSchema } from '../../src/config/settings.ts'
import type { TopicSettings } from '../../src/events/topic.ts'

const text = readFileSync(DEFAULT_SETTINGS_FILE, 'utf8')

test('default.yaml states exactly the settings of the schema, with their defaults', () => {
  assert.deepEqual(parseDocument(text).toJS(), settingsSchema.parse({}))
})

test('default.yaml gives a reason above every setting, in the order of the schema', () => {
  const described: string[] = []
  const walk = (node: unknown, path: string[]) => {
    if (!isMap(node)) return
    for (const pair of node.items) {
      if (!isScalar(pair.key)) continue
      const at = [...path, String(pair.key.value)]
      const isFirst = node.items[0] === pair
      const comment = pair.key.commentBefore ?? (isFirst ? node.commentBefore : undefined)
      if (LEAVES.some((leaf) => leaf.path === at.join('.'))) {
        assert.ok(comment && comment.length > 10, `${at.join('.')} has no reason`)
        described.push(at.join('.'))
      } else walk(pair.value, at)
    }
  }
  walk(parseDocument(text).contents, [])
  assert.deepEqual(
    described,
    LEAVES.map((leaf) => leaf.path),
  )
})

test('every setting has one environment name, and no two share it', () => {
  const names = LEAVES.map((leaf) => environmentName(leaf.path))
  assert.equal(new Set(names).size, names.length)
  assert.equal(environmentName('refresh.quietMs'), 'FRESHET_REFRESH__QUIET_MS')
  assert.equal(environmentName('events.log.retentionBytesMax'), 'FRESHET_EVENTS__LOG__RETENTION_BYTES_MAX')
  assert.equal(environmentName('dataDir'), 'FRESHET_DATA_DIR')
})

test('the JSON Schema for editors describes every setting and refuses unknown keys', () => {
  const schema = settingsJsonSchema() as Record<string, never>
  assert.equal(schema.additionalProperties, false)
  for (const { path } of LEAVES) {
    let node = schema as { properties?: Record<string, never>; description?: string }
    for (const name of path.split('.')) node = node.properties?.[name] as never
    assert.ok(node?.description && node.description.length > 10, `${path} has no description`)
  }
})

test('the topics of the settings are what the decoder takes', () => {
  const topics: Settings['events']['topics'] = settingsSchema.parse({}).events.topics
  const forDecoder: readonly TopicSettings[] = topics
  assert.equal(forDecoder.length, 8)
})

/** Secrets that a file of configs/ leaves to the environment, and can't do without. */
const SECRETS: Record<string, Record<string, string>> = {
  'configs/kafka.yaml': { FRESHET_EVENTS__KAFKA__SASL__PASSWORD: 'of the test' },
}

test('every file of configs/ can be used as it is', () => {
  const files = globSync('configs/*.yaml', { cwd: fileURLToPath(new URL('../..', import.meta.url)) })
  assert.ok(files.length >= 3)
  for (const name of files) {
    const file = fileURLToPath(new URL(`../../${name}`, import.meta.url))
    assert.deepEqual(lintSettings({ file, env: SECRETS[name] ?? {} }), [], name)
  }
})
