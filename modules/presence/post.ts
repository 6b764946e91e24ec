import { Envelope, type Jid, type Log, type Maybe, nobody, type Resource, type Router, Stanza, StanzaError, xml } from '#core';

// Presence that the server sends for its users, still to be addressed.

/** A client is gone (RFC 6121 section 4.5). */
export const UNAVAILABLE: Stanza = Stanza.of(xml('presence', { type: 'unavailable' }));
/** Asks for the presence of a contact (RFC 6121 section 4.3). */
export const PROBE: Stanza = Stanza.of(xml('presence', { type: 'probe' }));
/** Asks to be allowed to see it (RFC 6121 section 3.1). */
export const SUBSCRIBE: Stanza = Stanza.of(xml('presence', { type: 'subscribe' }));
/** Allows it (RFC 6121 section 3.1). */
export const SUBSCRIBED: Stanza = Stanza.of(xml('presence', { type: 'subscribed' }));
/** Asks for it no more (RFC 6121 section 3.3). */
export const UNSUBSCRIBE: Stanza = Stanza.of(xml('presence', { type: 'unsubscribe' }));
/** Refuses it, or takes the permission back (RFC 6121 section 3.2). */
export const UNSUBSCRIBED: Stanza = Stanza.of(xml('presence', { type: 'unsubscribed' }));

/** Sends presence for the server's users. What cannot be delivered is dropped: nobody waits for an answer. */
export class Post {
  readonly #router: Router;
  readonly #log: Log;

  constructor(router: Router, log: Log) {
    this.#router = router;
    this.#log = log;
  }

  /** Sends one stanza; a promise where something has to be waited for, so that what follows can stay behind it. Never fails. */
  send(stanza: Stanza, from: Jid, to: Jid): Maybe<void> {
    try {
      const pending = this.#router.route(new Envelope(stanza.addressed(from.full, to.full), from, to, nobody));
      return pending?.catch((error: unknown) => this.#report(error));
    } catch (error) {
      this.#report(error);
    }
  }

  /** The clients of an account that are available. */
  available(bare: string): readonly Resource[] {
    return this.#router.resources(bare).filter(({ presence }) => presence !== undefined);
  }

  /** Sends somebody the present presence of all clients of an account. */
  sendCurrent(account: Jid, to: Jid): void {
    for (const { presence, jid } of this.available(account.bare)) void this.send(presence!, jid, to);
  }

  /** Tells somebody that all clients of an account are gone. */
  sendUnavailable(account: Jid, to: Jid): void {
    for (const { jid } of this.available(account.bare)) void this.send(UNAVAILABLE, jid, to);
  }

  #report(error: unknown): void {
    if (!(error instanceof StanzaError)) this.#log.error('presence was lost', { error });
  }
}
