/** Settings that contradict each other: what the checks of pairs find. */

export interface Contradiction {
  /** The setting to point at. */
  path: string
  message: string
}

/** An address as an error may repeat it: before an `@`, and after a `?` or `#`, stand secrets. */
export function shownAddress(text: string): string {
  return /[@?#]/.test(text) ? 'one with a user, a query or a fragment' : text
}

/** Hosts that no other machine can reach or listen to. */
export const LOOPBACK = /^(localhost|127(\.\d{1,3}){3}|::1|\[::1\])$/
