/** Holds the Qdrant double against Qdrant's OpenAPI document: `node test/tools/check-qdrant-double.ts PATH`. */

import { readFileSync } from 'node:fs'
import { differences } from '../drivers/qdrant/double/openapi-check.ts'

const [path] = process.argv.slice(2)
if (path === undefined) {
  console.error('usage: node test/tools/check-qdrant-double.ts PATH_OF_openapi.json')
  process.exit(2)
}
const found = await differences(JSON.parse(readFileSync(path, 'utf8')))
for (const one of found) console.log(one)
console.log(found.length === 0 ? 'no difference' : `${found.length} differences`)
process.exitCode = found.length === 0 ? 0 : 1
