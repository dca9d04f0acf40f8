/** As of which day an import is read, and that nobody who only asks moves the day of a data directory. */

import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, suite, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { importDay } from '../../src/cli/import-day.ts'
import { type ImportFile, openImportFile } from '../../src/cli/import-file.ts'
import { importFile } from '../../src/cli/importer.ts'
import { LocalService } from '../../src/cli/local-service.ts'
import type { Standalone } from '../../src/cli/open-standalone.ts'
import { openStandalone } from '../../src/cli/open-standalone.ts'
import { openAsStored } from '../../src/cli/stored-day.ts'
import { loadSettings } from '../../src/config/load-settings.ts'
import { RecordError } from '../../src/errors.ts'
import type { InstructionId } from '../../src/instructions/instruction.ts'
import { Health } from '../../src/observability/health.ts'
import { Recent } from '../../src/observability/recent.ts'
import type { Clock } from '../../src/pipeline/clock.ts'
import type { FreshetService } from '../../src/server/service.ts'
import { dayString } from '../../src/window/day.ts'
import { GOLDEN_BUNDLE, NOW_MS, ref, search } from './standalone-fixture.ts'

const MINUTES_OF_DAY = 1_440
const TODAY = Math.floor(NOW_MS / 86_400_000)

suite('the day of an import', () => {
  const root = mkdtempSync(join(tmpdir(), 'freshet-day-'))
  after(() => rmSync(root, { recursive: true, force: true }))
  let directories = 0

  const settingsOf = (dataDir: string, horizonDays: unknown) => {
    const flags = { dataDir, 'model.bundle': GOLDEN_BUNDLE, 'model.threads': 1, 'server.port': 0 }
    return loadSettings({ file: null, env: {}, flags: { ...flags, 'windows.horizonDays': horizonDays } })
      .settings
  }

  const newDirectory = (horizonDays: unknown = 30) =>
    settingsOf(join(root, `data-${directories++}`), horizonDays)
  const clockAt = (nowMs: number): Clock => ({ nowMs: () => nowMs, sleep: (ms) => sleep(Math.min(ms, 5)) })

  /** Searches of one user, so many days before now. */
  const fileOf = async (name: string, user: string, ...daysAgo: number[]): Promise<ImportFile> => {
    const path = join(root, name)
    const lines = daysAgo.map((days) => search(user, `query ${days}`, days * MINUTES_OF_DAY))
    writeFileSync(path, lines.map((line) => `${JSON.stringify(line)}\n`).join(''))
    return openImportFile(path, [])
  }

  const opened = async <Result>(
    open: typeof openStandalone,
    settings: ReturnType<typeof settingsOf>,
    use: (standalone: Standalone, service: FreshetService) => Promise<Result>,
  ): Promise<Result> => {
    const clock = clockAt(NOW_MS)
    const standalone = await open(settings, { clock })
    const recent = new Recent(clock)
    const health = new Health({ clock })
    const service = new LocalService(standalone, recent, health)
    try {
      return await use(standalone, service)
    } finally {
      service.close()
      recent.close()
      health.close()
      await standalone.close()
    }
  }

  const ingest = (settings: ReturnType<typeof settingsOf>, files: ImportFile[], named?: number) =>
    opened(openStandalone, settings, async (standalone) => {
      const { parts } = standalone
      const asOfDay = await importDay(standalone, files, { named, again: false })
      parts.pipelineSettings.asOfDay = asOfDay
      parts.updater.refreshing = false
      await standalone.start()
      for (const file of files)
        await importFile(standalone, file, { asOfDay, again: false, live: false, report: () => {} })
      await standalone.caughtUp()
      await standalone.untilIdle()
      assert.equal(parts.deadLetters.count(), 0)
      return asOfDay
    })

  const user = (settings: ReturnType<typeof settingsOf>, name: string) =>
    opened(openAsStored, settings, async (standalone, service) => {
      standalone.parts.updater.refreshing = false
      await standalone.start()
      await standalone.caughtUp()
      return service.user(ref(name))
    })

  test('a new day beside a file that was read to its end is read as of the new day, and nothing is lost', async () => {
    const settings = newDirectory()
    const monday = await fileOf('monday.jsonl', 'ada', 8)
    const tuesday = await fileOf('tuesday.jsonl', 'ada', 7)
    assert.equal(await ingest(settings, [monday]), TODAY - 8)
    assert.equal(await ingest(settings, [monday, tuesday]), TODAY - 7)
    const { events, asOf, stale } = await user(settings, 'ada')
    assert.deepEqual([events.search, asOf, stale], [2, dayString(TODAY - 7), false])
  })

  test('who only asks, or adds an instruction, leaves the day as it is, even of an empty directory', async () => {
    const settings = newDirectory()
    await assert.rejects(user(settings, 'ada'), { code: 'user-unknown' })
    const history = await fileOf('history.jsonl', 'ada', 200, 180)
    assert.equal(await ingest(settings, [history]), TODAY - 180)
    await opened(openAsStored, settings, async (standalone, service) => {
      await standalone.start()
      await service.addInstruction({ id: 'next' as InstructionId, text: 'What next?' })
      await standalone.untilIdle()
    })
    const { instructions, asOf, stale } = await user(settings, 'ada')
    assert.deepEqual(instructions.map(({ id }) => id).sort(), ['general', 'next'])
    assert.deepEqual([asOf, stale], [dayString(TODAY - 180), false])
    assert.equal(await ingest(settings, [await fileOf('later.jsonl', 'ada', 170)]), TODAY - 170)
    assert.equal((await user(settings, 'ada')).asOf, dayString(TODAY - 170))
  })

  test('an import behind the day of the directory is read as of that day, or refused when nothing of it would show', async () => {
    const settings = newDirectory()
    await opened(openStandalone, settings, (standalone) => standalone.start())
    assert.equal(await ingest(settings, [await fileOf('yesterday.jsonl', 'ada', 1)]), TODAY)
    const old = await fileOf('old.jsonl', 'ben', 300)
    await assert.rejects(ingest(settings, [old]), { name: 'RequestError', code: 'import-day-passed' })
    await assert.rejects(ingest(settings, [old], TODAY - 300), { code: 'import-day-passed' })
    assert.equal(await ingest(settings, [old], TODAY), TODAY, 'who names the day of the directory may')
    const endless = newDirectory('none')
    await opened(openStandalone, endless, (standalone) => standalone.start())
    assert.equal(await ingest(endless, [old]), TODAY, 'without a horizon everything shows')
    assert.equal((await user(endless, 'ben')).instructions.length, 1)
  })

  test('--as-of refuses events after its day before anything is appended, and names the first', async () => {
    const settings = newDirectory()
    const files = [await fileOf('a.jsonl', 'ada', 40), await fileOf('b.jsonl', 'ada', 41, 20, 10)]
    await assert.rejects(
      ingest(settings, files, TODAY - 30),
      ({ code, message }: { code: string; message: string }) => {
        assert.equal(code, 'import-after-day')
        assert.match(message, /got one of 2025-12-26T12:00:00\.000Z in .*b\.jsonl:2:/)
        return true
      },
    )
    await opened(openStandalone, settings, async ({ parts }) => assert.equal(parts.log.endOffset(), 0))
    assert.equal(await ingest(settings, files, TODAY - 10), TODAY - 10)
  })

  test('the day of an import is never later than today, and an event from the future has no say in it', async () => {
    const file = await fileOf('ahead.jsonl', 'ada', 0, -365)
    await opened(openStandalone, newDirectory(), async (standalone) => {
      assert.equal(await importDay(standalone, [file], { named: undefined, again: false }), TODAY)
      assert.equal(await importDay(standalone, [file], { named: TODAY + 30, again: false }), TODAY)
    })
  })

  test('a file that is cut off has a say in the day as far as it is whole, and its damage is left to the import', async () => {
    const whole = await fileOf('whole.jsonl', 'ada', 60)
    const cut: ImportFile = {
      ...whole,
      items: async function* () {
        yield* whole.items()
        throw new RecordError('container-file', 'expected a whole block')
      },
    }
    await opened(openStandalone, newDirectory(), async (standalone) => {
      assert.equal(await importDay(standalone, [cut], { named: undefined, again: false }), TODAY - 60)
    })
  })

  test('an import that was interrupted goes on as of the day that it began with', async () => {
    const file = await fileOf('begun.jsonl', 'ada', 60, 50)
    await opened(openStandalone, newDirectory(), async (standalone) => {
      const progress = { import: file.name, position: 1, records: 1, asOfDay: TODAY - 45, isDone: false }
      await standalone.parts.log.append([], progress)
      assert.equal(await importDay(standalone, [file], { named: undefined, again: false }), TODAY - 45)
    })
  })
})
