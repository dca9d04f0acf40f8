/**
 * Loaded before a worker's program (`node --import`): stands in front of single steps, and kills the process with SIGKILL at
 * the one that it was told. The program itself knows nothing of it.
 */

import { isMainThread } from 'node:worker_threads'
import { FAULT_VARIABLE, type Fault, MUTANT_VARIABLE, type Mutant } from './moments.ts'

let fault: Fault | null = null

function die(): void {
  process.kill(process.pid, 'SIGKILL')
}

function isNow(moment: Fault['moment']): boolean {
  return fault?.moment === moment && --fault.nth <= 0
}

/** Stands around a method of a class: what `wrap` returns is what callers get. */
function around(
  prototype: object,
  name: string,
  wrap: (call: () => unknown, args: unknown[]) => unknown,
): void {
  const original: unknown = Reflect.get(prototype, name)
  if (typeof original !== 'function') throw new Error(`there is no ${name} to stand in front of`)
  Reflect.set(prototype, name, function wrapped(this: unknown, ...args: unknown[]) {
    return wrap(() => Reflect.apply(original, this, args), args)
  })
}

function during(moment: Fault['moment'], call: () => unknown): unknown {
  const isDue = isNow(moment)
  const answer = call()
  if (isDue) setTimeout(die, fault!.afterMs)
  return answer
}

async function thenDie(moment: Fault['moment'], call: () => unknown): Promise<unknown> {
  const answer = await call()
  if (isNow(moment)) die()
  return answer
}

async function install(): Promise<void> {
  const { Refresher } = await import('../../src/pipeline/refresher.ts')
  const { restoring } = await import('../../src/pipeline/channels.ts')
  const { KafkaChangelog } = await import('../../src/drivers/kafka/kafka-changelog.ts')
  const { KafkaDeadLetters } = await import('../../src/drivers/kafka/kafka-dead-letters.ts')
  const { KafkaEventSource } = await import('../../src/drivers/kafka/kafka-event-source.ts')
  const { QdrantVectorStore } = await import('../../src/drivers/qdrant/qdrant-vector-store.ts')
  around(Refresher.prototype, 'embed', (call) =>
    isNow('hang') ? new Promise(() => {}) : during('encode', call),
  )
  around(QdrantVectorStore.prototype, 'upsert', (call) => thenDie('upserted', () => during('upsert', call)))
  await inSqlite()
  around(KafkaChangelog.prototype, 'append', (call, args) => {
    const [first] = args[1] as { kind: string; state?: object | null }[]
    if (first?.kind === 'claim') return thenDie('claim', call)
    if (first?.kind === 'checkpoint') return thenDie('checkpointed', call)
    // Keys of former epochs that are deleted acknowledge nothing.
    if (first?.state == null) return call()
    return thenDie('flushed', () => during('changelog', call))
  })
  around(KafkaEventSource.prototype, 'commit', (call) => during('commit', call))
  around(KafkaEventSource.prototype, 'left', (call) => {
    if (isNow('rebalance')) die()
    return call()
  })
  around(KafkaDeadLetters.prototype, 'put', (call) => thenDie('letter', call))
  restoring.subscribe(() => {
    if (isNow('restore')) die()
  })
}

/** A write of the store of vectors is one transaction, made in one turn. */
async function inSqlite(): Promise<void> {
  const { SqliteDatabase } = await import('../../src/drivers/sqlite/sqlite-database.ts')
  const { SqliteVectorStore } = await import('../../src/drivers/sqlite/sqlite-vector-store.ts')
  let isDying = false
  around(SqliteVectorStore.prototype, 'upsert', (call) => {
    isDying = isNow('upsert')
    return thenDie('upserted', call)
  })
  around(SqliteDatabase.prototype, 'write', (call, args) => {
    if (isDying) {
      const work = args[0] as () => unknown
      args[0] = () => {
        work()
        die()
      }
    }
    return call()
  })
}

/** Takes a rule out of the program. */
async function mutate(mutant: Mutant): Promise<void> {
  switch (mutant) {
    case 'commits-what-was-read': {
      const { Partition } = await import('../../src/pipeline/partition.ts')
      Partition.prototype.committable = function committable() {
        return this.readPositions
      }
      return
    }
    case 'keeps-states-to-itself': {
      const { KafkaChangelog } = await import('../../src/drivers/kafka/kafka-changelog.ts')
      around(KafkaChangelog.prototype, 'append', (call, args) =>
        (args[1] as { kind: string }[])[0]?.kind === 'state' ? Promise.resolve() : call(),
      )
      return
    }
    case 'sweeps-nobody': {
      const { Sweep } = await import('../../src/pipeline/sweep.ts')
      Sweep.prototype.restart = () => {}
      return
    }
    case 'writes-no-letters': {
      const { KafkaDeadLetters } = await import('../../src/drivers/kafka/kafka-dead-letters.ts')
      KafkaDeadLetters.prototype.put = async () => {}
    }
  }
}

// Threads of the model load it as well.
if (isMainThread) {
  const text = process.env[FAULT_VARIABLE]
  if (text !== undefined) fault = JSON.parse(text) as Fault
  const mutant = process.env[MUTANT_VARIABLE]
  if (mutant !== undefined) await mutate(mutant as Mutant)
  await install()
  process.on('message', (told) => {
    fault = told as Fault
  })
  // Whoever started it is gone: nobody would end it.
  process.on('disconnect', die)
  process.channel?.unref()
}
