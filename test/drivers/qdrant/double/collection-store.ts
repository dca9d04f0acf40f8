/** All collections and the aliases that lead to them. */

import { Collection, checkCharacters } from './collection.ts'
import type { AliasAction, CreateCollectionBody } from './collection-schemas.ts'
import { Refusal } from './refusal.ts'

const NAME_LENGTH_MAX = 255

export class CollectionStore {
  readonly collections = new Map<string, Collection>()
  readonly aliases = new Map<string, string>()

  /** Through an alias, too. @throws {Refusal} 404 */
  get(name: string): Collection {
    const collection = this.collections.get(this.aliases.get(name) ?? name)
    if (collection === undefined) throw missing(name)
    return collection
  }

  has(name: string): boolean {
    return this.collections.has(this.aliases.get(name) ?? name)
  }

  create(name: string, body: CreateCollectionBody): void {
    const invalid = (why: string) => new Refusal('invalid', `path parameters: [collection_name: ${why}]`)
    if (name.length === 0 || name.length > NAME_LENGTH_MAX)
      throw invalid(`value ${JSON.stringify(name)} invalid, must be from 1 to ${NAME_LENGTH_MAX} characters`)
    checkCharacters(name, 'collection name', invalid)
    if (this.collections.has(name))
      throw new Refusal('already-exists', `Collection \`${name}\` already exists!`)
    if (this.aliases.has(name))
      throw new Refusal(
        'bad-input',
        `Can't create collection with name ${name}. Alias with the same name already exists`,
      )
    this.collections.set(name, new Collection(name, body))
  }

  /** Its aliases go with it. An alias is no collection: dropping one does nothing. */
  drop(name: string): boolean {
    for (const [alias, target] of this.aliases) if (target === name) this.aliases.delete(alias)
    return this.collections.delete(name)
  }

  /** One after another: what was done before one that fails stays done. */
  changeAliases(actions: readonly AliasAction[]): void {
    for (const action of actions) {
      if ('create_alias' in action) {
        const { alias_name: alias, collection_name: target } = action.create_alias
        if (!this.collections.has(target)) throw missing(target)
        if (this.collections.has(alias))
          throw new Refusal('already-exists', `Collection \`${alias}\` already exists!`)
        this.aliases.set(alias, target)
      } else if ('delete_alias' in action) this.aliases.delete(action.delete_alias.alias_name)
      else {
        const { old_alias_name: from, new_alias_name: to } = action.rename_alias
        const target = this.aliases.get(from)
        if (target === undefined) throw new Refusal('not-found', `Alias ${from} does not exists!`)
        this.aliases.delete(from)
        this.aliases.set(to, target)
      }
    }
  }
}

function missing(name: string): Refusal {
  return new Refusal('not-found', `Collection \`${name}\` doesn't exist!`)
}
