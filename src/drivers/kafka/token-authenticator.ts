/**
 * OAUTHBEARER, answers included: a broker refuses a token by a message that wants an answer, and kafkajs takes any message
 * for a welcome, so that a wrong token would look like a connection that ends.
 */

import type { AuthenticationProviderArgs, Authenticator } from 'kafkajs'
import { ConfigError, UnavailableError } from '../../errors.ts'
import type { TokenProvider } from './kafka-settings.ts'
import { WireReader, WireWriter } from './wire.ts'

/** Separates what a client says; RFC 7628. */
const SEPARATOR = '\x01'

export function tokenAuthenticator(
  provider: TokenProvider,
): (args: AuthenticationProviderArgs) => Authenticator {
  return ({ host, port, saslAuthenticate }) => ({
    authenticate: async () => {
      const { value, extensions = {} } = await tokenOf(provider)
      const pairs = Object.entries(extensions).map(([name, of]) => `${name}=${of}`)
      const text = ['n,,', `auth=Bearer ${value}`, ...pairs, '', ''].join(SEPARATOR)
      const hello = Buffer.from(text)
      const answer = await saslAuthenticate({
        request: { encode: () => Buffer.from(new WireWriter().int32(hello.length).bytes(hello).written()) },
        response: { decode: (bytes) => bytes, parse: (bytes) => new WireReader(bytes).nullableBytes() },
      })
      if (answer === null || answer === undefined || answer.length === 0) return
      throw new ConfigError(
        'kafka-authentication',
        `expected ${host}:${port} to accept the token of events.kafka.sasl.tokenModule, got: ${answer.toString('utf8')}: correct the module, or what the broker knows of its tokens`,
      )
    },
  })
}

/** Who gives out tokens may be away like anybody else. */
async function tokenOf(provider: TokenProvider): ReturnType<TokenProvider> {
  try {
    return await provider()
  } catch (cause) {
    throw new UnavailableError(
      'kafka-token',
      `expected a token of events.kafka.sasl.tokenModule, got: ${cause instanceof Error ? cause.message : cause}: it is asked for again; look at who gives it out if it lasts`,
      { cause },
    )
  }
}
