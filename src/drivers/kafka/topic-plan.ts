/** What topics lack, held against those that are wanted: computed alone, so that plan, apply and a worker's start agree. */

import {
  APPEND_TIME,
  CREATE_TIME,
  FOR_EVER,
  type FoundTopic,
  type FoundTopics,
  MESSAGE_BYTES,
  POLICY,
  RETENTION_BYTES,
  RETENTION_MS,
  TIMESTAMP_TYPE,
  type TopicNeeds,
  type WantedTopic,
  wantedTopics,
} from './topic-needs.ts'

/**
 * `create` and `change` are made by apply, the latter of freshet's own topics only. `refuse`: somebody else has to mend it.
 * `warn`: freshet works, but perhaps not as its operator thinks.
 */
type TopicAction = 'create' | 'change' | 'refuse' | 'warn'

export interface TopicFinding {
  topic: string
  use: WantedTopic['use']
  action: TopicAction
  /** `topic`, `partitions`, or the name of a setting. */
  what: string
  found: string | null
  wanted: string
  /** What to do where apply doesn't; null: it does. */
  remedy: string | null
}

export interface TopicPlan {
  findings: readonly TopicFinding[]
  create: readonly WantedTopic[]
  /** What is to be set, by topic. */
  change: ReadonlyMap<string, ReadonlyMap<string, string>>
}

export function planTopics(needs: TopicNeeds, found: FoundTopics): TopicPlan {
  const findings: TopicFinding[] = []
  const create: WantedTopic[] = []
  const change = new Map<string, ReadonlyMap<string, string>>()
  for (const wanted of wantedTopics(needs, found)) {
    const { topic, use } = wanted
    const there = found.get(topic)
    if (there === undefined) {
      create.push(wanted)
      findings.push({
        topic,
        use,
        action: 'create',
        what: 'topic',
        found: null,
        wanted: made(wanted),
        remedy: null,
      })
      continue
    }
    const ofTopic = new Findings(wanted, there)
    check(wanted, there, ofTopic)
    findings.push(...ofTopic.all)
    const changes = ofTopic.all.filter(({ action }) => action === 'change')
    if (changes.length > 0) change.set(topic, new Map(changes.map(({ what, wanted }) => [what, wanted])))
  }
  return { findings, create, change }
}

/** What is found of one topic that is there. */
class Findings {
  readonly all: TopicFinding[] = []
  private readonly of: WantedTopic
  private readonly there: FoundTopic

  constructor(of: WantedTopic, there: FoundTopic) {
    this.of = of
    this.there = there
  }

  change(what: string, wanted: string): void {
    this.add('change', what, wanted, null)
  }

  refuse(what: string, wanted: string, remedy: string): void {
    this.add('refuse', what, wanted, remedy)
  }

  warn(what: string, wanted: string, remedy: string): void {
    this.add('warn', what, wanted, remedy)
  }

  private add(action: TopicAction, what: string, wanted: string, remedy: string | null): void {
    const { of, there } = this
    const { topic, use } = of
    const found = what === 'partitions' ? String(there.partitionCount) : there.configs.get(what)
    this.all.push({ topic, use, action, what, found: found ?? null, wanted, remedy })
  }
}

function check(wanted: WantedTopic, there: FoundTopic, findings: Findings): void {
  switch (wanted.use) {
    case 'source':
      checkSource(wanted, there, findings)
      return
    case 'repartition':
      checkCount(
        wanted,
        there,
        findings,
        `delete it and let freshet topics apply make it: ${wanted.source.topic} is then copied into it again, and the state has to be made anew, too`,
      )
      if (there.configs.get(TIMESTAMP_TYPE) !== CREATE_TIME) findings.change(TIMESTAMP_TYPE, CREATE_TIME)
      checkPolicy(wanted, there, findings)
      checkMessageBytes(wanted.messageBytesMin, there, findings)
      return
    case 'dead-letters':
      checkPolicy(wanted, there, findings)
      checkMessageBytes(wanted.messageBytesMin, there, findings)
      return
    case 'control':
      checkControl(wanted, there, findings)
      return
    case 'state':
      checkCount(
        wanted,
        there,
        findings,
        'stop the workers, delete it and let freshet topics apply make it: states are then built from the events again',
      )
      if (there.configs.get(POLICY) !== 'compact') findings.change(POLICY, 'compact')
      checkMessageBytes(wanted.messageBytesMin, there, findings)
      return
    case 'updates':
      return // Nobody here reads it: how it is kept is for those who do.
  }
}

