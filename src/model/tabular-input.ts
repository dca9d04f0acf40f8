/** A user's latest features as the tabular adapter takes them: in the manifest's order, standardised, with indicators. */

import { RequestError } from '../errors.ts'
import type { TabularSnapshot } from '../events/behavior-event.ts'
import type { ManifestTabular } from './manifest.ts'

/**
 * Puts a snapshot into the order of a bundle's features.
 *
 * @returns one number per feature, null where the snapshot has none: a vector of nulls is present, but tells nothing
 */
export function tabularInput(features: readonly string[], snapshot: TabularSnapshot): (number | null)[] {
  return features.map((name) => (Object.hasOwn(snapshot.numeric, name) ? snapshot.numeric[name]! : null))
}

/**
 * Standardises raw features (model-spec section 8, rule 5).
 *
 * @param raw [n] in manifest order, null where missing
 * @returns float32 [2n]: (value - mean) / std, 0 where missing; then n indicators, 1 where missing
 * @throws {RequestError} `tabular-input`, when the count differs or a value is not finite
 */
export function standardise(tabular: ManifestTabular, raw: readonly (number | null)[]): Float32Array {
  const count = tabular.features.length
  if (raw.length !== count) {
    throw new RequestError(
      'tabular-input',
      `expected ${count} features in the order ${tabular.features.join(', ')}, got ${raw.length}: send each, null where it is missing`,
    )
  }
  const out = new Float32Array(2 * count)
  for (const [i, value] of raw.entries()) {
    if (value === null) out[count + i] = 1
    else if (Number.isFinite(value)) out[i] = (value - tabular.mean[i]!) / tabular.std[i]!
    else {
      throw new RequestError(
        'tabular-input',
        `expected a finite number or null for ${tabular.features[i]}, got ${value}: send null where the value is missing`,
      )
    }
  }
  return out
}
