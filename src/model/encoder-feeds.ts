/** The inputs of an encoder graph: all texts' tokens in one row, and the indices that set the texts apart to attend. */

import type { BertConfig } from './model-configs.ts'
import type { Tensor, Tensors } from './tensor-session.ts'

/** @param texts token ids of each text, [CLS] first; at least one text */
export function encoderFeeds(
  config: Pick<BertConfig, 'headCount' | 'layerCount'>,
  texts: readonly (readonly number[])[],
): Tensors {
  const { headCount, layerCount } = config
  const width = Math.max(...texts.map((ids) => ids.length))
  const tokenCount = texts.reduce((sum, ids) => sum + ids.length, 0)
  const positions = new Int32Array(tokenCount)
  const apart = new Int32Array(texts.length * headCount * width)
  const merge = new Int32Array(tokenCount * headCount)
  const firstRows = new Int32Array(texts.length)
  let start = 0
  for (const [text, { length }] of texts.entries()) {
    firstRows[text] = start
    for (let i = 0; i < length; i++) positions[start + i] = i
    for (let head = 0; head < headCount; head++) {
      const lane = (text * headCount + head) * width
      for (let i = 0; i < width; i++) {
        // Padding repeats the first token; the mask hides it.
        apart[lane + i] = (start + (i < length ? i : 0)) * headCount + head
        if (i < length) merge[(start + i) * headCount + head] = lane + i
      }
    }
    start += length
  }
  return {
    'token.ids': tensor(Int32Array.from(texts.flat()), tokenCount),
    'token.positions': tensor(positions, tokenCount),
    'attend.rows': tensor(apart, texts.length, headCount, width),
    'attend.col': tensor(
      Float32Array.from({ length: width }, (_, i) => i),
      width,
    ),
    'attend.last': tensor(
      Float32Array.from(texts, ({ length }) => length - 1),
      texts.length,
      1,
      1,
      1,
    ),
    ...(layerCount > 1 && { 'attend.merge': tensor(merge, tokenCount, headCount) }),
    'first.rows': tensor(firstRows, texts.length),
    'first.query': tensor(
      Int32Array.from({ length: texts.length * headCount }, (_, i) => i),
      texts.length,
      headCount,
      1,
    ),
  }
}

function tensor(data: Float32Array<ArrayBuffer> | Int32Array<ArrayBuffer>, ...dims: number[]): Tensor {
  return { data, dims }
}
