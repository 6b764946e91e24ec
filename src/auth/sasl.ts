import type { Maybe } from '../hooks.ts';
import type { TlsInfo } from '../net/transport.ts';
import type { Accounts } from './accounts.ts';

/** Channel-binding types we know (RFC 5929, RFC 9266), as XEP-0440 announces them. */
export type ChannelBindingType = 'tls-exporter' | 'tls-server-end-point';

/** What a mechanism may know of the connection it runs on. */
export interface SaslContext {
  /** The domain that the client addresses. */
  readonly domain: string;
  readonly accounts: Accounts;
  readonly tls: TlsInfo | undefined;
  /** The client's address, for limits. */
  readonly remoteAddress: string;
  /** The mechanism names offered on this stream, as announced; XEP-0474 hashes them. */
  readonly offered: readonly string[];
  /** The channel-binding types announced on this stream (XEP-0440). */
  readonly bindings: readonly ChannelBindingType[];
}

/** What one step of an exchange asks for. */
export type SaslStep =
  | { readonly challenge: Buffer }
  /**
   * `username` is prepared (a localpart); `data` is additional data with success (RFC 6120 section 6.3.10). `isAnonymous`: the name is
   * for this stream alone, without an account (XEP-0175).
   */
  | { readonly username: string; readonly data: Buffer | undefined; readonly isAnonymous?: true };

/** One attempt with one mechanism. Throws SaslError, and nothing else, for whatever the peer sends. */
export interface SaslExchange {
  step(data: Buffer): Maybe<SaslStep>;
  /**
   * Called first, and only, when the client has sent no initial response (RFC 6120 section 6.4.2). Without it the client is asked with an
   * empty challenge, which is right where the client speaks first (RFC 4422 section 5).
   */
  begin?(): Maybe<SaslStep>;
}

/** Begins an exchange for a client that has sent no initial response, as `SaslExchange.begin` says. */
export function beginExchange(exchange: SaslExchange): Maybe<SaslStep> {
  return exchange.begin?.() ?? { challenge: Buffer.alloc(0) };
}

/** A mechanism a host can offer. */
export interface SaslMechanism {
  readonly name: string;
  /** Higher is preferred; mechanisms are announced in this order. */
  readonly strength: number;
  /** Whether it may be offered on such a connection. What is not offered cannot be used either. */
  isOffered(context: Pick<SaslContext, 'tls' | 'domain'> & { readonly secure: boolean; readonly loopback: boolean }): boolean;
  start(context: SaslContext): SaslExchange;
}
