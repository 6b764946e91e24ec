import type { Jid } from '../jid.ts';
import type { Stanza } from '../xml/stanza.ts';

/** Where a stanza came from, and where answers to it go: a local client, another server, a component, or a module. */
export interface Origin {
  /** Sends an answer (a result or an error) back. Never throws. */
  send(stanza: Stanza): void;
}

/** The origin of what the server itself sends: nobody waits for the answer. */
export const nobody: Origin = { send() {} };

/** One stanza on its way through the server. Made once when it arrives; every hook gets the same one. */
export class Envelope {
  /** Replaced, never changed: a handler that amends puts a copy here. */
  stanza: Stanza;
  /** The true sender: a full JID for a client. */
  readonly from: Jid;
  /** The addressee; the sender's own bare JID when the stanza has no `to` (RFC 6120 section 10.3). */
  readonly to: Jid;
  readonly origin: Origin;

  constructor(stanza: Stanza, from: Jid, to: Jid, origin: Origin) {
    this.stanza = stanza;
    this.from = from;
    this.to = to;
    this.origin = origin;
  }
}
