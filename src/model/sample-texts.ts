/** Sentences of the kind the model will read, made by our own renderers and templates: what our tokenizers are trained on. */

import type { BehaviorEvent, TextModality } from '../events/behavior-event.ts'
import { TEXT_MODALITIES } from '../events/behavior-event.ts'
import type { EventId } from '../events/ids.ts'
import { RENDERER_VERSION, rendererFor } from './renderer.ts'
import { SeededRandom } from './seeded-random.ts'

/** The samples are the same for every bundle: tokenizers don't depend on the seed of the weights. */
const SAMPLE_SEED = 'sample-texts@1'
const EVENTS_PER_MODALITY = 600
/** Quarter days, so that every part of the day of weekdays and weekends appears. */
const QUARTER_DAY_MS = 21_600_000

const CATEGORIES = words(`
  coffee, groceries, restaurant, fast food, bakery, travel, hotel, train, flight, taxi, bus, fuel, parking, pharmacy,
  hospital, insurance, loan, savings, investment fund, credit card, utilities, electricity, water, gas, internet, phone,
  clothing, shoes, sport, fitness, books, music, films, games, toys, baby, pets, beauty, furniture, electronics, computers,
  education, school, charity, gifts, flowers, cinema, museum, concert, news, weather, navigation, social, messaging, video,
  photo, finance, government, tax, housing, rent, repair, cleaning, laundry, delivery, second hand, garden, health, dating`)
const ADJECTIVES = words(`
  blue, green, golden, little, big, old, new, happy, fresh, daily, night, city, royal, smart, quick, easy, super, silver,
  north, south, east, west, central, grand, lucky, bright, first, best, free, open`)
const PLACES = words(`
  market, cup, kitchen, house, station, garden, store, shop, bank, clinic, school, studio, gallery, theatre, club, hotel,
  airways, railway, cafe, bakery, pharmacy, outlet, centre, company, corner, square, tower, lab, library, park`)
const ACTIONS = words(`
  book a ticket, check in, order food, pay a bill, transfer money, top up, track a parcel, see the timetable, rent a bike,
  find a doctor, make an appointment, apply for a loan, repay a loan, redeem a coupon, collect points, share with a friend,
  leave a review, watch live, read the news, change the plan, cancel an order, ask for a refund, scan a code, open the map`)
const PAGES = words(`
  home, wallet, bills, transfer, search, results, detail, cart, checkout, order, profile, settings, messages, offers,
  fund, insurance, credit, points, coupon, list, banner, card, button, tab, item, footer, header, recommendation`)
const QUERY_HEADS = words(`
  cheap, best, nearest, how to buy, where to find, compare, used, second hand, price of, repair, rent, learn, cancel,
  opening hours of, reviews of, tickets for, discount on, what is`)
const SUBJECTS = words(`
  the user, this user, they, the customer, this person`)
const PREDICTIONS = words(`
  pay the electricity bill, repay the loan on time, travel soon, buy a train ticket, book a hotel, need a doctor, have a
  baby, move to another city, change the job, buy a phone, order food, start to invest, sell an investment, leave the
  platform, stay active, redeem a coupon, spend more, spend less, watch films, play games, read books, use the mini program,
  need next, like most, be interested in, answer an offer, get insurance, buy a gift, go to a concert, study a language`)
const QUESTIONS = words(`
  will {subject} {prediction} in the next seven days?, what will {subject} {prediction}?, predict whether {subject} will
  {prediction} next month, how likely will {subject} {prediction}?, does {subject} {prediction}?, describe the interests
  of {subject}, which category will {subject} {prediction} this week?, is {subject} a student or a parent or retired?, what
  kind of offer should {subject} see when they {prediction}?, summarise the recent behaviour of {subject}, yes - {subject}
  will {prediction}, no - {subject} will not {prediction}`)

/** Sentences of events, some thousands, as the renderer says them. */
export function sampleEventTexts(): string[] {
  const render = rendererFor(RENDERER_VERSION)
  return TEXT_MODALITIES.flatMap((modality) => {
    const random = new SeededRandom(SAMPLE_SEED, modality)
    return Array.from({ length: EVENTS_PER_MODALITY }, (_, i) => render(sampleEvent(modality, i, random)))
  })
}

/** Instructions and answers. */
export function sampleQuestions(): string[] {
  const random = new SeededRandom(SAMPLE_SEED, 'questions')
  return QUESTIONS.flatMap((question) =>
    PREDICTIONS.map((prediction) => {
      const text = question.replaceAll('{subject}', random.pick(SUBJECTS)).replace('{prediction}', prediction)
      return `Instruction: ${text[0]!.toUpperCase()}${text.slice(1)}`
    }),
  )
}

function sampleEvent(modality: TextModality, i: number, random: SeededRandom): BehaviorEvent {
  const base = { source: 'sample', eventId: `${i}` as EventId, eventTimeMs: i * QUARTER_DAY_MS }
  const category = random.pick(CATEGORIES)
  const name = `${random.pick(ADJECTIVES)} ${random.pick(PLACES)}`
  switch (modality) {
    case 'paybill': {
      const fields = {
        status: random.pick(['SETTLED', 'SETTLED', 'REFUNDED'] as const),
        direction: random.pick(['OUT', 'OUT', 'IN'] as const),
        amountMinor: 10 ** random.integer(1, 7),
        currency: random.pick(['CNY', 'EUR', 'USD', 'GBP', 'JPY']),
        merchantName: name,
        category,
        itemText: null,
        channel: random.pick(['QR', 'POS', 'ONLINE', 'TRANSFER', 'AUTO_DEBIT'] as const),
        installments: random.pick([1, 1, 3, 12]),
      }
      return { ...base, modality, fields }
    }
    case 'miniprogram': {
      const action = random.pick(['OPEN', 'CLOSE', 'CLICK', 'SUBMIT', 'SHARE', 'FAVORITE'] as const)
      const fields = {
        programId: 'p',
        programName: name,
        category,
        serviceName: random.pick(ACTIONS),
        page: null,
        action,
      }
      return { ...base, modality, fields }
    }
    case 'spm': {
      const kind = random.pick(['EXPOSURE', 'CLICK', 'PAGE_VIEW', 'LEAVE'] as const)
      const [spmA, spmB, spmC, spmD] = [name, ...[0, 1, 2].map(() => random.pick(PAGES))] as [
        string,
        string,
        string,
        string,
      ]
      return { ...base, modality, fields: { spmA, spmB, spmC, spmD, pageTitle: `${category} ${spmB}`, kind } }
    }
    case 'app': {
      const lifecycle = random.pick(['INSTALL', 'UNINSTALL', 'UPDATE', 'FOREGROUND', 'BACKGROUND'] as const)
      return { ...base, modality, fields: { appId: 'a', appName: name, category, lifecycle } }
    }
    case 'search':
      return {
        ...base,
        modality,
        fields: { query: `${random.pick(QUERY_HEADS)} ${random.pick([category, name])}` },
      }
  }
}

function words(list: string): string[] {
  return list.split(',').map((word) => word.replace(/\s+/g, ' ').trim())
}
