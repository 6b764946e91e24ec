import { setTimeout } from 'node:timers/promises';
import type { Session } from '../c2s/session.ts';
import type { Host } from '../host/host.ts';

/** Milliseconds that a client's last stanza is waited for. */
const PATIENCE = 5000;

/** Erases what was kept for anonymous clients of one host when they leave (XEP-0175 section 3): their names are never used again. */
export class Guests {
  readonly #host: Host;
  readonly #forget: (username: string) => Promise<void>;
  readonly #leaving = new Set<Promise<void>>();

  /** `forget` erases what is kept for a name. */
  constructor(host: Host, forget: (username: string) => Promise<void>) {
    this.#host = host;
    this.#forget = forget;
    host.signals.sessionClosed.add((session) => {
      if (session.isAnonymous) this.#take(session);
    });
  }

  /** Resolves when all who have left are forgotten. */
  async settled(): Promise<void> {
    await Promise.all(this.#leaving);
  }

  #take(session: Session): void {
    const username = session.jid.local;
    const task: Promise<void> = this.#erase(session)
      .catch((error: unknown) => this.#host.log.error('something of an anonymous client is left', { username, error }))
      .finally(() => void this.#leaving.delete(task));
    this.#leaving.add(task);
  }

  async #erase(session: Session): Promise<void> {
    // Modules say farewell first; what they write for it is erased too, and so is what a stanza under way writes.
    await new Promise((resolve) => setImmediate(resolve));
    const { inHand } = session;
    if (inHand) await Promise.race([inHand, setTimeout(PATIENCE, undefined, { ref: false })]);
    await this.#forget(session.jid.local);
  }
}
