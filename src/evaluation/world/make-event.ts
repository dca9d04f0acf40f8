/** One event about one concept, in the words of its modality. */

import type {
  AppFields,
  BehaviorEvent,
  FieldsOf,
  MiniprogramFields,
  PaybillFields,
  SpmFields,
  TextModality,
} from '../../events/behavior-event.ts'
import type { EventId } from '../../events/ids.ts'
import type { SeededRandom } from '../../model/seeded-random.ts'
import type { Concept, Merchant } from './concept.ts'
import { fillSlots } from './concepts.ts'
import type { WorldUser } from './persona.ts'

/** What the moment adds to a concept. */
export interface Moment {
  user: WorldUser
  random: SeededRandom
  /** Words fixed by a change in life. */
  slots: Readonly<Record<string, string>>
  /** Amounts are multiplied by it. */
  spending: number
}

const SOURCE = 'urn:freshet:world'

export function makeEvent<M extends TextModality>(
  modality: M,
  eventId: string,
  eventTimeMs: number,
  fields: FieldsOf[M],
): BehaviorEvent {
  // The signature keeps modality and fields together; TypeScript can't carry that through the union.
  return { modality, source: SOURCE, eventId: eventId as EventId, eventTimeMs, fields } as BehaviorEvent
}

/** Draws the fields of an event of the modality. */
export function conceptFields<M extends TextModality>(
  modality: M,
  concept: Concept,
  moment: Moment,
): FieldsOf[M] {
  return DRAW[modality](concept, moment)
}

const DRAW: { readonly [M in TextModality]: (concept: Concept, moment: Moment) => FieldsOf[M] } = {
  paybill: (concept, moment) => {
    const merchant = moment.random.pick(concept.merchants)
    return purchase(concept, merchant, moment.random.pick(merchant.items), moment)
  },
  miniprogram: useProgram,
  spm: seePage,
  app: useApp,
  search: (concept, { random, slots }) => ({
    query: fillSlots(random.pick(concept.queries), concept, random, slots),
  }),
}

/** A payment for an item; prices are drawn evenly on the logarithm between the merchant's limits. */
export function purchase(concept: Concept, merchant: Merchant, item: string, moment: Moment): PaybillFields {
  const { user, random, slots, spending } = moment
  const [least, most] = merchant.price
  const price = least * (most / least) ** random.uniform() * user.priceFactor * spending
  const byInstalments = price > 300 * user.priceFactor && random.uniform() < 0.3
  return {
    status: random.uniform() < 0.03 ? 'REFUNDED' : 'SETTLED',
    direction: 'OUT',
    amountMinor: Math.max(1, Math.round(price * 100)),
    currency: user.currency,
    merchantName: merchant.name,
    category: concept.category,
    itemText: fillSlots(item, concept, random, slots),
    channel: merchant.channel,
    installments: byInstalments ? random.pick([3, 6, 12]) : 1,
  }
}

/** Money comes in, once a month. */
export function salary(user: WorldUser): PaybillFields {
  return {
    status: 'SETTLED',
    direction: 'IN',
    amountMinor: user.salary * 100,
    currency: user.currency,
    merchantName: 'Payroll Office',
    category: 'salary',
    itemText: 'monthly salary',
    channel: 'TRANSFER',
    installments: 1,
  }
}

/** A stolen card: gift cards and wallets, amounts unlike this user's, some charged back. */
export function fraudulentPayment({ user, random }: Moment): PaybillFields {
  const charged = random.uniform() < 0.3
  return {
    status: charged ? 'CHARGED_BACK' : 'SETTLED',
    direction: 'OUT',
    amountMinor: Math.round(100 * user.priceFactor * random.integer(150, 900)),
    currency: random.pick(['USD', 'GBP', 'EUR']),
    merchantName: random.pick(['Gift Card Kiosk', 'Quick Wallet', 'Coin Express', 'Card Reload 24']),
    category: random.pick(['gift cards', 'wallet top-up', 'virtual currency']),
    itemText: random.pick(['gift card', 'wallet top-up', 'prepaid code']),
    channel: random.pick(['ONLINE', 'TRANSFER']),
    installments: 1,
  }
}

function useProgram(concept: Concept, { random, slots }: Moment): MiniprogramFields {
  const program = random.pick(concept.programs)
  return {
    programId: program.id,
    programName: program.name,
    category: concept.category,
    serviceName: fillSlots(random.pick(program.services), concept, random, slots),
    page: null,
    action: random.pick(['OPEN', 'CLICK', 'CLICK', 'SUBMIT', 'SHARE', 'FAVORITE']),
  }
}

function seePage(concept: Concept, { random, slots }: Moment): SpmFields {
  const block = random.pick(concept.blocks)
  return {
    spmA: concept.site,
    spmB: block.replaceAll(' ', '-'),
    spmC: block,
    spmD: null,
    pageTitle: fillSlots(random.pick(concept.titles), concept, random, slots),
    kind: random.pick(['PAGE_VIEW', 'PAGE_VIEW', 'CLICK', 'EXPOSURE', 'LEAVE']),
  }
}

function useApp(concept: Concept, { random }: Moment): AppFields {
  const app = random.pick(concept.apps)
  return {
    appId: app.id,
    appName: app.name,
    category: concept.category,
    lifecycle: random.pick([
      'FOREGROUND',
      'FOREGROUND',
      'FOREGROUND',
      'BACKGROUND',
      'INSTALL',
      'UPDATE',
      'UNINSTALL',
    ]),
  }
}
