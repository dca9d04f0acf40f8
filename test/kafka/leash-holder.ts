/** A process with a child on a leash: `leash-holder.ts FOLDER HOW COMMAND…`; it says the child's pid, then ends as it is told. */

import { once } from 'node:events'
import { join } from 'node:path'
import { spawnLeashed } from './leash.ts'

const [folder = '', how, ...command] = process.argv.slice(2)
const child = spawnLeashed(command, { cwd: folder, logFile: join(folder, 'child.log'), discard: folder })
process.stdout.write(`${child.pid}\n`)
if (how === 'throw') throw new Error('as a test may')
if (how === 'hold') setInterval(() => {}, 60_000)
if (how === 'wait') {
  child.ref()
  await once(child, 'exit')
}
