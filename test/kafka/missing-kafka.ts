/** A suite on a machine where Kafka can't be had; kafka-suite.test.ts looks at what becomes of it. */

import { test } from 'node:test'
import { kafkaSuite } from './kafka-suite.ts'

const register = () => {
  test('needs a broker', () => {})
}
kafkaSuite('a suite on Kafka', register, 'expected Java 17, got none: install it')
