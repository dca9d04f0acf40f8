/** The conditions under which a number was measured: without them it is a rumour. */

import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import os from 'node:os'

export interface Conditions {
  /** Commit of the working tree; `dirty` when tracked files differ from it. */
  commit: string
  dirty: boolean
  /** ISO 8601, UTC. */
  measuredAt: string
  node: string
  platform: string
  cpuModel: string
  cores: number
  memoryBytes: number
  /** Run queue averaged over the last minute, when the bench began; beyond half the cores the numbers are suspect. */
  loadAverage1m: number
  /** Exact versions of the packages that the numbers depend on. */
  packages: Record<string, string>
}

const ROOT = new URL('..', import.meta.url)

function git(...args: string[]): string | null {
  try {
    return execFileSync('git', args, {
      cwd: ROOT,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim()
  } catch {
    // A tarball has no history: the number then says so instead of naming a commit.
    return null
  }
}

function installedVersion(name: string): string {
  const manifest = JSON.parse(readFileSync(new URL(`node_modules/${name}/package.json`, ROOT), 'utf8'))
  return String(manifest.version)
}

/**
 * Reads the conditions of this run; call it before the first measurement, so that the load is not our own.
 *
 * @param packages names of installed npm packages whose versions matter to the numbers
 */
export function conditions(packages: readonly string[] = []): Conditions {
  const cpus = os.cpus()
  const status = git('status', '--porcelain', '--untracked-files=no', '--', ':!bench/results', ':!README.md')
  const loadAverage1m = Math.round(os.loadavg()[0]! * 100) / 100
  if (loadAverage1m > cpus.length / 2) {
    process.stderr.write(
      `load average ${loadAverage1m} on ${cpus.length} cores: quote ratios of interleaved runs, not times\n`,
    )
  }
  return {
    commit: git('rev-parse', 'HEAD') ?? 'no git history',
    dirty: status !== null && status !== '',
    measuredAt: new Date().toISOString(),
    node: process.version,
    platform: `${process.platform}-${process.arch}`,
    cpuModel: cpus[0]?.model.trim() ?? 'unknown',
    cores: cpus.length,
    memoryBytes: os.totalmem(),
    loadAverage1m,
    packages: Object.fromEntries(packages.map((name) => [name, installedVersion(name)])),
  }
}
