/** A user's state in the names of schemas/user-state.avsc, and back. Written out field by field: it runs on every flush. */

import type {
  AppFields,
  BehaviorEvent,
  FieldsOf,
  MiniprogramFields,
  PaybillFields,
  SpmFields,
  TextModality,
} from '../events/behavior-event.ts'
import type { EventId, TenantId, UserId } from '../events/ids.ts'
import type { Acknowledged, TargetKey, UserState } from './user-state.ts'

interface AvroEvent {
  event_id: string
  source: string
  event_time: number
}

interface AvroPaybill extends AvroEvent {
  status: PaybillFields['status']
  direction: PaybillFields['direction']
  amount_minor: number | null
  currency: string | null
  merchant_name: string | null
  category: string | null
  item_text: string | null
  channel: PaybillFields['channel']
  installments: number
}

interface AvroMiniprogram extends AvroEvent {
  program_id: string
  program_name: string | null
  category: string | null
  service_name: string | null
  page: string | null
  action: MiniprogramFields['action']
}

interface AvroSpm extends AvroEvent {
  spm_a: string
  spm_b: string
  spm_c: string | null
  spm_d: string | null
  page_title: string | null
  kind: SpmFields['kind']
}

interface AvroApp extends AvroEvent {
  app_id: string
  app_name: string | null
  category: string | null
  lifecycle: AppFields['lifecycle']
}

interface AvroSearch extends AvroEvent {
  query: string
}

/** The record `UserState` of the schema. */
export interface AvroState {
  tenant: string
  user_id: string
  epoch: number
  paybill: AvroPaybill[]
  miniprogram: AvroMiniprogram[]
  spm: AvroSpm[]
  app: AvroApp[]
  search: AvroSearch[]
  tabular: {
    offset: number
    as_of: number
    snapshot: {
      feature_set: string
      numeric: Record<string, number>
      categorical: Record<string, string>
    } | null
  } | null
  tombstone: number | null
  acknowledged: Record<string, { input_hash: string; epoch: number }>
  due: Record<string, number>
  parked: { reason: string; since: number } | null
}

type EventOf<M extends TextModality> = BehaviorEvent & { modality: M; fields: FieldsOf[M] }

export function toAvro(state: UserState): AvroState {
  const { windows, tabular } = state
  const acknowledged: AvroState['acknowledged'] = {}
  for (const [key, value] of state.acknowledged)
    acknowledged[key] = { input_hash: value.inputHash, epoch: value.epoch }
  return {
    tenant: state.tenant,
    user_id: state.user,
    epoch: state.epoch,
    paybill: (windows.paybill as EventOf<'paybill'>[]).map(paybillToAvro),
    miniprogram: (windows.miniprogram as EventOf<'miniprogram'>[]).map(miniprogramToAvro),
    spm: (windows.spm as EventOf<'spm'>[]).map(spmToAvro),
    app: (windows.app as EventOf<'app'>[]).map(appToAvro),
    search: (windows.search as EventOf<'search'>[]).map(searchToAvro),
    tabular: tabular && {
      offset: tabular.offset,
      as_of: tabular.asOfMs,
      snapshot: tabular.snapshot && {
        feature_set: tabular.snapshot.featureSet,
        numeric: tabular.snapshot.numeric,
        categorical: tabular.snapshot.categorical,
      },
    },
    tombstone: state.tombstoneMs,
    acknowledged,
    due: Object.fromEntries(state.dueMs),
    parked: state.parked && { reason: state.parked.reason, since: state.parked.sinceMs },
  }
}

export function fromAvro(avro: AvroState): UserState {
  const acknowledged = new Map<TargetKey, Acknowledged>()
  for (const [key, value] of Object.entries(avro.acknowledged))
    acknowledged.set(key as TargetKey, { inputHash: value.input_hash, epoch: value.epoch })
  const { tabular, parked } = avro
  return {
    tenant: avro.tenant as TenantId,
    user: avro.user_id as UserId,
    windows: {
      paybill: avro.paybill.map(paybillFromAvro),
      miniprogram: avro.miniprogram.map(miniprogramFromAvro),
      spm: avro.spm.map(spmFromAvro),
      app: avro.app.map(appFromAvro),
      search: avro.search.map(searchFromAvro),
    },
    tabular: tabular && {
      offset: tabular.offset,
      asOfMs: tabular.as_of,
      snapshot: tabular.snapshot && {
        featureSet: tabular.snapshot.feature_set,
        numeric: tabular.snapshot.numeric,
        categorical: tabular.snapshot.categorical,
      },
    },
    tombstoneMs: avro.tombstone,
    acknowledged,
    dueMs: new Map(Object.entries(avro.due) as [TargetKey, number][]),
    parked: parked && { reason: parked.reason, sinceMs: parked.since },
    epoch: avro.epoch,
  }
}

