/** What the pipeline and the server ask of a model: users and texts in, vectors out. */

import type { TextModality } from '../events/behavior-event.ts'

declare const brand: unique symbol
/** `[a-z0-9-]{1,40}`: the `id` of a bundle's manifest. */
export type ModelId = string & { readonly [brand]: 'ModelId' }

export type Precision = 'fp32' | 'int8' | 'fp16'
export type Provider = 'cpu' | 'webgpu' | 'cuda'

/** A user as the model sees them; the same form as `users[]` of the golden embed files. */
export interface UserInput {
  /** Rendered sentences, oldest first; more than the slots are allowed, the newest count. */
  events: Partial<Record<TextModality, readonly string[]>>
  /** Raw features in manifest order; null entries are missing; null as a whole: the modality is absent. */
  tabular: readonly (number | null)[] | null
}

/** What was spent, since the model was opened. Never bypass them by accident: tests hold them. */
export interface TokenCounts {
  /** Encoder tokens run through an encoder. */
  encoderComputed: number
  /** Encoder tokens whose event vector came from the cache. */
  encoderCached: number
  /** Backbone positions computed. */
  backboneComputed: number
  /** Backbone positions that separate passes would have computed again. */
  backboneShared: number
  /** Event texts encoded, event texts found in the cache, and backbone runs. */
  eventsEncoded: number
  eventsCached: number
  backboneRuns: number
  /** Milliseconds that calls for users waited for the encoders, and then for the backbone. */
  encodeMs: number
  backboneMs: number
}

/** How the instructions of one user share their prefix; all three give the same vectors to 1e-4 in fp32. */
export type PassForm = 'packed' | 'prefix-suffix' | 'separate'

export interface EmbeddingModel {
  readonly id: ModelId
  readonly precision: Precision
  readonly provider: Provider
  /** Length of the vectors. */
  readonly dimensions: number
  readonly rendererVersion: number
  /** Days; the configuration may override it. */
  readonly horizonDays: number
  /** Slots per text modality; 0 for a modality the bundle does not know. */
  readonly slots: Readonly<Record<TextModality, number>>
  /** Feature names in the order of `UserInput.tabular`; null: the bundle has no tabular modality. */
  readonly tabularFeatures: readonly string[] | null
  /** sha256 over the manifest's file hashes: the same weights, the same string. */
  readonly contentHash: string

  /** Positions of one user's packed row: prefix and all instruction blocks. For token-bounded micro-batches. */
  positions(input: UserInput, instructions: readonly (string | null)[]): number

  /**
   * Embeds each user under each instruction; null is `general`.
   *
   * @returns one list per user, one L2-normalised Float32Array [dimensions] per instruction
   * @throws {RequestError} `instruction-control-token`, when an instruction contains an added token's literal
   */
  embedUsers(
    users: readonly UserInput[],
    instructions: readonly (string | null)[],
    options?: { form?: PassForm; signal?: AbortSignal },
  ): Promise<Float32Array[][]>

  /** The answer tower: texts into the users' space. @returns L2-normalised Float32Array [dimensions] each */
  embedTexts(texts: readonly string[]): Promise<Float32Array[]>

  counts(): TokenCounts
  close(): Promise<void>
}

/**
 * Vectors of event texts, kept across restarts; the key already covers encoder files, precision, maxTokens and text.
 * Trouble with where they are kept is the cache's own to report: it then has nothing, and throws nothing.
 */
export interface EventVectorCache {
  /** @returns one entry per key, undefined where it is not kept */
  getMany(keys: readonly string[]): (Float32Array | undefined)[]
  putMany(entries: readonly { key: string; vector: Float32Array }[]): void
}
