/** Gives tests a copy of a golden bundle that they may damage. */

import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { hashFile } from '../../src/model/bundle-files.ts'

export const GOLDEN = new URL('../golden/', import.meta.url).pathname

export interface BundleCopy extends Disposable {
  path: string
  /** Sets the value at a path like `modalities.0.slots` of a JSON file; undefined takes it out. */
  edit(file: string, at: readonly string[], value: unknown): void
  /** Writes the true hash of a file into the manifest, as a careful attacker would. */
  rehash(file: string): Promise<void>
}

export function copyBundle(name: 'bundle-linear' | 'bundle-mlp'): BundleCopy {
  const path = mkdtempSync(join(tmpdir(), 'freshet-bundle-'))
  cpSync(join(GOLDEN, name), path, { recursive: true })
  const edit: BundleCopy['edit'] = (file, at, value) => {
    const json = JSON.parse(readFileSync(join(path, file), 'utf8'))
    writeFileSync(join(path, file), JSON.stringify(replaced(json, at, value)))
  }
  return {
    path,
    edit,
    async rehash(file) {
      edit('manifest.json', ['files', file], await hashFile(join(path, file)))
    },
    [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }),
  }
}

function replaced(json: unknown, [key, ...rest]: readonly string[], value: unknown): unknown {
  if (key === undefined) return value
  if (Array.isArray(json)) {
    const items = [...json]
    const next = replaced(json[Number(key)], rest, value)
    if (next === undefined) items.splice(Number(key), 1)
    else items[Number(key)] = next
    return items
  }
  const fields = json as Record<string, unknown>
  return { ...fields, [key]: replaced(fields[key], rest, value) }
}
