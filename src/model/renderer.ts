/** Turns an event into one short sentence: pure, versioned, without a date, so that equal behaviour gives equal text. */

import { ConfigError } from '../errors.ts'
import type {
  AppFields,
  BehaviorEvent,
  MiniprogramFields,
  PaybillFields,
  SpmFields,
  TextModality,
} from '../events/behavior-event.ts'
import { plainText } from '../events/plain-text.ts'
import { amountInWords } from './currency.ts'
import { sayWhenIn } from './time-of-day.ts'

/** The sentence of an event; never empty. */
export type RenderEvent = (event: BehaviorEvent) => string

/** The only version there is. Another wording is another version, and so another model. */
export const RENDERER_VERSION = 1

/** What stands where the fields say nothing at all. */
const NOUNS: Readonly<Record<TextModality, string>> = {
  paybill: 'A payment',
  miniprogram: 'A mini program',
  spm: 'A page',
  app: 'An app',
  search: 'A search',
}

const PAYBILL_VERBS = { UNKNOWN: '', OUT: 'Paid', IN: 'Received' } as const
const CHANNELS = {
  UNKNOWN: '',
  QR: 'QR code',
  POS: 'card terminal',
  ONLINE: 'online payment',
  TRANSFER: 'transfer',
  AUTO_DEBIT: 'automatic debit',
} as const
const MINIPROGRAM_VERBS = {
  UNKNOWN: '',
  OPEN: 'Opened',
  CLOSE: 'Closed',
  CLICK: 'Clicked',
  SUBMIT: 'Submitted',
  SHARE: 'Shared',
  FAVORITE: 'Saved',
} as const
const SPM_VERBS = {
  UNKNOWN: '',
  EXPOSURE: 'Saw',
  CLICK: 'Clicked',
  PAGE_VIEW: 'Visited',
  LEAVE: 'Left',
} as const
const APP_VERBS = {
  UNKNOWN: '',
  INSTALL: 'Installed',
  UNINSTALL: 'Removed',
  UPDATE: 'Updated',
  FOREGROUND: 'Opened',
  BACKGROUND: 'Left',
} as const

/**
 * Gives the functions that turn events into sentences.
 *
 * @param version `rendererVersion` of the bundle
 * @param timeZone IANA name, in which parts of the day are meant
 * @throws {ConfigError} `renderer-version`, `time-zone-unknown`
 * @see model-spec section 9 in docs/paper.md
 */
export function rendererFor(version: number, timeZone = 'UTC'): RenderEvent {
  if (version !== RENDERER_VERSION) {
    throw new ConfigError(
      'renderer-version',
      `expected rendererVersion ${RENDERER_VERSION} in the manifest, got ${version}: use the release of freshet that made the bundle, or a newer one`,
    )
  }
  const sayWhen = sayWhenIn(timeZone)
  return (event) => {
    const said = sentence(describe(event))
    return `${said === '' ? NOUNS[event.modality] : said}, ${sayWhen(event.eventTimeMs)}.`
  }
}

function describe(event: BehaviorEvent): string[] {
  switch (event.modality) {
    case 'paybill':
      return describePaybill(event.fields)
    case 'miniprogram':
      return describeMiniprogram(event.fields)
    case 'spm':
      return describeSpm(event.fields)
    case 'app':
      return describeApp(event.fields)
    case 'search':
      return [piece('Searched for', plainText(event.fields.query))]
  }
}

function describePaybill(fields: PaybillFields): string[] {
  const { status, direction, amountMinor, currency, installments } = fields
  const gotBack = status === 'REFUNDED' || status === 'CHARGED_BACK'
  const verb = gotBack ? 'Got back' : PAYBILL_VERBS[direction]
  const amount = amountMinor === null || currency === null ? '' : amountInWords(amountMinor, currency)
  const parts = installments > 1 ? `in ${installments} instalments` : ''
  const named = plainText(fields.merchantName) || plainText(fields.itemText)
  const category = plainText(fields.category)
  const channel = piece('by', CHANNELS[fields.channel])
  // `someone` fills a gap; where nothing else is known, it would say no more than the noun does.
  const known = [verb, amount, parts, named, category, channel].some((text) => text !== '')
  if (!known) return []
  const place = piece('at', named || category || 'someone')
  return [verb, amount, parts, place, named === '' ? '' : bracketed(category), channel]
}

function describeMiniprogram(fields: MiniprogramFields): string[] {
  const target = plainText(fields.serviceName) || withoutNumbers(plainText(fields.page))
  const program = plainText(fields.programName) || withoutNumbers(plainText(fields.programId))
  return [
    MINIPROGRAM_VERBS[fields.action],
    target,
    piece('in', program),
    bracketed(plainText(fields.category)),
  ]
}

function describeSpm(fields: SpmFields): string[] {
  const page = plainText(fields.pageTitle) || withoutNumbers(plainText(fields.spmB))
  const steps = [page, withoutNumbers(plainText(fields.spmC)), withoutNumbers(plainText(fields.spmD))]
  const path = steps.filter((step) => step !== '').join(' > ')
  return [SPM_VERBS[fields.kind], path, piece('of', withoutNumbers(plainText(fields.spmA)))]
}

function describeApp(fields: AppFields): string[] {
  const name = plainText(fields.appName) || withoutNumbers(plainText(fields.appId))
  return [APP_VERBS[fields.lifecycle], name, bracketed(plainText(fields.category))]
}

function sentence(pieces: readonly string[]): string {
  return pieces.filter((text) => text !== '').join(' ')
}

/** A value with its preposition; both are left out where the value is missing. */
function piece(preposition: string, value: string): string {
  return value === '' ? '' : `${preposition} ${value}`
}

function bracketed(value: string): string {
  return value === '' ? '' : `(${value})`
}

/** In what stands in for a name, numbers are ids: they would make every text a new one. */
function withoutNumbers(value: string): string {
  return value.replace(/\p{Nd}+/gu, '#')
}
