/** Workers of one group on the shared broker, in this process: topics made by the verb's own plan, vectors in one file. */

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Freshet } from '../../src/cli/freshet.ts'
import { kafkaSettings } from '../../src/cli/kafka-settings.ts'
import { LocalService } from '../../src/cli/local-service.ts'
import { openWorker } from '../../src/cli/open-worker.ts'
import { topicNeeds } from '../../src/cli/topic-needs.ts'
import { loadSettings } from '../../src/config/load-settings.ts'
import type { Settings } from '../../src/config/settings.ts'
import { KafkaCluster } from '../../src/drivers/kafka/kafka-cluster.ts'
import { applyPlan, planFor } from '../../src/drivers/kafka/topic-admin.ts'
import { Health } from '../../src/observability/health.ts'
import { Recent } from '../../src/observability/recent.ts'
import { systemClock } from '../../src/pipeline/clock.ts'
import { sharedBroker, uniqueName } from '../kafka/shared-broker.ts'
import { GOLDEN_BUNDLE } from './standalone-fixture.ts'

export interface Group {
  /** Of the n-th worker. */
  settings(n: number, flags?: Record<string, unknown>): Settings
  /** Where all workers keep vectors. */
  vectorsFile: string
  /** Opens and starts; it is closed with the group, if it wasn't before. */
  start(n: number, flags?: Record<string, unknown>): Promise<Worker>
  close(): Promise<void>
}

export interface Worker {
  freshet: Freshet
  service: LocalService
  /** @param drainMs default 5,000 */
  close(drainMs?: number): Promise<void>
}

const PARTITIONS = 4

/** @param brokers of a test that ends them; left out: the shared one */
export async function openGroup(brokers?: string): Promise<Group> {
  const bootstrap = brokers ?? (await sharedBroker()).bootstrap
  const root = mkdtempSync(join(tmpdir(), 'freshet-group-'))
  const prefix = `${uniqueName('worker')}.`
  const vectorsFile = join(root, 'vectors.db')
  const workers = new Set<Worker>()
  const settings = (n: number, flags: Record<string, unknown> = {}) =>
    loadSettings({
      file: null,
      env: {},
      flags: {
        dataDir: join(root, `worker-${n}`),
        'model.bundle': GOLDEN_BUNDLE,
        'model.threads': 1,
        'refresh.quietMs': 20,
        'refresh.maxDelayMs': 200,
        'refresh.commitIntervalMs': 50,
        'vectors.sqliteFile': vectorsFile,
        'events.driver': 'kafka',
        'events.kafka.brokers': bootstrap.split(','),
        'events.kafka.groupId': `${prefix}group`,
        'events.kafka.topicPrefix': prefix,
        'events.kafka.sessionTimeoutMs': 6_000,
        'events.kafka.heartbeatIntervalMs': 200,
        'events.kafka.fetchWaitMs': 100,
        'events.kafka.newTopics.partitions': PARTITIONS,
        'events.topics': [
          { topic: `${prefix}search`, holds: 'search' },
          { topic: `${prefix}tombstones`, holds: 'tombstone' },
        ],
        ...flags,
      },
    }).settings
  await makeTopics(settings(0))
  const start = async (n: number, flags: Record<string, unknown> = {}) => {
    const freshet = await openWorker(settings(n, flags))
    const recent = new Recent(systemClock)
    const health = new Health({ clock: systemClock })
    const service = new LocalService(freshet, recent, health)
    const worker: Worker = {
      freshet,
      service,
      close: async (drainMs = 5_000) => {
        if (!workers.delete(worker)) return
        service.close()
        recent.close()
        health.close()
        await freshet.close(drainMs)
      },
    }
    workers.add(worker)
    await freshet.start()
    return worker
  }
  const close = async () => {
    await Promise.all([...workers].map((worker) => worker.close()))
    rmSync(root, { recursive: true, force: true })
  }
  return { settings, vectorsFile, start, close }
}

async function makeTopics(settings: Settings): Promise<void> {
  const cluster = await KafkaCluster.create(kafkaSettings(settings), systemClock)
  try {
    const needs = topicNeeds(settings)
    await applyPlan(cluster, needs, await planFor(cluster, needs))
  } finally {
    cluster.close()
  }
}
