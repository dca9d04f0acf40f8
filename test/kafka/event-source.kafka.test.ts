import { KafkaEventSource } from '../../src/drivers/kafka/kafka-event-source.ts'
import { systemClock } from '../../src/pipeline/clock.ts'
import { type EventSourceUnderTest, eventSourceContract } from '../pipeline/event-source-contract.ts'
import { Appender, kafkaSettings } from './driver-fixture.ts'
import { kafkaSuite } from './kafka-suite.ts'
import { createTopic } from './kafkajs-records.ts'
import { sharedBroker, uniqueName } from './shared-broker.ts'

kafkaSuite('events from Kafka', () => {
  eventSourceContract('kafka', openUnderTest, uniqueName)
})

async function openUnderTest(topics: readonly string[]): Promise<EventSourceUnderTest> {
  const { bootstrap } = await sharedBroker()
  for (const topic of topics) await createTopic(bootstrap, topic)
  const settings = kafkaSettings(bootstrap, uniqueName('contract'))
  const appender = new Appender(bootstrap)
  const known = new Set(topics)
  const open = async (): Promise<EventSourceUnderTest> => {
    const source = await KafkaEventSource.open(settings, topics, systemClock)
    return {
      source,
      append: async (topic, value) => {
        if (!known.has(topic)) await createTopic(bootstrap, topic)
        known.add(topic)
        await appender.append(topic, [{ partition: 0, key: 'u1', value }])
      },
      reopen: async () => {
        await source.close()
        return open()
      },
      dispose: async () => {
        await source.close()
        await appender.close()
      },
    }
  }
  return open()
}
