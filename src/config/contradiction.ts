/** Settings that contradict each other: what the checks of pairs find. */

export interface Contradiction {
  /** The setting to point at. */
  path: string
  message: string
}

/** Hosts that no other machine can reach or listen to. */
export const LOOPBACK = /^(localhost|127(\.\d{1,3}){3}|::1|\[::1\])$/
