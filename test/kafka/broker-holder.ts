/** A process that starts a broker, says which JVM and folder it has, and waits to be killed. */

import { startBroker } from './broker.ts'

const broker = await startBroker()
process.stdout.write(`${broker.pid} ${broker.dataFolder}\n`)
setInterval(() => {}, 60_000)
