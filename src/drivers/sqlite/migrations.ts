/** The formats of the two files, step by step. A released step is never edited: append one that changes what is there. */

/**
 * `log.bytes_before` counts all bytes ever appended before a record, so that the size of any stretch is a difference.
 * Offsets are rows of one sequence over all topics: a topic's offsets rise, with gaps.
 */
const LOG_AND_STATE = `
CREATE TABLE topics (
  topic INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  last_offset INTEGER NOT NULL DEFAULT -1
);
CREATE TABLE log (
  "offset" INTEGER PRIMARY KEY,
  topic INTEGER NOT NULL REFERENCES topics,
  append_time_ms INTEGER NOT NULL,
  bytes_before INTEGER NOT NULL,
  key BLOB,
  value BLOB,
  headers TEXT
);
CREATE TABLE group_offsets (
  group_name TEXT NOT NULL,
  topic TEXT NOT NULL,
  "offset" INTEGER NOT NULL,
  PRIMARY KEY (group_name, topic)
) WITHOUT ROWID;
CREATE TABLE states (
  state_row INTEGER PRIMARY KEY,
  partition INTEGER NOT NULL,
  tenant TEXT NOT NULL,
  user TEXT NOT NULL,
  epoch INTEGER NOT NULL,
  state BLOB NOT NULL,
  UNIQUE (partition, tenant, user, epoch)
);
CREATE TABLE spilled_states (
  spilled_row INTEGER PRIMARY KEY,
  partition INTEGER NOT NULL,
  tenant TEXT NOT NULL,
  user TEXT NOT NULL,
  state BLOB NOT NULL,
  UNIQUE (partition, tenant, user)
);
CREATE TABLE checkpoints (
  partition INTEGER NOT NULL,
  epoch INTEGER NOT NULL,
  confirmed INTEGER NOT NULL,
  day INTEGER NOT NULL,
  partition_count INTEGER NOT NULL,
  positions TEXT NOT NULL,
  PRIMARY KEY (partition, epoch)
) WITHOUT ROWID;
CREATE TABLE instructions (
  "offset" INTEGER PRIMARY KEY,
  kind TEXT NOT NULL,
  record TEXT NOT NULL
);
CREATE TABLE models (
  "offset" INTEGER PRIMARY KEY,
  record TEXT NOT NULL
);
CREATE TABLE tombstones (
  tenant TEXT NOT NULL,
  user TEXT NOT NULL,
  at_ms INTEGER NOT NULL,
  PRIMARY KEY (tenant, user)
) WITHOUT ROWID;
`

const DEAD_LETTERS_AND_IMPORTS = `
CREATE TABLE dead_letters (
  letter INTEGER PRIMARY KEY AUTOINCREMENT,
  topic TEXT NOT NULL,
  partition INTEGER NOT NULL,
  "offset" INTEGER NOT NULL,
  append_time_ms INTEGER NOT NULL,
  size_bytes INTEGER NOT NULL,
  key BLOB,
  value BLOB,
  headers TEXT NOT NULL,
  reason TEXT NOT NULL,
  error TEXT NOT NULL,
  attempts INTEGER NOT NULL,
  failed_at_ms INTEGER NOT NULL,
  UNIQUE (topic, partition, "offset")
);
CREATE INDEX dead_letters_by_reason ON dead_letters (reason, letter);
CREATE INDEX dead_letters_by_size ON dead_letters (size_bytes);
CREATE TABLE imports (
  import TEXT PRIMARY KEY,
  position INTEGER NOT NULL,
  records INTEGER NOT NULL,
  as_of_day INTEGER,
  is_done INTEGER NOT NULL,
  updated_at_ms INTEGER NOT NULL
) WITHOUT ROWID;
`

/** One row in each file: what both hold when they are of one time; only vectors.db announces one before it is taken. */
const FILE_PAIR = `
CREATE TABLE file_pair (mark TEXT, next_mark TEXT);
INSERT INTO file_pair VALUES (NULL, NULL);
`

/**
 * One row: what a data directory knows of its vectors, wherever they lie. `owner` is its id, `horizon` what they were read
 * with; `mark`, `confirmed` (collection -> vector names) and `written` (collection -> version) are of vectors on a server,
 * as it was left.
 */
const OF_VECTORS = `
CREATE TABLE of_vectors (owner TEXT NOT NULL, horizon TEXT, mark TEXT, confirmed TEXT, written TEXT);
`

/** Steps of freshet.db. */
export const MAIN_MIGRATIONS: readonly string[] = [
  LOG_AND_STATE,
  DEAD_LETTERS_AND_IMPORTS,
  FILE_PAIR,
  OF_VECTORS,
]

/**
 * Each collection has a table of points of its own, `points_<collection>`, so that dropping one is quick; the store
 * makes it. A vector name that is dropped and made again is another row here, so that no old vector comes back.
 */
const COLLECTIONS = `
CREATE TABLE collections (
  collection INTEGER PRIMARY KEY AUTOINCREMENT,
  name TEXT NOT NULL UNIQUE,
  spec TEXT NOT NULL,
  reader_names TEXT NOT NULL
);
CREATE TABLE vector_names (
  vector INTEGER PRIMARY KEY AUTOINCREMENT,
  collection INTEGER NOT NULL REFERENCES collections ON DELETE CASCADE,
  name TEXT NOT NULL,
  UNIQUE (collection, name)
);
CREATE TABLE aliases (
  alias TEXT PRIMARY KEY,
  collection INTEGER NOT NULL REFERENCES collections ON DELETE CASCADE
) WITHOUT ROWID;
`

/**
 * Which points each request wrote, in the order of the requests, the last some thousand of them: so that another process
 * reads anew only what changed. `ids` are theirs one after another, 16 bytes each; a purge of stubs changes nothing.
 */
const CHANGES = `
CREATE TABLE changes (
  change INTEGER PRIMARY KEY,
  collection INTEGER NOT NULL,
  ids BLOB NOT NULL
);
`

/** Steps of vectors.db. */
export const VECTOR_MIGRATIONS: readonly string[] = [COLLECTIONS, FILE_PAIR, CHANGES]
