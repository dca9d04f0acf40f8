/** Amounts of money in words, coarse on purpose: equal behaviour gives equal text, and prices don't become identities. */

/** ISO 4217 currencies whose minor unit is not a hundredth: how many decimal digits it has. */
const EXPONENTS: Readonly<Record<string, number>> = {
  ...Object.fromEntries(
    'BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF'.split(' ').map((code) => [code, 0]),
  ),
  ...Object.fromEntries('BHD IQD JOD KWD LYD OMR TND'.split(' ').map((code) => [code, 3])),
  CLF: 4,
  UYW: 4,
}
const EXPONENT_DEFAULT = 2

/** English plurals. Ours, not Intl's, which changes with its data: a version of the renderer must give the same text for ever. */
const PLURALS: Readonly<Record<string, string>> = {
  AED: 'dirhams',
  ARS: 'Argentine pesos',
  AUD: 'Australian dollars',
  BDT: 'taka',
  BRL: 'reais',
  CAD: 'Canadian dollars',
  CHF: 'Swiss francs',
  CLP: 'Chilean pesos',
  CNY: 'yuan',
  COP: 'Colombian pesos',
  CZK: 'koruna',
  DKK: 'Danish kroner',
  EGP: 'Egyptian pounds',
  EUR: 'euros',
  GBP: 'pounds',
  HKD: 'Hong Kong dollars',
  HUF: 'forints',
  IDR: 'rupiah',
  ILS: 'shekels',
  INR: 'rupees',
  JPY: 'yen',
  KES: 'Kenyan shillings',
  KRW: 'won',
  KWD: 'Kuwaiti dinars',
  MOP: 'patacas',
  MXN: 'Mexican pesos',
  MYR: 'ringgit',
  NGN: 'naira',
  NOK: 'Norwegian kroner',
  NZD: 'New Zealand dollars',
  PHP: 'Philippine pesos',
  PKR: 'Pakistani rupees',
  PLN: 'zlotys',
  RUB: 'roubles',
  SAR: 'riyals',
  SEK: 'Swedish kronor',
  SGD: 'Singapore dollars',
  THB: 'baht',
  TRY: 'lira',
  TWD: 'Taiwan dollars',
  UAH: 'hryvnias',
  USD: 'dollars',
  VND: 'dong',
  ZAR: 'rand',
}

const MAGNITUDES = ['a few', 'tens of', 'hundreds of', 'thousands of', 'tens of thousands of'] as const

/**
 * Says an amount by its power of ten, e.g. `hundreds of yuan`.
 *
 * @param amountMinor minor units of the currency; the sign doesn't count
 * @param currency ISO 4217 code, upper case
 */
export function amountInWords(amountMinor: number, currency: string): string {
  const exponent = Object.hasOwn(EXPONENTS, currency) ? EXPONENTS[currency]! : EXPONENT_DEFAULT
  let limit = 10 ** exponent
  if (Math.abs(amountMinor) < limit) return 'small change'
  const name = Object.hasOwn(PLURALS, currency) ? PLURALS[currency]! : currency
  // Compared in minor units, as whole numbers: a logarithm would round 1,000 below itself.
  for (const magnitude of MAGNITUDES) {
    limit *= 10
    if (Math.abs(amountMinor) < limit) return `${magnitude} ${name}`
  }
  return `${MAGNITUDES.at(-1)} ${name}`
}
