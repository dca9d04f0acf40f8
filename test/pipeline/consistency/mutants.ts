/** Each rule of docs/consistency.md taken out of the code, one at a time; each must leave a wrong vector somewhere. */

import type { Mutant } from './pipeline-modules.ts'

const REFRESHER = 'pipeline/refresher.ts'
const SENDER = 'pipeline/sender.ts'
const OWNERSHIP = 'pipeline/ownership.ts'
const CONSUMER = 'pipeline/consumer.ts'

export const MUTANTS: readonly Mutant[] = [
  {
    rule: 'S1-name',
    file: 'window/apply.ts',
    find: "    if (order < 0) return 'superseded'",
    replace: "    if (order > 0) return 'superseded'",
  },
  {
    rule: 'S2-offset',
    file: 'window/apply.ts',
    find: '  if (a.offset !== b.offset) return a.offset > b.offset ? a : b\n',
    replace: '',
  },
  {
    rule: 'S2-null',
    file: CONSUMER,
    find: '        applyTabular(state, {',
    replace: '        if (record.snapshot === null) state.tabular = null\n        else applyTabular(state, {',
  },
  {
    rule: 'S3-hides',
    file: 'window/apply.ts',
    find: "  if (state.tombstoneMs !== null && event.eventTimeMs <= state.tombstoneMs) return 'hidden'\n",
    replace: '',
  },
  {
    rule: 'S3-tabular',
    file: 'window/apply.ts',
    find: '  if (tabular === null || tombstoneMs === null || tabular.asOfMs > tombstoneMs) return tabular\n',
    replace: '  return tabular\n',
  },
  {
    rule: 'S4',
    file: CONSUMER,
    find: 'if (isLate(timeMs, appendTimeMs,',
    replace: 'if (isLate(timeMs, nowMs,',
  },
  {
    rule: 'S5',
    file: CONSUMER,
    find: '    // S5: every record',
    replace:
      "    if (outcome === 'duplicate' || outcome === 'hidden' || outcome === 'superseded') return outcome\n    // S5: every record",
  },
  {
    rule: 'E1-texts',
    file: 'pipeline/snapshot.ts',
    // biome-ignore lint/suspicious/noTemplateCurlyInString: it is source text
    find: '.update(`${this.identityOf(target.model)}\\n${target.modelChangeNumber} ${changeNumber}\\n`)',
    // biome-ignore lint/suspicious/noTemplateCurlyInString: it is source text
    replace: '.update(`${this.identityOf(target.model)}\\n${target.modelChangeNumber}\\n`)',
  },
  {
    rule: 'E1-collection',
    file: 'pipeline/view.ts',
    find: 'modelChangeNumber: models.changeNumbers.get(model)!',
    replace: 'modelChangeNumber: 0',
  },
  {
    rule: 'E1-snapshot',
    file: REFRESHER,
    find: 'state.acknowledged.set(key, { inputHash: snapshot.inputHash,',
    replace:
      'state.acknowledged.set(key, { inputHash: snapshots.of(entry, state, control.view.targets.get(key) ?? batch.target, ownership.day).inputHash,',
  },
  {
    rule: 'E2-epoch',
    file: REFRESHER,
    find: 'if (isFresh && entry.acknowledgedIn.get(key) === ownership.epoch) {',
    replace: 'if (isFresh) {',
  },
  {
    rule: 'E2-unknown',
    file: REFRESHER,
    find: '    entry.partition.stateOf(entry).acknowledged.delete(key)\n    entry.acknowledgedIn.delete(key)\n',
    replace: '',
  },
  {
    rule: 'E3',
    file: REFRESHER,
    find: '    const isCurrent =\n',
    replace: '    const isCurrent = true ||\n',
  },
  {
    rule: 'E4-one',
    file: REFRESHER,
    find: '    entry.inFlight.add(target.key)\n',
    replace: '',
  },
  {
    rule: 'E4-bytes',
    file: REFRESHER,
    find: '    const sent = await this.sender.send({ ...batch, points, isOwned })\n',
    replace: `    const { settings, ownership } = this.parts
    const once = new Sender({ ...this.parts, settings: { ...settings, sendAttemptsMax: 1 } })
    let sent = await once.send({ ...batch, points, isOwned })
    for (let attempt = 2; sent.outcome === 'unknown' && attempt <= settings.sendAttemptsMax; attempt++) {
      await clock.sleep(1)
      if (!ownership.maySend(clock.nowMs()) || !isOwned()) break
      for (const request of batch.requests) {
        const { entry } = request
        const state = entry.partition.stateOf(entry)
        request.snapshot = this.parts.snapshots.of(entry, state, batch.target, ownership.day)
        const { window } = request.snapshot
        request.input = window === null ? null : this.parts.render(batch.target, window)
      }
      points = await this.embed(batch)
      sent = await once.send({ ...batch, points, isOwned })
    }
`,
  },
  {
    rule: 'E5-skip',
    file: REFRESHER,
    find: '      flusher.add(entry, first, ownership.epoch) // E5\n',
    replace: '      entry.partition.release(first)\n',
  },
  {
    rule: 'E5-park',
    file: REFRESHER,
    find: '    flusher.add(entry, entry.partition.take(entry), ownership.epoch) // E5\n',
    replace: '    entry.partition.release(entry.partition.take(entry))\n',
  },
  {
    rule: 'E5-unpark',
    file: 'pipeline/updater.ts',
    find: '      markEverywhere(entry, state, this.control.view, clock.nowMs(), true, settings.quietMs)\n',
    replace: '      void markEverywhere\n      void settings\n',
  },
  {
    rule: 'V1-epoch',
    file: SENDER,
    find: 'await vectors.upsert(target.collection, version, points)',
    replace: 'await vectors.upsert(target.collection, { epoch: 1, write: version.write }, points)',
  },
  {
    rule: 'V1-write',
    file: SENDER,
    find: 'await vectors.upsert(target.collection, version, points)',
    replace: 'await vectors.upsert(target.collection, { epoch: version.epoch, write: 0 }, points)',
  },
  {
    rule: 'V2-forgotten',
    file: REFRESHER,
    find: '    if (!target.inUse && state.tombstoneMs === null) {\n',
    replace: '    if (!target.inUse) {\n',
  },
  {
    rule: 'V2-empty',
    file: REFRESHER,
    find: '    // E2: an equal hash',
    replace:
      '    if (snapshot.window === null && target.inUse) {\n      this.skip(entry, target)\n      return undefined\n    }\n    // E2: an equal hash',
  },
  {
    rule: 'V3',
    file: OWNERSHIP,
    find: ' && nowMs - this.acceptedMs <= this.parts.settings.sessionTimeoutMs',
    replace: '',
  },
  {
    rule: 'V5',
    file: 'pipeline/aliases.ts',
    find: '    if ((await vectors.alias(alias)) === target.collection) continue\n',
    replace: '    if (alias !== null) continue\n',
  },
  {
    rule: 'V6',
    file: 'vectors/model-registry.ts',
    find: '        record.rebuild === true ||\n',
    replace: '',
  },
  {
    rule: 'O1-check',
    file: OWNERSHIP,
    find: 'if (!isOurs || generation !== this.generation) {',
    replace: 'if (generation !== this.generation) {',
  },
  {
    rule: 'O1-epoch',
    file: OWNERSHIP,
    find: 'const epoch = Math.max(highestEpoch + 1, Math.floor(clock.nowMs() / 1000))',
    replace: 'const epoch = Math.floor(clock.nowMs() / 1000)',
  },
  {
    rule: 'O2',
    file: OWNERSHIP,
    find: "this.stageNow === 'owner' && assignment.generation === this.generation + 1",
    replace: "this.stageNow === 'owner'",
  },
  {
    rule: 'O3-order',
    file: 'pipeline/flusher.ts',
    find: '    this.inFlight++\n',
    replace: '    this.inFlight++\n    for (const { first } of list) partition.release(first)\n',
  },
  {
    rule: 'O3-committable',
    file: 'pipeline/partition.ts',
    find: '    for (const first of this.requests) earliest(offsets, first)\n',
    replace: '',
  },
  {
    rule: 'O4-smaller',
    file: OWNERSHIP,
    find: '      return [topic, Math.min(position, committed.get(topic) ?? 0)]',
    replace: '      return [topic, committed.get(topic) ?? position]',
  },
  {
    rule: 'O5',
    file: 'pipeline/changelog-state-store.ts',
    find: '    await this.append(partition, records)\n',
    replace:
      '    if (older.length > 0) await this.append(partition, older)\n    await this.append(partition, records)\n',
  },
  {
    rule: 'O5-doubt',
    file: 'pipeline/changelog-state-store.ts',
    find: 'Math.max(kept?.doubtedEpoch ?? 0, isLate ? epoch : 0)',
    replace: '(void isLate, 0)',
  },
  {
    rule: 'O6-gap',
    file: 'pipeline/changelog-state-store.ts',
    find: '    if (first !== head.position) return\n',
    replace: '',
  },
  {
    rule: 'O7',
    file: OWNERSHIP,
    find: '    this.taken()\n',
    replace: '',
  },
]

