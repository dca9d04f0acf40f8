import assert from 'node:assert/strict'
import { test } from 'node:test'
import { AssignerProtocol } from 'kafkajs'
import {
  readAssignment,
  readMetadata,
  writeAssignment,
  writeMetadata,
} from '../../../src/drivers/kafka/group-protocol.ts'

const TOPICS = ['behavior.app', 'user.tabular']

test('what a member says is read back, with and without a claim', () => {
  for (const claim of [null, { generation: 7, partitions: [0, 5, 11] }])
    assert.deepEqual(readMetadata(writeMetadata({ topics: TOPICS, claim })), { topics: TOPICS, claim })
})

test("it has the form that Kafka's tools and other clients read", () => {
  const claim = { generation: 7, partitions: [1] }
  const metadata = AssignerProtocol.MemberMetadata.decode(writeMetadata({ topics: TOPICS, claim }))
  assert.deepEqual(metadata!.topics, TOPICS)
  const assignment = AssignerProtocol.MemberAssignment.decode(writeAssignment(TOPICS, [2, 3]))
  assert.deepEqual(assignment!.assignment, { 'behavior.app': [2, 3], 'user.tabular': [2, 3] })
})

test('an assignment is read back, also from a leader that left some topics out, or passed us over', () => {
  assert.deepEqual(readAssignment(writeAssignment(TOPICS, [3, 1])), [1, 3])
  assert.deepEqual(readAssignment(writeAssignment(TOPICS, [])), [])
  assert.deepEqual(readAssignment(Buffer.alloc(0)), [])
  const older = AssignerProtocol.MemberAssignment.encode({
    version: 0,
    assignment: { 'behavior.app': [4] },
    userData: Buffer.alloc(0),
  })
  assert.deepEqual(readAssignment(older), [4])
})

test('a member of another version has no claim, and is a member all the same', () => {
  const others = [Buffer.from('{"owned":[1]}'), Buffer.from([9, 0, 0, 0, 1]), Buffer.from([1])]
  for (const userData of others) {
    const metadata = AssignerProtocol.MemberMetadata.encode({ version: 0, topics: TOPICS, userData })
    assert.deepEqual(readMetadata(metadata), { topics: TOPICS, claim: null })
  }
  // Kafka's newer form has what a member owns behind the data.
  const newer = Buffer.concat([writeMetadata({ topics: TOPICS, claim: null }), Buffer.alloc(4)])
  assert.deepEqual(readMetadata(newer), { topics: TOPICS, claim: null })
  assert.deepEqual(readMetadata(Buffer.from([7])), { topics: [], claim: null })
})
