/** Qdrant's paths into a payload: `a.b`, `a[0]`, `a[]`, and quotes around a key that holds anything else. */

import { Refusal } from './refusal.ts'
import type { Payload } from './request-schemas.ts'

type Step = { key: string } | { index: number } | { every: true }

const RAW_KEY = /^[\p{L}\p{N}_-]+/u
const QUOTED_KEY = /^"([^"\\]*)"/

const parsed = new Map<string, readonly Step[]>()

/** @throws {Refusal} 400 `Invalid json path` */
export function pathSteps(path: string): readonly Step[] {
  const known = parsed.get(path)
  if (known !== undefined) return known
  const steps = parse(path)
  parsed.set(path, steps)
  return steps
}

function parse(path: string): Step[] {
  const steps: Step[] = []
  let rest = path
  const key = (): void => {
    const raw = RAW_KEY.exec(rest)
    const quoted = QUOTED_KEY.exec(rest)
    if (raw === null && quoted === null)
      throw new Refusal('malformed', `Format error in JSON body: Invalid json path: \`${path}\``)
    steps.push({ key: raw?.[0] ?? quoted![1]! })
    rest = rest.slice((raw ?? quoted)![0].length)
  }
  key()
  while (rest !== '') {
    const index = /^\[(\d*)\]/.exec(rest)
    if (index !== null) {
      steps.push(index[1] === '' ? { every: true } : { index: Number(index[1]) })
      rest = rest.slice(index[0].length)
      continue
    }
    if (!rest.startsWith('.'))
      throw new Refusal('malformed', `Format error in JSON body: Invalid json path: \`${path}\``)
    rest = rest.slice(1)
    key()
  }
  return steps
}

/** @returns every value that the path leads to; empty when it leads nowhere */
export function valuesAt(payload: Payload, path: string): unknown[] {
  let values: unknown[] = [payload]
  for (const step of pathSteps(path)) values = values.flatMap((value) => stepInto(value, step))
  return values
}

function stepInto(value: unknown, step: Step): unknown[] {
  if ('key' in step) {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return []
    return Object.hasOwn(value, step.key) ? [(value as Payload)[step.key]] : []
  }
  if (!Array.isArray(value)) return []
  if ('every' in step) return value
  return step.index < value.length ? [value[step.index]] : []
}
