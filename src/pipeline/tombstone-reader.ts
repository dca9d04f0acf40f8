/** Reads the tombstone out of a record of the tombstone topic. */

import { RecordError } from '../errors.ts'
import type { RecordDecoder, SourceRecord } from '../events/source-record.ts'
import type { Tombstone } from './state-store.ts'

/**
 * Reads tombstones with the decoder of the data path, so that both see the same ones.
 *
 * @returns `tombstoneOf` of the options; a record that can't be decoded is none, and becomes a dead letter when it is read
 */
export function tombstoneReader(decoder: RecordDecoder): (record: SourceRecord) => Tombstone | null {
  return (record) => {
    try {
      const said = decoder.decode(record)
      return said.kind === 'tombstone' ? { tenant: said.tenant, user: said.user, atMs: said.atMs } : null
    } catch (error) {
      if (error instanceof RecordError) return null
      throw error
    }
  }
}
