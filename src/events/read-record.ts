/** From the fields of a record, whatever decoded them, to what it says: the rules of which records are events. */

import { RecordError } from '../errors.ts'
import type { BehaviorEvent, TextModality, UserRecord } from './behavior-event.ts'
import {
  type Plain,
  readBoolean,
  readCount,
  readCurrency,
  readEventId,
  readInteger,
  readNames,
  readNumbers,
  readObject,
  readRequiredText,
  readSource,
  readSymbol,
  readTenant,
  readText,
  readTexts,
  readTimeMs,
  readUserId,
} from './field-readers.ts'
import { plainText } from './plain-text.ts'
import type { Holds } from './topic.ts'

const PAYBILL_STATUS = new Set(['AUTHORIZED', 'SETTLED', 'REFUNDED', 'CHARGED_BACK', 'FAILED'] as const)
const PAYBILL_DIRECTION = new Set(['OUT', 'IN'] as const)
const PAYBILL_CHANNEL = new Set(['QR', 'POS', 'ONLINE', 'TRANSFER', 'AUTO_DEBIT'] as const)
const MINIPROGRAM_ACTION = new Set(['OPEN', 'CLOSE', 'CLICK', 'SUBMIT', 'SHARE', 'FAVORITE'] as const)
const SPM_KIND = new Set(['EXPOSURE', 'CLICK', 'PAGE_VIEW', 'LEAVE'] as const)
const APP_LIFECYCLE = new Set(['INSTALL', 'UNINSTALL', 'UPDATE', 'FOREGROUND', 'BACKGROUND'] as const)

/** The fields of an event, or the reason why it is none. */
type Reading = BehaviorEvent['fields'] | string

const EVENT_READERS: { readonly [M in TextModality]: (plain: Plain) => Reading } = {
  paybill: readPaybill,
  miniprogram: readMiniprogram,
  spm: readSpm,
  app: readApp,
  search: readSearch,
}

/**
 * @throws {RecordError} naming the field that cannot be what the schema says
 */
export function readRecord(holds: Holds, plain: Plain): UserRecord {
  if (holds === 'tabular') return readTabular(plain)
  if (holds === 'tombstone')
    return {
      tenant: readTenant(plain.tenant),
      user: readUserId(plain.user_id),
      kind: 'tombstone',
      atMs: readTimeMs(plain.at, 'at'),
    }
  if (holds === 'userqa') return readUserQa(plain)
  return readEvent(holds, plain)
}

function readEvent(modality: TextModality, plain: Plain): UserRecord {
  const header = readObject(plain.header, 'header')
  const tenant = readTenant(header.tenant)
  const user = readUserId(header.user_id)
  const source = shared(readSource(header.source))
  const eventId = readEventId(header.event_id)
  const eventTimeMs = readTimeMs(header.event_time, 'event_time')
  const fields = EVENT_READERS[modality](plain)
  if (typeof fields === 'string') return { tenant, user, kind: 'ignored', reason: fields }
  const event = { modality, source, eventId, eventTimeMs, fields } as BehaviorEvent
  return { tenant, user, kind: 'event', event }
}

/** Sources are few and every event keeps one: the same string, not a copy each. Bounded, as producers choose them. */
const sources = new Map<string, string>()
const SOURCES_MAX = 1_024

function shared(source: string): string {
  const known = sources.get(source)
  if (known !== undefined) return known
  if (sources.size >= SOURCES_MAX) sources.clear()
  sources.set(source, source)
  return source
}

function readPaybill(plain: Plain): Reading {
  const status = readSymbol(plain.status, PAYBILL_STATUS, 'status')
  // Neither moved money: an authorisation is followed by its settlement, which is the event.
  if (status === 'AUTHORIZED') return 'paybill-authorized'
  if (status === 'FAILED') return 'paybill-failed'
  const amount =
    plain.amount === undefined || plain.amount === null ? null : readObject(plain.amount, 'amount')
  return {
    status,
    direction: readSymbol(plain.direction, PAYBILL_DIRECTION, 'direction'),
    amountMinor: amount && readInteger(amount.amount_minor, 'amount.amount_minor'),
    currency: amount && readCurrency(amount.currency),
    merchantName: readText(plain.merchant_name, 'merchant_name'),
    category: readText(plain.category, 'category'),
    itemText: readText(plain.item_text, 'item_text'),
    channel: readSymbol(plain.channel, PAYBILL_CHANNEL, 'channel'),
    installments: plain.installments === undefined ? 1 : readCount(plain.installments, 'installments'),
  }
}

function readMiniprogram(plain: Plain): Reading {
  return {
    programId: readRequiredText(plain.program_id, 'program_id'),
    programName: readText(plain.program_name, 'program_name'),
    category: readText(plain.category, 'category'),
    serviceName: readText(plain.service_name, 'service_name'),
    page: readText(plain.page, 'page'),
    action: readSymbol(plain.action, MINIPROGRAM_ACTION, 'action'),
  }
}

function readSpm(plain: Plain): Reading {
  if (readBoolean(plain.is_bot_suspect, 'is_bot_suspect')) return 'spm-bot-suspect'
  return {
    spmA: readRequiredText(plain.spm_a, 'spm_a'),
    spmB: readRequiredText(plain.spm_b, 'spm_b'),
    spmC: readText(plain.spm_c, 'spm_c'),
    spmD: readText(plain.spm_d, 'spm_d'),
    pageTitle: readText(plain.page_title, 'page_title'),
    kind: readSymbol(plain.kind, SPM_KIND, 'kind'),
  }
}

function readApp(plain: Plain): Reading {
  return {
    appId: readRequiredText(plain.app_id, 'app_id'),
    appName: readText(plain.app_name, 'app_name'),
    category: readText(plain.category, 'category'),
    lifecycle: readSymbol(plain.lifecycle, APP_LIFECYCLE, 'lifecycle'),
  }
}

function readSearch(plain: Plain): Reading {
  const query = readText(plain.query, 'query')
  // By the rule of the sentence: what it would leave nothing of, such as control characters, is empty.
  if (query === null || plainText(query) === '') return 'search-empty-query'
  return { query }
}

function readTabular(plain: Plain): UserRecord {
  const header = readObject(plain.header, 'header')
  const numeric = readNumbers(plain.numeric, 'numeric')
  const categorical = readTexts(plain.categorical, 'categorical')
  for (const feature of readNames(plain.missing, 'missing'))
    if (Object.hasOwn(numeric, feature) || Object.hasOwn(categorical, feature))
      throw new RecordError(
        'record-tabular-contradiction',
        `a feature must either have a value or be missing, got both for ${feature}: correct the producer`,
      )
  return {
    tenant: readTenant(header.tenant),
    user: readUserId(header.user_id),
    kind: 'tabular',
    asOfMs: readTimeMs(plain.as_of, 'as_of'),
    snapshot: { featureSet: readRequiredText(plain.feature_set, 'feature_set'), numeric, categorical },
  }
}

/** Checked whole, so that a faulty producer is seen at once; nothing that updates vectors needs it. */
function readUserQa(plain: Plain): UserRecord {
  const tenant = readTenant(plain.tenant)
  const user = readUserId(plain.user_id)
  readRequiredText(plain.qa_id, 'qa_id')
  readRequiredText(plain.instruction_text, 'instruction_text')
  readTimeMs(plain.cutoff_time, 'cutoff_time')
  readText(plain.answer_text, 'answer_text')
  return { tenant, user, kind: 'ignored', reason: 'userqa-not-collected' }
}
