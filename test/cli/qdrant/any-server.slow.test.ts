/** What the whole program promises on any server, on the double. */

import { withQdrant } from '../qdrant-standalone.ts'
import { readerPromises } from './reader-promises.ts'
import { writerPromises } from './writer-promises.ts'

writerPromises('the double', withQdrant)
readerPromises('the double', withQdrant)
