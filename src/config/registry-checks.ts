/** What the settings of a schema registry must agree on. */

import { type Contradiction, LOOPBACK, shownAddress } from './contradiction.ts'
import type { Settings } from './settings.ts'

const SECTION = 'events.registry'

export function registryChecks({ events: { registry } }: Settings): Contradiction[] {
  const { urls, username, password } = registry
  const found = (urls ?? []).flatMap((text, at) =>
    addressChecks(text, `${SECTION}.urls.${at}`, password !== null),
  )
  if ((username === null) !== (password === null))
    found.push({
      path: username === null ? `${SECTION}.password` : `${SECTION}.username`,
      message: 'username and password belong together, got one without the other: set both, or neither',
    })
  return found
}

function addressChecks(text: string, path: string, hasPassword: boolean): Contradiction[] {
  const url = URL.parse(text)
  const isPlain = url?.protocol === 'http:'
  if (url === null || (!isPlain && url.protocol !== 'https:'))
    return [
      {
        path,
        message: `must be an address such as https://registry.example:8081, got ${shownAddress(text)}: correct it`,
      },
    ]
  // What stands there may be a secret: it is not repeated.
  if (url.username !== '' || url.password !== '' || url.search !== '' || url.hash !== '')
    return [
      {
        path,
        message:
          'must hold no user, password, query or fragment: put them into username and password, and leave the rest out',
      },
    ]
  if (isPlain && hasPassword && !LOOPBACK.test(url.hostname))
    return [
      {
        path,
        message: `must be https where password is set, got ${url.origin}: everybody on the way could read it; switch TLS on at the registry, or at a proxy before it`,
      },
    ]
  return []
}
