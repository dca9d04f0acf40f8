/** Holds token ids to the reference's: the real Qwen2.5 vocabulary, and those of every golden bundle. */

import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { test } from 'node:test'
import { openBundle } from '../../src/model/bundle.ts'
import { hashFile } from '../../src/model/bundle-files.ts'
import { openBackboneTokenizer, openEncoderTokenizer } from '../../src/model/tokenizer.ts'
import { goldenFiles, goldenPath } from './golden-files.ts'

interface TokenizerCases {
  package: string
  file: string
  sha256: string
  vocabularySize: number
  cases: { text: string; ids: number[] }[]
}

interface EmbedCases {
  bundle: string
  instructions: (string | null)[]
  expected: {
    introIds: number[]
    instructionIds: number[][]
    events: { modality: string; text: string; ids: number[] }[]
  }
}

interface AnswerCases {
  bundle: string
  answers: { text: string; ids: number[] }[]
}

for (const { name, content } of goldenFiles<TokenizerCases>('tokenizers')) {
  test(`${name}: the official tokenizer's ids for every text`, async () => {
    const packageName = content.package.replace(/(?<=.)@[^@/]+$/, '')
    const path = createRequire(import.meta.url).resolve(`${packageName}/${content.file}`)
    assert.equal(await hashFile(path), content.sha256)
    const tokenizer = openBackboneTokenizer(path, content.vocabularySize)
    for (const { text, ids } of content.cases)
      assert.deepEqual(tokenizer.ids(text), ids, JSON.stringify(text))
    assert.ok(content.cases.length > 0)
  })
}

for (const { name, content } of goldenFiles<EmbedCases>('embed')) {
  test(`${name}: ids of the intro, the instructions and every event text`, async () => {
    const bundle = await openBundle(goldenPath(content.bundle), { verify: true })
    const { backbone, manifest, encoders } = bundle
    bundle.close()
    const tokenizer = openBackboneTokenizer(backbone.tokenizerPath, backbone.config.vocabSize)
    assert.deepEqual(tokenizer.ids(manifest.introText), content.expected.introIds)
    const instructionIds = content.instructions.map((text) =>
      text === null ? [] : tokenizer.instructionIds(text),
    )
    assert.deepEqual(instructionIds, content.expected.instructionIds)
    for (const { modality, text, ids } of content.expected.events) {
      const { encoder, maxTokens } = manifest.modalities.find((one) => one.name === modality)!
      const { tokenizerPath, config } = encoders.get(encoder!)!
      const got = openEncoderTokenizer(tokenizerPath, config.vocabSize).ids(text, maxTokens!)
      assert.deepEqual(got, ids, `${modality}: ${text}`)
    }
  })
}

for (const { name, content } of goldenFiles<AnswerCases>('answers')) {
  test(`${name}: ids of every answer, eos included`, async () => {
    const bundle = await openBundle(goldenPath(content.bundle), { verify: false })
    const { tokenizerPath, config } = bundle.backbone
    bundle.close()
    const tokenizer = openBackboneTokenizer(tokenizerPath, config.vocabSize)
    for (const { text, ids } of content.answers) assert.deepEqual(tokenizer.answerIds(text), ids, text)
  })
}
