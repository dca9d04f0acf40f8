/** A file of events, read forwards: lines of JSON, or records of an Avro container, each with its place. */

import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { open, stat } from 'node:fs/promises'
import { basename } from 'node:path'
import { RequestError } from '../errors.ts'
import { readContainerFile } from '../events/container-file.ts'
import type { IngestEncoder } from '../events/ingest.ts'
import { ownSchemaName } from '../events/own-schemas.ts'
import type { TopicSettings } from '../events/topic.ts'

/** Two files that begin alike, have one size and one name are one import. */
const HEAD_BYTES = 64 * 1024
/** A line beyond this is no record of anybody's; it is cut here and becomes a dead letter. */
const LINE_BYTES_MAX = 32 * 1024 * 1024
const LINE_FEED = 10

export interface ImportItem {
  /** Lines or records before it in the file. */
  index: number
  /** What it is as bytes: for the dead letters. */
  raw: Uint8Array
  /** Bytes of the file up to its end, for a progress bar. */
  fileBytes: number
  /** @throws {RecordError} when it is no record */
  encode(encoder: IngestEncoder): ReturnType<IngestEncoder['line']>
}

export interface ImportFile {
  /** As it is named to the user. */
  path: string
  /** Names the file and its content: how far it was read is kept under it. */
  name: string
  sizeBytes: number
  /** Blank lines are no items, but count in `index`. */
  items(): AsyncGenerator<ImportItem>
}

/**
 * @param label names the file beside its content; the standard input is the same under any path
 * @param topics of which an Avro record's topic is found by its schema's name
 * @throws {RequestError} `import-unreadable`
 */
export async function openImportFile(
  path: string,
  topics: readonly TopicSettings[],
  label = basename(path),
): Promise<ImportFile> {
  try {
    const { size } = await stat(path)
    const handle = await open(path, 'r')
    const head = Buffer.alloc(Math.min(HEAD_BYTES, size))
    await handle.read(head, 0, head.length, 0)
    await handle.close()
    const hash = createHash('sha256').update(head).digest('hex').slice(0, 16)
    const isContainer = head.subarray(0, 4).toString('latin1') === 'Obj\x01'
    return {
      path,
      name: `${label} ${size} ${hash}`,
      sizeBytes: size,
      items: () => (isContainer ? containerItems(path, topics) : lineItems(path)),
    }
  } catch (cause) {
    throw new RequestError(
      'import-unreadable',
      `expected a readable file, got: ${(cause as Error).message}: correct the path or its rights`,
      { cause },
    )
  }
}

async function* lineItems(path: string): AsyncGenerator<ImportItem> {
  let parts: Buffer[] = []
  let size = 0
  let index = 0
  let fileBytes = 0
  const keep = (part: Buffer) => {
    const room = LINE_BYTES_MAX - size
    if (room > 0) parts.push(part.subarray(0, room))
    size += part.length
  }
  const take = (): ImportItem | undefined => {
    const raw = parts.length === 1 ? parts[0]! : Buffer.concat(parts)
    parts = []
    size = 0
    const item = lineItem(raw, index++, fileBytes)
    return isBlank(raw) ? undefined : item
  }
  for await (const chunk of createReadStream(path, { highWaterMark: 1024 * 1024 }) as AsyncIterable<Buffer>) {
    let start = 0
    for (let end = chunk.indexOf(LINE_FEED); end >= 0; end = chunk.indexOf(LINE_FEED, start)) {
      keep(chunk.subarray(start, end))
      fileBytes += end + 1 - start
      start = end + 1
      const item = take()
      if (item !== undefined) yield item
    }
    if (start === chunk.length) continue
    // A copy: the chunk's memory is written again.
    keep(Buffer.from(chunk.subarray(start)))
    fileBytes += chunk.length - start
  }
  const last = take()
  if (last !== undefined) yield last
}

function lineItem(raw: Buffer, index: number, fileBytes: number): ImportItem {
  return { index, raw, fileBytes, encode: (encoder) => encoder.line(raw.toString('utf8')) }
}

function isBlank(line: Buffer): boolean {
  return line.length < 1_000 && line.toString('utf8').trim() === ''
}

async function* containerItems(path: string, topics: readonly TopicSettings[]): AsyncGenerator<ImportItem> {
  let index = 0
  for await (const { schemaName, value, fileBytes } of readContainerFile(path)) {
    const topic = topicOf(schemaName, topics)
    const record = { topic, ...(value as Record<string, unknown>) }
    yield {
      index: index++,
      raw: Buffer.from(JSON.stringify(record, (_key, one) => (typeof one === 'bigint' ? String(one) : one))),
      fileBytes,
      encode: (encoder) => encoder.object(record),
    }
  }
}

/** @throws {RequestError} `import-schema` */
function topicOf(schemaName: string, topics: readonly TopicSettings[]): string {
  const found = topics.find(({ holds, fields }) => fields === null && ownSchemaName(holds) === schemaName)
  if (found !== undefined) return found.topic
  throw new RequestError(
    'import-schema',
    `expected an Avro file of one of our schemas whose topic is configured, got records named ${schemaName}: write it with a schema of schemas/, or as lines of JSON that name their topic`,
  )
}
