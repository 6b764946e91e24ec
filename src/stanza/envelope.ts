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
  /** The message as the sender's own devices see it, with what is not for others (XEP-0313 section 3.5); undefined when it is the same. */
  ownCopy: Stanza | undefined = undefined;
  /**
   * The message for the same account that came before and is not done yet; undefined when there is none. Whoever stores messages in an
   * order that clients are to see waits for it: for `done` before this one is shown, and before it gets its place when the other may not
   * have one, since its hooks are still waiting for something (not `env.isBeingStored`). `done` never rejects.
   */
  before: { readonly env: Envelope; readonly done: Promise<void> } | undefined = undefined;
  /** Set once the stanza has passed all hooks and only waits to be stored: whoever sent it may say more meanwhile. */
  isBeingStored = false;
  #stored: Promise<unknown> | undefined = undefined;

  constructor(stanza: Stanza, from: Jid, to: Jid, origin: Origin) {
    this.stanza = stanza;
    this.from = from;
    this.to = to;
    this.origin = origin;
  }

  /**
   * Holds the stanza back until this has resolved: nobody is shown what is not durable yet. Its hooks go on meanwhile. A rejection
   * refuses the stanza, as a throw in a hook does. What a hook wants to show to others by itself, it shows after `stored`.
   */
  wait(promise: Promise<unknown>): void {
    // Somebody else may refuse the stanza first, and then nobody listens.
    promise.catch(ignore);
    if (!this.#stored) this.#stored = promise;
    else {
      this.#stored = this.#stored.then(() => promise);
      this.#stored.catch(ignore);
    }
  }

  /** What is waited for; undefined when nothing is. Rejects with what keeps it from being stored. */
  get stored(): Promise<unknown> | undefined {
    return this.#stored;
  }
}

function ignore(): void {}
