/** A worker's repartition stage in a process of its own, until somebody kills it. */

import { Repartition } from '../../../src/drivers/kafka/repartition.ts'
import { systemClock } from '../../../src/pipeline/clock.ts'
import { kafkaSettings } from '../../kafka/driver-fixture.ts'

const [bootstrap = '', group = '', from = '', to = '', commitIntervalMs = ''] = process.argv.slice(2)
const stage = await Repartition.open({
  settings: kafkaSettings(bootstrap, group, { sessionTimeoutMs: 1_500 }),
  clock: systemClock,
  topics: [{ from, to }],
  commitIntervalMs: Number(commitIntervalMs),
})
await stage.start()
