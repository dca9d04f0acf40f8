/** Days of the world: UTC, numbered since the Unix epoch. */

export const DAY_MS = 86_400_000

/** @param day days since the Unix epoch, which was a Thursday */
export function isWeekend(day: number): boolean {
  return (day + 4) % 7 === 0 || (day + 4) % 7 === 6
}
