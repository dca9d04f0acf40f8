/** Writes Avro container files with avsc, which is not what reads them. */

import { createWriteStream } from 'node:fs'
import { pipeline } from 'node:stream/promises'
import avsc from 'avsc'

export async function writeContainer(
  path: string,
  schema: unknown,
  records: readonly unknown[],
): Promise<void> {
  const encoder = new avsc.streams.BlockEncoder(schema as avsc.Schema, { blockSize: 4_096 })
  for (const record of records) encoder.write(record)
  encoder.end()
  await pipeline(encoder, createWriteStream(path))
}
