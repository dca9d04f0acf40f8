/** The files of a bundle on disk: nothing outside the directory, nothing missing, nothing extra, nothing changed. */

import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { readdir, realpath, stat } from 'node:fs/promises'
import { join, sep } from 'node:path'
import { ConfigError } from '../errors.ts'

/** What verification has hashed so far; `totalBytes` is known from the start. */
interface VerifyProgress {
  file: string
  doneBytes: number
  totalBytes: number
}

export interface VerifyOptions {
  onProgress?: (progress: VerifyProgress) => void
  signal?: AbortSignal
}

/** Files a directory may hold before we stop walking it: a bundle has some twenty. */
const FILE_COUNT_MAX = 10_000
/** Large reads: hashing is as fast as the disk. */
const CHUNK_SIZE_BYTES = 1 << 20

/**
 * Finds the bundle's directory, symbolic links resolved.
 *
 * @throws {ConfigError} `bundle-missing`
 */
export async function bundleDirectory(directory: string): Promise<string> {
  try {
    const resolved = await realpath(directory)
    await stat(join(resolved, 'manifest.json'))
    return resolved
  } catch (cause) {
    throw new ConfigError(
      'bundle-missing',
      `expected a model bundle with a manifest.json in ${directory}, got ${(cause as Error).message}: make one with \`freshet model init\`, or correct the path`,
      { cause },
    )
  }
}

/**
 * Compares the files on disk with those of the manifest, by name.
 *
 * @param directory as `bundleDirectory` gives it
 * @returns path -> size in bytes, of every file of the manifest
 * @throws {ConfigError} `bundle-path`, `bundle-file-missing`, `bundle-file-extra`
 */
export async function compareFiles(
  directory: string,
  files: ReadonlyMap<string, string>,
): Promise<Map<string, number>> {
  const found = new Map<string, number>()
  await walk(directory, '', found)
  found.delete('manifest.json')
  for (const path of files.keys()) {
    if (!found.has(path)) {
      throw new ConfigError(
        'bundle-file-missing',
        `expected the file ${path} in ${directory}, as its manifest lists it, got none: copy the bundle again`,
      )
    }
  }
  for (const path of found.keys()) {
    if (!files.has(path)) {
      throw new ConfigError(
        'bundle-file-extra',
        `expected no file but those of the manifest in ${directory}, got ${path}: move it out of the bundle`,
      )
    }
  }
  return found
}

/**
 * Hashes every file and compares it with the manifest.
 *
 * @param sizes as `compareFiles` gives them
 * @throws {ConfigError} `bundle-file-changed`
 */
export async function verifyHashes(
  directory: string,
  files: ReadonlyMap<string, string>,
  sizes: ReadonlyMap<string, number>,
  { onProgress, signal }: VerifyOptions = {},
): Promise<void> {
  const totalBytes = [...sizes.values()].reduce((sum, size) => sum + size, 0)
  let doneBytes = 0
  for (const [file, expected] of files) {
    const got = await hashFile(join(directory, file), signal, (sizeBytes) => {
      doneBytes += sizeBytes
      onProgress?.({ file, doneBytes, totalBytes })
    })
    if (got !== expected) {
      throw new ConfigError(
        'bundle-file-changed',
        `expected sha256 ${expected} for ${file} of ${directory}, got ${got}: the file was changed or damaged, copy the bundle again`,
      )
    }
  }
}

/** sha256 of a file's bytes, lower-case hex, read as a stream. */
export async function hashFile(
  path: string,
  signal?: AbortSignal,
  onRead: (sizeBytes: number) => void = () => {},
): Promise<string> {
  const hash = createHash('sha256')
  const stream = createReadStream(path, { highWaterMark: CHUNK_SIZE_BYTES, ...(signal && { signal }) })
  for await (const chunk of stream as AsyncIterable<Uint8Array>) {
    hash.update(chunk)
    onRead(chunk.length)
  }
  return hash.digest('hex')
}

async function walk(directory: string, under: string, found: Map<string, number>): Promise<void> {
  const entries = await readdir(join(directory, under), { withFileTypes: true })
  for (const entry of entries) {
    const path = under === '' ? entry.name : `${under}/${entry.name}`
    if (entry.isDirectory()) await walk(directory, path, found)
    else found.set(path, await fileSize(directory, path, entry.isSymbolicLink()))
    if (found.size > FILE_COUNT_MAX) {
      throw new ConfigError(
        'bundle-file-extra',
        `expected at most ${FILE_COUNT_MAX} files in ${directory}, got more: this is no bundle, correct the path`,
      )
    }
  }
}

/** A link may point to another file of the bundle, never out of it, and never to a directory (it could be a loop). */
async function fileSize(directory: string, path: string, isLink: boolean): Promise<number> {
  const full = join(directory, path)
  const target = isLink ? await realpath(full).catch(() => null) : full
  const inside = target?.startsWith(directory + sep) === true
  const status = inside ? await stat(target) : null
  if (status?.isFile()) return status.size
  throw new ConfigError(
    'bundle-path',
    `expected a regular file, or a link to one inside ${directory}, at ${path}, got ${target ?? 'a broken link'}: put the file itself there`,
  )
}
