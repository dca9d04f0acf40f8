// tidy(mirror): one hazard that all files of the folder must survive together
import { test } from 'node:test'
import { killRounds } from './kill-rounds.ts'
import { tempDirectory } from './temp-directory.ts'

test('whenever a writer is killed, the data directory holds a consistent prefix of what it wrote', async () => {
  await killRounds(tempDirectory(), 20261230, 5)
})
