/** What is left of a producer's text once it is cleaned: whoever reads it and whoever asks whether it says anything agree. */

/** UTF-16 units of one text that are looked at: no encoder sees more of it, and a field may hold megabytes (guess). */
const LENGTH_MAX = 500

/** @returns the text in NFKC, control characters and runs of white space as one space, trimmed; empty where it is missing */
export function plainText(value: string | null): string {
  if (value === null) return ''
  // Most fields are plain already, and this test costs a tenth of the rest.
  if (value.length <= LENGTH_MAX && /^[!-~]+(?: [!-~]+)*$/.test(value)) return value
  // A cut through a surrogate pair, or a lone half from outside, becomes the replacement character, not broken text.
  const head = value.slice(0, LENGTH_MAX).toWellFormed()
  return head
    .normalize('NFKC')
    .replace(/[\p{Cc}\s]+/gu, ' ')
    .trim()
}
