/** The manifest of a model bundle: its type, and the strict reading of its JSON, every key present and no other. */

import { createHash } from 'node:crypto'
import { ConfigError, invariant } from '../errors.ts'
import { type Modality, TEXT_MODALITIES } from '../events/behavior-event.ts'
import { NAME_PATTERN } from '../instructions/instruction.ts'
import type { ModelId } from './embedding-model.ts'
import { JsonFields, type Refuse, shown } from './json-fields.ts'

export interface ManifestModality {
  name: Modality
  /** How many of the newest events are kept; 1 for `tabular`. */
  slots: number
  /** Encoder tokens per event text, [CLS] and [SEP] included; null for `tabular`. */
  maxTokens: number | null
  /** Directory of the encoder inside the bundle; null for `tabular`. */
  encoder: string | null
}

export interface ManifestTabular {
  features: readonly string[]
  mean: readonly number[]
  /** Every entry > 0. */
  std: readonly number[]
  /** Positions that the tabular vector takes, g. */
  tokens: number
}

export interface Manifest {
  id: ModelId
  parent: ModelId | null
  /** ISO 8601, UTC. */
  created: string
  rendererVersion: number
  introText: string
  /** In template order. */
  modalities: readonly ManifestModality[]
  horizonDays: number
  adapter: 'linear' | 'mlp'
  head: 'mlp' | 'none'
  tabular: ManifestTabular | null
  dModel: number
  dEncoder: number
  /** Row order of `special_tokens.weight`. */
  specialTokens: readonly string[]
  lora: 'lora' | null
  /** Path inside the bundle -> sha256, lower-case hex. */
  files: ReadonlyMap<string, string>
}

const KEYS = [
  'id',
  'parent',
  'created',
  'rendererVersion',
  'introText',
  'modalities',
  'horizonDays',
  'adapter',
  'head',
  'tabular',
  'dModel',
  'dEncoder',
  'specialTokens',
  'lora',
  'files',
] as const

/** Positions of one modality: beyond any context length in use (guess). */
const SLOTS_MAX = 100_000
/** A vector spread over more positions than this is a mistake (guess). */
const TABULAR_TOKENS_MAX = 256

export const USER_TOKEN = '<USER>'

/** The special rows that a bundle of these modalities has, in the order in which we write them. */
export function specialTokenNames(modalities: readonly { name: Modality }[]): string[] {
  return [...modalities.flatMap(({ name }) => [`<start_${name}>`, `<end_${name}>`]), USER_TOKEN]
}

/**
 * Reads a manifest.
 *
 * @param where the file's path, for messages
 * @throws {ConfigError} `bundle-manifest`, naming the key, what was expected and what came; `bundle-path`
 */
export function parseManifest(json: string, where: string): Manifest {
  const refuse: Refuse = (field, expected, got) => {
    throw new ConfigError(
      'bundle-manifest',
      `expected ${expected} for ${field} in ${where}, got ${shown(got)}: correct the manifest, or make the bundle again`,
    )
  }
  let parsed: unknown
  try {
    parsed = JSON.parse(json)
  } catch (cause) {
    return refuse('the document', 'JSON', (cause as Error).message)
  }
  const fields = new JsonFields(parsed, '', refuse)
  fields.exactly(KEYS)
  const modalities = parseModalities(fields)
  return {
    id: modelId(fields, 'id'),
    parent: fields.has('parent') ? modelId(fields, 'parent') : null,
    created: parseCreated(fields),
    rendererVersion: fields.integer('rendererVersion', { min: 1 }),
    introText: fields.text('introText'),
    modalities,
    horizonDays: fields.number('horizonDays', { above: 0 }),
    adapter: fields.oneOf('adapter', ['linear', 'mlp']),
    head: fields.oneOf('head', ['mlp', 'none']),
    tabular: parseTabular(fields, modalities),
    dModel: fields.integer('dModel', { min: 1 }),
    dEncoder: fields.integer('dEncoder', { min: 1 }),
    specialTokens: parseSpecialTokens(fields, modalities),
    lora: fields.oneOf('lora', ['lora', null]),
    files: parseFiles(fields.fields('files')),
  }
}

/** The JSON of a manifest, keys in the order of the specification, so that equal manifests are equal bytes. */
export function manifestJson(manifest: Manifest): string {
  const ordered = Object.fromEntries(KEYS.map((key) => [key, manifest[key]]))
  const files = Object.fromEntries([...manifest.files].sort(([a], [b]) => (a < b ? -1 : 1)))
  return `${JSON.stringify({ ...ordered, files }, null, 2)}\n`
}

