/** The fields of ours that a mapping can fill: where each lies in the record, what it holds, whether it must be there. */

import type { Holds } from './topic.ts'

type TargetKind =
  | 'text'
  | 'time'
  | 'integer'
  | 'symbol'
  | 'boolean'
  | 'number'
  | 'numbers'
  | 'texts'
  | 'names'

export interface Target {
  /** Place in the record, in the names of `schemas/`. */
  at: readonly string[]
  kind: TargetKind
  required: boolean
  /** Of a symbol. */
  symbols: readonly string[]
}

const at = (path: string, kind: TargetKind, required = false, symbols: readonly string[] = []): Target => ({
  at: path.split('.'),
  kind,
  required,
  symbols,
})
const texts = (...names: string[]): [string, Target][] => names.map((name) => [name, at(name, 'text')])
const needed = (...names: string[]): [string, Target][] => names.map((name) => [name, at(name, 'text', true)])
const symbol = (name: string, symbols: string): [string, Target] => [
  name,
  at(name, 'symbol', false, ['UNKNOWN', ...symbols.split(' ')]),
]

const HEADER: [string, Target][] = [
  ['user_id', at('header.user_id', 'text', true)],
  ['event_id', at('header.event_id', 'text', true)],
  ['event_time', at('header.event_time', 'time', true)],
  // Left out, it is the topic's name: event ids are unique within a producer at least.
  ['source', at('header.source', 'text')],
  ['tenant', at('header.tenant', 'text')],
]

const TARGETS: Readonly<Record<Holds, ReadonlyMap<string, Target>>> = {
  paybill: new Map([
    ...HEADER,
    symbol('status', 'AUTHORIZED SETTLED REFUNDED CHARGED_BACK FAILED'),
    symbol('direction', 'OUT IN'),
    ['amount_minor', at('amount.amount_minor', 'integer')],
    ['currency', at('amount.currency', 'text')],
    ...texts('merchant_name', 'category', 'item_text'),
    symbol('channel', 'QR POS ONLINE TRANSFER AUTO_DEBIT'),
    ['installments', at('installments', 'integer')],
  ]),
  miniprogram: new Map([
    ...HEADER,
    ...needed('program_id'),
    ...texts('program_name', 'category', 'service_name', 'page'),
    symbol('action', 'OPEN CLOSE CLICK SUBMIT SHARE FAVORITE'),
  ]),
  spm: new Map([
    ...HEADER,
    ...needed('spm_a', 'spm_b'),
    ...texts('spm_c', 'spm_d', 'page_title'),
    symbol('kind', 'EXPOSURE CLICK PAGE_VIEW LEAVE'),
    ['is_bot_suspect', at('is_bot_suspect', 'boolean')],
  ]),
  app: new Map([
    ...HEADER,
    ...needed('app_id'),
    ...texts('app_name', 'category'),
    symbol('lifecycle', 'INSTALL UNINSTALL UPDATE FOREGROUND BACKGROUND'),
  ]),
  search: new Map([...HEADER, ...needed('query')]),
  tabular: new Map([
    ['user_id', at('header.user_id', 'text', true)],
    ['tenant', at('header.tenant', 'text')],
    ['as_of', at('as_of', 'time', true)],
    ['feature_set', at('feature_set', 'text', true)],
    ['numeric', at('numeric', 'numbers')],
    ['categorical', at('categorical', 'texts')],
    ['missing', at('missing', 'names')],
  ]),
  userqa: new Map([
    ...needed('qa_id', 'user_id', 'instruction_text'),
    ...texts('tenant', 'instruction_id', 'answer_text', 'generator'),
    ['cutoff_time', at('cutoff_time', 'time', true)],
    ['horizon_end', at('horizon_end', 'time')],
    ['label', at('label', 'number')],
  ]),
  tombstone: new Map([...needed('user_id'), ...texts('tenant'), ['at', at('at', 'time', true)]]),
}

/** Fields of ours that a topic's mapping can name. Of a tabular topic also `numeric.<feature>`, `categorical.<feature>`. */
export function targetsOf(holds: Holds): ReadonlyMap<string, Target> {
  return TARGETS[holds]
}

/** @returns undefined, when there is no such field */
export function targetOf(holds: Holds, field: string): Target | undefined {
  const target = TARGETS[holds].get(field)
  if (target !== undefined || holds !== 'tabular') return target
  const dot = field.indexOf('.')
  const feature = field.slice(dot + 1)
  if (dot < 0 || feature === '' || feature === '__proto__') return undefined
  const family = field.slice(0, dot)
  if (family === 'numeric') return { at: ['numeric', feature], kind: 'number', required: false, symbols: [] }
  if (family === 'categorical')
    return { at: ['categorical', feature], kind: 'text', required: false, symbols: [] }
  return undefined
}
