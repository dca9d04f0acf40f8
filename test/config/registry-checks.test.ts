/** What is refused of events.registry before anything is connected, each in one line that says what to do. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { findingText } from '../../src/config/finding.ts'
import { lintSettings, loadSettings } from '../../src/config/load-settings.ts'
import { printSettings } from '../../src/config/print-settings.ts'
import type { RegistrySettings } from '../../src/drivers/registry/registry-settings.ts'

function lint(flags: Record<string, unknown>): string[] {
  const inSection = Object.entries(flags).map(([path, value]) => [`events.registry.${path}`, value])
  return lintSettings({ file: null, env: {}, flags: Object.fromEntries(inSection) }).map(findingText)
}

test('the section of the settings is what the driver takes, once it names an address', () => {
  const { registry } = loadSettings({ file: null, env: {} }).settings.events
  assert.equal(registry.urls, null)
  const forDriver: RegistrySettings = { ...registry, urls: ['http://127.0.0.1:8081'] }
  assert.deepEqual(Object.keys(forDriver).sort(), ['cacheSize', 'password', 'timeoutMs', 'urls', 'username'])
})

test('a password is never sent in clear beyond this machine, and needs its user', () => {
  const pair = { username: 'me', password: 'correct horse' }
  assert.deepEqual(lint({ ...pair, urls: ['https://a:8081', 'http://b:8081'] }), [
    'flag: events.registry.urls.1: must be https where password is set, got http://b:8081: everybody on the way could read it; switch TLS on at the registry, or at a proxy before it',
  ])
  assert.deepEqual(lint({ ...pair, urls: ['https://a/apis/ccompat/v7', 'http://[::1]:8081'] }), [])
  assert.deepEqual(lint({ urls: ['http://b:8081'] }), [])
  assert.match(lint({ password: 'correct horse' })[0]!, /^flag: events.registry.password: .*belong together/)
  assert.match(lint({ username: 'me' })[0]!, /^flag: events.registry.username: .*belong together/)
})

test('an address that is none, or that holds a secret, is refused, and the secret is not repeated', () => {
  assert.match(lint({ urls: ['registry:8081'] })[0]!, /urls.0: must be an address such as https:/)
  assert.equal(lint({ urls: [] }).length, 1)
  for (const text of ['https://me:horse@registry', 'https://registry?key=horse', 'https://registry#horse']) {
    const [finding = '', ...more] = lint({ urls: [text] })
    assert.match(finding, /put them into username and password/)
    assert.doesNotMatch(finding, /horse/)
    assert.deepEqual(more, [])
  }
})

test('the password is masked when printed; addresses come from the environment as a list', () => {
  const env = {
    FRESHET_EVENTS__REGISTRY__URLS: '["https://a", "https://b"]',
    FRESHET_EVENTS__REGISTRY__USERNAME: 'me',
    FRESHET_EVENTS__REGISTRY__PASSWORD: 'correct horse',
  }
  const loaded = loadSettings({ file: null, env })
  assert.deepEqual(loaded.settings.events.registry.urls, ['https://a', 'https://b'])
  assert.equal(loaded.settings.events.registry.password, 'correct horse')
  assert.doesNotMatch(printSettings(loaded), /horse/)
})