/** The row of a special token in `special_tokens.weight`. */
export function specialRow(manifest: Manifest, name: string): number {
  const row = manifest.specialTokens.indexOf(name)
  invariant(row >= 0, `no special token ${name} in the manifest of ${manifest.id}`)
  return row
}

/** sha256 over paths and hashes of the files whose path begins so: the same files, the same string. */
export function filesHash(files: ReadonlyMap<string, string>, prefix = ''): string {
  const lines = [...files]
    .filter(([path]) => path.startsWith(prefix))
    .map(([path, hash]) => [path.slice(prefix.length), hash])
  lines.sort(([a], [b]) => (a! < b! ? -1 : 1))
  return createHash('sha256').update(JSON.stringify(lines)).digest('hex')
}

/**
 * Refuses paths that could leave the bundle, on any operating system.
 *
 * @throws {ConfigError} `bundle-path`
 */
function checkBundlePath(path: string, field: string): void {
  const segments = path.split('/')
  const safe =
    segments.every((segment) => segment !== '' && segment !== '.' && segment !== '..') &&
    !/[\\\0]/.test(path) &&
    !/^[A-Za-z]:/.test(path)
  if (safe) return
  throw new ConfigError(
    'bundle-path',
    `expected a relative path with / inside the bundle for ${field}, got ${shown(path)}: the manifest must not name anything outside its directory`,
  )
}

function modelId(fields: JsonFields, key: string): ModelId {
  const id = fields.text(key)
  return NAME_PATTERN.test(id) ? (id as ModelId) : fields.refuse(key, 'a name of 1 to 40 of a-z, 0-9 and -')
}

function parseCreated(fields: JsonFields): string {
  const created = fields.text('created')
  const shaped =
    /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/.test(created) && !Number.isNaN(Date.parse(created))
  return shaped ? created : fields.refuse('created', 'a time in ISO 8601 that ends in Z')
}

function parseModalities(fields: JsonFields): ManifestModality[] {
  const seen = new Set<Modality>()
  const modalities = fields.objects('modalities').map((item): ManifestModality => {
    item.exactly(['name', 'slots', 'maxTokens', 'encoder'])
    const name = item.oneOf<Modality>('name', [...TEXT_MODALITIES, 'tabular'])
    if (seen.has(name)) item.refuse('name', 'each modality once')
    seen.add(name)
    if (name === 'tabular') {
      const slots = item.integer('slots', { min: 1, max: 1 })
      return {
        name,
        slots,
        maxTokens: item.oneOf('maxTokens', [null]),
        encoder: item.oneOf('encoder', [null]),
      }
    }
    const encoder = item.text('encoder')
    checkBundlePath(encoder, item.name('encoder'))
    const slots = item.integer('slots', { min: 1, max: SLOTS_MAX })
    return { name, slots, maxTokens: item.integer('maxTokens', { min: 2 }), encoder }
  })
  return modalities.length > 0 ? modalities : fields.refuse('modalities', 'at least one modality')
}

function parseTabular(fields: JsonFields, modalities: readonly ManifestModality[]): ManifestTabular | null {
  const listed = modalities.some(({ name }) => name === 'tabular')
  if (listed !== fields.has('tabular')) {
    fields.refuse(
      'tabular',
      listed ? 'an object, since the modality tabular is listed' : 'null, since no modality is named tabular',
    )
  }
  if (!listed) return null
  const tabular = fields.fields('tabular')
  tabular.exactly(['features', 'mean', 'std', 'tokens'])
  const features = tabular.texts('features')
  const distinct = new Set(features).size === features.length && !features.includes('')
  if (features.length === 0 || !distinct) tabular.refuse('features', 'one or more different names')
  return {
    features,
    mean: tabular.numbers('mean', features.length),
    std: tabular.numbers('std', features.length, { above: 0 }),
    tokens: tabular.integer('tokens', { min: 1, max: TABULAR_TOKENS_MAX }),
  }
}

function parseSpecialTokens(fields: JsonFields, modalities: readonly ManifestModality[]): string[] {
  const names = fields.texts('specialTokens')
  const expected = specialTokenNames(modalities)
  const same = names.length === expected.length && expected.every((name) => names.includes(name))
  return same ? names : fields.refuse('specialTokens', `exactly ${expected.join(' ')} in any order`)
}

function parseFiles(fields: JsonFields): Map<string, string> {
  const files = new Map<string, string>()
  for (const path of fields.keys()) {
    checkBundlePath(path, fields.name(JSON.stringify(path)))
    if (path === 'manifest.json') fields.refuse(path, 'no hash of the manifest itself')
    const hash = fields.text(path)
    if (!/^[0-9a-f]{64}$/.test(hash)) fields.refuse(path, 'a sha256 of 64 lower-case hex digits')
    files.set(path, hash)
  }
  return files
}
