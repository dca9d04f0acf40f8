/** Names and ids in the vector store, the same for every driver and for whoever queries it directly. */

import { v5 as uuidv5 } from 'uuid'
import type { UserKey } from '../events/ids.ts'
import type { GroupName } from '../instructions/instruction.ts'
import type { ModelId } from '../model/embedding-model.ts'
import type { AliasName, CollectionName, PointId } from './vector-store.ts'

/** UUIDv5 of `freshet` in the DNS namespace; fixed for ever (design 7). */
const POINT_NAMESPACE = 'af7de6c6-df34-502c-8731-4204c5ca7fe2'

export function pointId(key: UserKey): PointId {
  return uuidv5(key, POINT_NAMESPACE) as PointId
}

export function collectionName(group: GroupName, model: ModelId): CollectionName {
  return `freshet_${group}_${model}` as CollectionName
}

export function aliasName(group: GroupName): AliasName {
  return `freshet_${group}` as AliasName
}
