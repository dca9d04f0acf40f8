/** Branded ids, so that a user can't be passed where a tenant or an instruction is meant. */

declare const brand: unique symbol
type Branded<Name extends string> = string & { readonly [brand]: Name }

export type TenantId = Branded<'TenantId'>
export type UserId = Branded<'UserId'>
export type EventId = Branded<'EventId'>

/** `tenant \0 user`: the key of one user's state, and the name from which the point id is derived. */
export type UserKey = Branded<'UserKey'>

export const DEFAULT_TENANT = 'default' as TenantId

/** The record header that names the tenant where there is no value to say it: of deleted tabular records. */
export const TENANT_HEADER = 'freshet.tenant'

/** Users and tenants are opaque strings of 1 to 256 UTF-16 units without NUL; anything else is refused by the decoder. */
export const ID_LENGTH_MAX = 256

export function userKey(tenant: TenantId, user: UserId): UserKey {
  return `${tenant}\0${user}` as UserKey
}

export function splitUserKey(key: UserKey): { tenant: TenantId; user: UserId } {
  const at = key.indexOf('\0')
  return { tenant: key.slice(0, at) as TenantId, user: key.slice(at + 1) as UserId }
}