function checkSource(wanted: WantedTopic & { use: 'source' }, there: FoundTopic, findings: Findings): void {
  const { holds } = wanted.source
  const { configs } = there
  const elsewise =
    holds === 'tombstones'
      ? ''
      : ', or set its partitioner to other, and it is read through a repartition topic'
  checkCount(
    wanted,
    there,
    findings,
    `create it anew with ${wanted.partitionCount} and copy its records${elsewise}`,
  )
  if (holds === 'events' && isCompacted(there))
    findings.refuse(
      POLICY,
      'delete',
      'set it: compaction keeps the last record of a key, and an event of a user would remove the one before',
    )
  if (holds === 'tombstones' && !isKeptForEver(there))
    findings.refuse(
      POLICY,
      'compact',
      `set it, or delete with ${RETENTION_MS}=-1 and ${RETENTION_BYTES}=-1: users whose requests are gone would come back when states are built again`,
    )
  if (holds === 'latest' && !isKeptForEver(there))
    findings.warn(POLICY, 'compact', 'set it: features that are gone are missing when states are built again')
  if (configs.get(TIMESTAMP_TYPE) !== APPEND_TIME)
    findings.warn(
      TIMESTAMP_TYPE,
      APPEND_TIME,
      'set it: lateness is judged by the append time, which is else what producers claim',
    )
}

/** Their records have one order, and none may ever be missing: change numbers and registries follow from all of them. */
function checkControl(wanted: WantedTopic, there: FoundTopic, findings: Findings): void {
  const { configs, isEmpty } = there
  checkCount(
    wanted,
    there,
    findings,
    isEmpty
      ? 'delete it and let freshet topics apply make it'
      : 'stop the workers and copy its records, in the order of their time, into a topic with one',
  )
  if (isCompacted(there) && isEmpty) findings.change(POLICY, 'delete')
  else if (isCompacted(there))
    findings.refuse(
      POLICY,
      'delete',
      'records may be gone already: stop the workers, set it, register what is missing (freshet instructions list), and run freshet collections rebuild',
    )
  for (const name of [RETENTION_MS, RETENTION_BYTES])
    if (configs.get(name) !== FOR_EVER) findings.change(name, FOR_EVER)
}

function checkCount(
  { partitionCount }: WantedTopic,
  there: FoundTopic,
  findings: Findings,
  remedy: string,
): void {
  if (there.partitionCount !== partitionCount) findings.refuse('partitions', String(partitionCount), remedy)
}

/** Where compaction ends, old records would go at once: the retention is set with it. */
function checkPolicy({ configs }: WantedTopic, there: FoundTopic, findings: Findings): void {
  const wanted = configs[POLICY]!
  if ((wanted === 'compact') === isCompacted(there) && (wanted !== 'compact' || isKeptForEver(there))) return
  findings.change(POLICY, wanted)
  const retention = configs[RETENTION_MS]
  if (retention !== undefined) findings.change(RETENTION_MS, retention)
}

function checkMessageBytes(min: number, there: FoundTopic, findings: Findings): void {
  if (Number(there.configs.get(MESSAGE_BYTES)) < min) findings.change(MESSAGE_BYTES, String(min))
}

function isCompacted({ configs }: FoundTopic): boolean {
  return (configs.get(POLICY) ?? '').split(',').includes('compact')
}

function isKeptForEver({ configs }: FoundTopic): boolean {
  if (!(configs.get(POLICY) ?? 'delete').split(',').includes('delete')) return true
  return configs.get(RETENTION_MS) === FOR_EVER && configs.get(RETENTION_BYTES) === FOR_EVER
}

function made({ partitionCount, configs }: WantedTopic): string {
  const settings = Object.entries(configs).map(([name, value]) => `${name}=${value}`)
  return [partitionCount === 1 ? '1 partition' : `${partitionCount} partitions`, ...settings].join(', ')
}