function paybillToAvro({ source, eventId, eventTimeMs, fields }: EventOf<'paybill'>): AvroPaybill {
  return {
    event_id: eventId,
    source,
    event_time: eventTimeMs,
    status: fields.status,
    direction: fields.direction,
    amount_minor: fields.amountMinor,
    currency: fields.currency,
    merchant_name: fields.merchantName,
    category: fields.category,
    item_text: fields.itemText,
    channel: fields.channel,
    installments: fields.installments,
  }
}

function paybillFromAvro(avro: AvroPaybill): BehaviorEvent {
  return {
    modality: 'paybill',
    source: avro.source,
    eventId: avro.event_id as EventId,
    eventTimeMs: avro.event_time,
    fields: {
      status: avro.status,
      direction: avro.direction,
      amountMinor: avro.amount_minor,
      currency: avro.currency,
      merchantName: avro.merchant_name,
      category: avro.category,
      itemText: avro.item_text,
      channel: avro.channel,
      installments: avro.installments,
    },
  }
}

function miniprogramToAvro({
  source,
  eventId,
  eventTimeMs,
  fields,
}: EventOf<'miniprogram'>): AvroMiniprogram {
  return {
    event_id: eventId,
    source,
    event_time: eventTimeMs,
    program_id: fields.programId,
    program_name: fields.programName,
    category: fields.category,
    service_name: fields.serviceName,
    page: fields.page,
    action: fields.action,
  }
}

function miniprogramFromAvro(avro: AvroMiniprogram): BehaviorEvent {
  return {
    modality: 'miniprogram',
    source: avro.source,
    eventId: avro.event_id as EventId,
    eventTimeMs: avro.event_time,
    fields: {
      programId: avro.program_id,
      programName: avro.program_name,
      category: avro.category,
      serviceName: avro.service_name,
      page: avro.page,
      action: avro.action,
    },
  }
}

function spmToAvro({ source, eventId, eventTimeMs, fields }: EventOf<'spm'>): AvroSpm {
  return {
    event_id: eventId,
    source,
    event_time: eventTimeMs,
    spm_a: fields.spmA,
    spm_b: fields.spmB,
    spm_c: fields.spmC,
    spm_d: fields.spmD,
    page_title: fields.pageTitle,
    kind: fields.kind,
  }
}

function spmFromAvro(avro: AvroSpm): BehaviorEvent {
  return {
    modality: 'spm',
    source: avro.source,
    eventId: avro.event_id as EventId,
    eventTimeMs: avro.event_time,
    fields: {
      spmA: avro.spm_a,
      spmB: avro.spm_b,
      spmC: avro.spm_c,
      spmD: avro.spm_d,
      pageTitle: avro.page_title,
      kind: avro.kind,
    },
  }
}

function appToAvro({ source, eventId, eventTimeMs, fields }: EventOf<'app'>): AvroApp {
  return {
    event_id: eventId,
    source,
    event_time: eventTimeMs,
    app_id: fields.appId,
    app_name: fields.appName,
    category: fields.category,
    lifecycle: fields.lifecycle,
  }
}

function appFromAvro(avro: AvroApp): BehaviorEvent {
  return {
    modality: 'app',
    source: avro.source,
    eventId: avro.event_id as EventId,
    eventTimeMs: avro.event_time,
    fields: {
      appId: avro.app_id,
      appName: avro.app_name,
      category: avro.category,
      lifecycle: avro.lifecycle,
    },
  }
}

function searchToAvro({ source, eventId, eventTimeMs, fields }: EventOf<'search'>): AvroSearch {
  return { event_id: eventId, source, event_time: eventTimeMs, query: fields.query }
}

function searchFromAvro(avro: AvroSearch): BehaviorEvent {
  return {
    modality: 'search',
    source: avro.source,
    eventId: avro.event_id as EventId,
    eventTimeMs: avro.event_time,
    fields: { query: avro.query },
  }
}
