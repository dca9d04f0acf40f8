/** What a concept of the synthetic world is: one interest, and the many ways in which it shows in each modality. */

import type { PaybillFields } from '../../events/behavior-event.ts'

export interface Merchant {
  name: string
  items: readonly string[]
  /** Major units of the buyer's currency, least and most. */
  price: readonly [number, number]
  channel: PaybillFields['channel']
}

interface Program {
  id: string
  name: string
  services: readonly string[]
}

interface App {
  id: string
  name: string
}

/** `{slot}` in a text is replaced by one of the slot's words. */
export interface Concept {
  name: string
  /** Category words of its payments, programs and apps. */
  category: string
  merchants: readonly Merchant[]
  /** Search templates; with their slots at least 20 different queries. */
  queries: readonly string[]
  /** Sites and the page titles seen there. */
  site: string
  blocks: readonly string[]
  titles: readonly string[]
  programs: readonly Program[]
  apps: readonly App[]
  slots: Readonly<Record<string, readonly string[]>>
}
