/** The parts of a running freshet, listed once: the same wherever its events come from. */

import type { Settings } from '../config/settings.ts'
import type { MainDirectory } from '../drivers/sqlite/data-directory.ts'
import type { SqliteEventLog } from '../drivers/sqlite/event-log.ts'
import type { SqliteControlLog } from '../drivers/sqlite/sqlite-control-log.ts'
import type { SqliteDeadLetters } from '../drivers/sqlite/sqlite-dead-letters.ts'
import type { SqliteEventSource } from '../drivers/sqlite/sqlite-event-source.ts'
import type { SqliteStateStore } from '../drivers/sqlite/sqlite-state-store.ts'
import type { IngestEncoder } from '../events/ingest.ts'
import type { RecordDecoder } from '../events/source-record.ts'
import type { Clock } from '../pipeline/clock.ts'
import type { EventSource } from '../pipeline/event-source.ts'
import type { Housekeeping } from '../pipeline/housekeeping.ts'
import type { PipelineSettings } from '../pipeline/settings.ts'
import type { Updater } from '../pipeline/updater.ts'
import type { VectorStore } from '../vectors/vector-store.ts'
import type { Backend } from './backend.ts'
import type { OpenedModel } from './open-model.ts'
import type { OpenedVectors } from './open-vectors.ts'

export interface Parts {
  settings: Settings
  clock: Clock
  backend: Backend
  source: EventSource
  vectors: VectorStore
  opensVectors: OpenedVectors
  decoder: RecordDecoder
  encoder: IngestEncoder
  opened: OpenedModel
  pipelineSettings: PipelineSettings
  updater: Updater
  housekeeping: Housekeeping
  /** Why the cache of event vectors was begun anew at the start; null: it wasn't. */
  cacheWarning: string | null
}

/** Over a data directory of its own. */
export interface StandaloneParts extends Parts {
  directory: MainDirectory
  log: SqliteEventLog
  source: SqliteEventSource
  controlLog: SqliteControlLog
  deadLetters: SqliteDeadLetters
  store: SqliteStateStore
}
