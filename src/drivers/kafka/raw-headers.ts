/** Headers as they came, where text can't say it: bytes that are no UTF-8, a name twice. Dead letters keep them so. */

export type RawHeader = readonly [name: string, value: Uint8Array | null]

type Headers = Readonly<Record<string, string>>

const raw = new WeakMap<Headers, readonly RawHeader[]>()

export function keepRawHeaders(headers: Headers, as: readonly RawHeader[]): void {
  raw.set(headers, as)
}

/** What a record's headers were on the wire. */
export function rawHeaders(headers: Headers): readonly RawHeader[] {
  return raw.get(headers) ?? Object.entries(headers).map(([name, value]) => [name, Buffer.from(value)])
}
