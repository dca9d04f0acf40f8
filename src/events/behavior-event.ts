/** What a user did: the projected fields of the five event modalities, in the names the renderers use. */

import type { EventId, TenantId, UserId } from './ids.ts'

/** Template order of model-spec section 1; `tabular` is the sixth modality and no event. */
export const TEXT_MODALITIES = ['paybill', 'miniprogram', 'spm', 'app', 'search'] as const
export type TextModality = (typeof TEXT_MODALITIES)[number]
export type Modality = TextModality | 'tabular'

export interface PaybillFields {
  status: 'UNKNOWN' | 'SETTLED' | 'REFUNDED' | 'CHARGED_BACK'
  direction: 'UNKNOWN' | 'OUT' | 'IN'
  /** Minor units of `currency`; null when the producer gave none. */
  amountMinor: number | null
  /** ISO 4217 code, upper case; null exactly when `amountMinor` is. */
  currency: string | null
  merchantName: string | null
  category: string | null
  itemText: string | null
  channel: 'UNKNOWN' | 'QR' | 'POS' | 'ONLINE' | 'TRANSFER' | 'AUTO_DEBIT'
  installments: number
}

export interface MiniprogramFields {
  programId: string
  programName: string | null
  category: string | null
  serviceName: string | null
  page: string | null
  action: 'UNKNOWN' | 'OPEN' | 'CLOSE' | 'CLICK' | 'SUBMIT' | 'SHARE' | 'FAVORITE'
}

export interface SpmFields {
  spmA: string
  spmB: string
  spmC: string | null
  spmD: string | null
  pageTitle: string | null
  kind: 'UNKNOWN' | 'EXPOSURE' | 'CLICK' | 'PAGE_VIEW' | 'LEAVE'
}

export interface AppFields {
  appId: string
  appName: string | null
  category: string | null
  lifecycle: 'UNKNOWN' | 'INSTALL' | 'UNINSTALL' | 'UPDATE' | 'FOREGROUND' | 'BACKGROUND'
}

interface SearchFields {
  query: string
}

export interface FieldsOf {
  paybill: PaybillFields
  miniprogram: MiniprogramFields
  spm: SpmFields
  app: AppFields
  search: SearchFields
}

interface EventOf<M extends TextModality> {
  modality: M
  /** URI-reference of the producer; (modality, source, eventId) names the event (S1). */
  source: string
  eventId: EventId
  /** Business time, milliseconds since the Unix epoch: the windowing clock. */
  eventTimeMs: number
  fields: FieldsOf[M]
}

/** One event, without its user (the state that holds it knows the user). */
export type BehaviorEvent = { [M in TextModality]: EventOf<M> }[TextModality]

/** The user's latest features; `missing` names features the producer knows to be absent. */
export interface TabularSnapshot {
  /** `name@version` of the producer's feature set. */
  featureSet: string
  /** Finite numbers by feature name. */
  numeric: Record<string, number>
  categorical: Record<string, string>
}

/** What one record says, once decoded. */
export type UserRecord = { tenant: TenantId; user: UserId } & (
  | { kind: 'event'; event: BehaviorEvent }
  | { kind: 'tabular'; asOfMs: number; snapshot: TabularSnapshot | null }
  | { kind: 'tombstone'; atMs: number }
  /** Well-formed, but no event by section 9 of the model spec (AUTHORIZED, bots, empty queries): counted, not applied. */
  | { kind: 'ignored'; reason: string }
)
