import assert from 'node:assert/strict'
import { test } from 'node:test'
import { asRead, copiedTopics } from '../../src/cli/topics-as-read.ts'
import { settingsSchema } from '../../src/config/settings.ts'

const settingsOf = (partitioner: 'murmur2' | 'other') =>
  settingsSchema.parse({
    events: {
      kafka: { topicPrefix: 'staging.' },
      topics: [
        { topic: 'clicks', holds: 'spm', format: 'json', partitioner },
        { topic: 'freshet.tombstones', holds: 'tombstone' },
      ],
    },
  })

test('a topic of another partitioner is read from its copy, with all that is said of it', () => {
  const settings = settingsOf('other')
  const [clicks, tombstones] = asRead(settings)
  const name = 'staging.freshet.repartition.clicks'
  assert.deepEqual(clicks, { ...settings.events.topics[0], topic: name })
  assert.equal(tombstones!.topic, 'freshet.tombstones')
  assert.deepEqual(copiedTopics(settings), [{ from: 'clicks', to: name }])
})

test('where every producer uses murmur2, nothing is copied, and topics are read as they are', () => {
  const settings = settingsOf('murmur2')
  assert.deepEqual(asRead(settings), settings.events.topics)
  assert.deepEqual(copiedTopics(settings), [])
})