/** Rules whose absence mends itself at rest: a test looks at the moment before. */
export const TRANSIENT: Record<
  'tombstones' | 'readBack' | 'day' | 'topicId' | 'copiedAcknowledgements',
  Mutant
> = {
  tombstones: {
    rule: 'O1-tombstones',
    file: OWNERSHIP,
    find: '      partition.tombstones.set(key, Math.max(atMs, partition.tombstones.get(key) ?? atMs))\n',
    replace: '      void key\n      void atMs\n',
  },
  readBack: {
    rule: 'V4',
    file: SENDER,
    find: '      ownership.fenced(stored.version.epoch)\n',
    replace: '',
  },
  day: {
    rule: 'O4-day',
    file: OWNERSHIP,
    find: '      day = Math.max(day, found.day)\n',
    replace: '',
  },
  topicId: {
    rule: 'O6-topic',
    file: 'pipeline/changelog-state-store.ts',
    find: 'if (head !== undefined && head.topicId !== topicId) disk.clear(partition)',
    replace: '',
  },
  copiedAcknowledgements: {
    rule: 'O6-acknowledged',
    file: 'pipeline/changelog-state-store.ts',
    find: '    const { acknowledged, dueMs, parked, epoch } = known\n',
    replace: '    const { acknowledged, dueMs, parked, epoch } = live\n',
  },
}

const FENCE = 'drivers/qdrant/fence.ts'

/** Halves of the fence as the Qdrant driver sends it, each with the kept scenario that needs it. */
export const DRIVER_MUTANTS: readonly (readonly [mutant: Mutant, trace: string])[] = [
  [
    {
      rule: 'V1-fence-epoch',
      file: FENCE,
      find: "{ key: 'epoch', range: { gte: epoch, lte: epoch } },",
      replace: "{ key: 'epoch', range: { gte: 0 } },",
    },
    'V1-fence-epoch',
  ],
  [
    {
      rule: 'V1-fence-write',
      file: FENCE,
      find: "{ key: 'write', range: { lte: write } },",
      replace: "{ key: 'write', range: { gte: 0 } },",
    },
    'V1-write',
  ],
]
