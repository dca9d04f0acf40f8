/** The vectors as somebody sees them who only looks: those of a data directory, or those that a group shares. */

import type { Settings } from '../config/settings.ts'
import type { Clock } from '../pipeline/clock.ts'
import { lookAtGroup } from './look-at-group.ts'
import { type LookedAt, type LookOptions, lookAtDirectory, silentVectors } from './open-vectors.ts'
import { sayNote, sayWhile } from './say-while.ts'

/**
 * Takes nobody's lock, and changes nothing.
 *
 * @throws {ConfigError} `vectors-not-ours`, `data-directory-missing`, `data-directory-older`, `kafka-topic-missing`, and what the
 *   drivers find
 * @throws {UnavailableError} brokers or server can't be reached
 */
export function lookAtVectors(
  settings: Settings,
  clock: Clock,
  options: LookOptions = {},
): Promise<LookedAt> {
  return settings.events.driver === 'kafka'
    ? lookAtGroup(settings, clock)
    : sayWhile(
        () => sayNote('vectors', silentVectors(settings)),
        () => lookAtDirectory(settings, clock, options),
      )
}
