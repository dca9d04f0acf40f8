/** What is logged, and what is not. */

import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, test } from 'node:test'
import { RecordError, UnavailableError } from '../../src/errors.ts'
import { Logs, type LogsOptions } from '../../src/observability/logs.ts'
import { consumed, mended, owner, parked, restoring, swept } from '../../src/pipeline/channels.ts'
import { TestClock } from './test-clock.ts'

let clock: TestClock
let lines: string[]
let open: Logs[]

function logging(options: Partial<LogsOptions> = {}): Logs {
  const destination = { write: (line: string) => lines.push(line) }
  const logs = new Logs({ level: 'info', userIds: 'hashed', pretty: false, destination, clock, ...options })
  open.push(logs)
  return logs
}

function buried(reason: string, count: number): void {
  const outcomes = new Map([['dead-letter', count]])
  consumed.publish({ topic: 't', partition: 0, outcomes, deadLetters: new Map([[reason, count]]) })
}

describe('logs', () => {
  beforeEach(() => {
    clock = new TestClock()
    lines = []
    open = []
  })

  afterEach(() => {
    for (const logs of open) logs.close()
  })

  test('events leave no line, a change of state leaves one', () => {
    logging()
    for (let i = 0; i < 100; i++)
      consumed.publish({
        topic: 't',
        partition: 0,
        outcomes: new Map([['applied', 9]]),
        deadLetters: new Map(),
      })
    assert.deepEqual(lines, [])
    for (const stage of ['taking', 'owner', 'owner'])
      owner.publish({ stage, epoch: 7, generation: 1, partitions: [0], restoring: [] })
    swept.publish({ stage: 'started', usersSeen: 0, usersMarked: 0 })
    swept.publish({ stage: 'finished', usersSeen: 5, usersMarked: 2 })
    assert.deepEqual(
      lines.map((line) => JSON.parse(line)),
      [
        { level: 30, time: clock.nowMs(), component: 'owner', epoch: 7, partitions: 1, msg: 'stage taking' },
        { level: 30, time: clock.nowMs(), component: 'owner', epoch: 7, partitions: 1, msg: 'stage owner' },
        {
          level: 30,
          time: clock.nowMs(),
          component: 'sweep',
          usersSeen: 5,
          usersMarked: 2,
          msg: 'every user was looked at',
        },
      ],
    )
  })

  test('a take-over leaves one line with what was read and how long it took', () => {
    logging()
    const of = { epoch: 7, generation: 1, partitions: [0, 1], restoring: [] }
    owner.publish({ ...of, stage: 'taking' })
    restoring.publish({ partition: 0, records: 99, left: 9 })
    // Another assignment: what was read for the first is no part of the second.
    owner.publish({ ...of, generation: 2, stage: 'taking' })
    for (const records of [10, 20]) restoring.publish({ partition: 0, records, left: 20 - records })
    restoring.publish({ partition: 1, records: 3, left: 0 })
    owner.publish({ ...of, generation: 2, stage: 'taking' })
    owner.publish({ ...of, generation: 2, stage: 'owner', takeOverMs: 1_500 })
    owner.publish({ ...of, generation: 2, stage: 'owner' })
    const said = lines.map((line) => JSON.parse(line))
    assert.deepEqual(
      said.map(({ msg, restoredRecords, takeOverMs }) => [msg, restoredRecords, takeOverMs]),
      [
        ['stage taking', undefined, undefined],
        ['stage owner', 23, 1_500],
      ],
    )
  })

  test('partitions that are given away are told, though the stage is the same', () => {
    logging()
    const of = { epoch: 7, stage: 'owner', restoring: [] }
    owner.publish({ ...of, generation: 1, partitions: [0, 1, 2] })
    owner.publish({ ...of, generation: 2, partitions: [0, 1, 2] })
    owner.publish({ ...of, generation: 3, partitions: [0] })
    const counts = lines.map((line) => JSON.parse(line).partitions)
    assert.deepEqual(counts, [3, 1])
  })

  test('partitions that are restored beside those that are served are told', () => {
    logging()
    const of = { epoch: 7, generation: 1, partitions: [0, 1] }
    owner.publish({ ...of, stage: 'owner', restoring: [] })
    owner.publish({ ...of, generation: 2, stage: 'owner', restoring: [2] })
    owner.publish({ ...of, generation: 2, stage: 'owner', restoring: [], takeOverMs: 5 })
    assert.deepEqual(
      lines.map((line) => JSON.parse(line)).map(({ msg, restoring }) => [msg, restoring]),
      [
        ['stage owner', undefined],
        ['stage owner', 1],
        ['stage owner', undefined],
      ],
    )
  })

  test('a repeated complaint is written once a minute, with how many were left out', () => {
    logging()
    for (let i = 0; i < 10; i++) buried('record-json', 1)
    buried('record-frame', 3)
    assert.equal(lines.length, 2)
    clock.advance(60_000)
    buried('record-json', 1)
    assert.deepEqual(
      lines.map((line) => [JSON.parse(line).reason, JSON.parse(line).leftOut]),
      [
        ['record-json', undefined],
        ['record-frame', undefined],
        ['record-json', 9],
      ],
    )
  })

  test('a user appears as a keyed hash, the same under one key, and by name only where the operator says so', () => {
    const user = 'ada.lovelace@example.org'
    const logs = logging({ hashKey: 'a' })
    parked.publish({ tenant: 'default', user, reason: 'inference-failed' })
    assert.doesNotMatch(lines.join(''), /lovelace/)
    const { user_hash } = JSON.parse(lines[0]!)
    assert.match(user_hash, /^[0-9a-f]{16}$/)
    assert.deepEqual(logs.userField('default', user), { user_hash })
    assert.notDeepEqual(logging({ hashKey: 'b' }).userField('default', user), { user_hash })
    assert.notDeepEqual(logging().userField('default', user), logging().userField('default', user))
    assert.deepEqual(logging({ userIds: 'plain' }).userField('default', user), { tenant: 'default', user })
  })

  test('what was damaged and mended is one warning a minute', () => {
    logging()
    for (let i = 0; i < 3; i++) mended.publish({ what: 'event-vectors', message: 'was begun anew' })
    assert.deepEqual(
      lines.map((line) => JSON.parse(line)),
      [{ level: 40, time: clock.nowMs(), component: 'event-vectors', msg: 'was begun anew' }],
    )
  })

  test('an outage is one line when it begins and one when it ends', () => {
    const logs = logging()
    logs.healthChanged({
      kind: 'degraded',
      what: 'vectors',
      error: new UnavailableError('disk-full', 'no room'),
    })
    const recovered = { kind: 'recovered', what: 'vectors', outageMs: 1_500 } as const
    logs.healthChanged({ ...recovered, isHeard: true })
    logs.healthChanged({ ...recovered, isHeard: false })
    const [begin, end, silent] = lines.map((line) => JSON.parse(line))
    assert.equal(end.msg, 'answers again')
    assert.notEqual(silent.msg, end.msg, 'who was not heard of is not said to answer')
    assert.deepEqual([begin.level, begin.component, begin.err.code], [40, 'vectors', 'disk-full'])
    assert.deepEqual([end.level, end.component, end.outageMs], [30, 'vectors', 1_500])
  })

  test('an error is logged with its code, its cause and its stack', () => {
    const cause = new Error('below')
    logging().error('server', 'no answer', new RecordError('record-json', 'not JSON', { cause }))
    const { err, level } = JSON.parse(lines[0]!)
    assert.deepEqual([level, err.code, err.type], [50, 'record-json', 'RecordError'])
    assert.match(err.stack, /caused by: Error: below/)
  })

  test('the level is kept, and silent is silent', () => {
    logging({ level: 'error' }).info('cli', 'hello')
    logging({ level: 'silent' }).error('cli', 'hello', new Error('x'))
    assert.deepEqual(lines, [])
  })

  test('for people a line has time, level, component and message first, and colour only if asked', () => {
    const logs = logging({ pretty: true })
    logs.info('cli', 'ready', { url: 'http://127.0.0.1:7710', users: 3 })
    logs.healthChanged({
      kind: 'degraded',
      what: 'state',
      error: new UnavailableError('disk-full', 'no room'),
    })
    assert.deepEqual(lines, [
      '08:00:00 info  cli: ready url=http://127.0.0.1:7710 users=3\n',
      '08:00:00 warn  state: does not answer: tried again (disk-full: no room)\n',
    ])
    lines = []
    logging({ pretty: true, coloured: true }).error('cli', 'oh', new Error('x'))
    assert.equal(lines[0], '\u001b[31m08:00:00 error cli: oh (error: x)\u001b[0m\n')
  })

  test('a message or an id with line breaks or terminal codes stays one line without power over the terminal', () => {
    logging({ pretty: true }).info('cli', 'a\nb', { user: '\u001b[2Jx\r\ny' })
    assert.equal(lines.length, 1)
    // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
    assert.doesNotMatch(lines[0]!.slice(0, -1), /[\u0000-\u001f\u007f-\u009f]/)
  })
})
