import { randomUUID } from 'node:crypto';
import type { Jid } from '../jid.ts';
import type { Log } from '../log.ts';
import type { Router } from '../router/router.ts';
import { Envelope } from '../stanza/envelope.ts';
import { readStanzaError, StanzaError } from '../stanza/errors.ts';
import { type Element, xml } from '../xml/element.ts';
import { Stanza } from '../xml/stanza.ts';

interface Pending {
  readonly of: string;
  readonly resolve: (payload: Element | undefined) => void;
  readonly reject: (error: StanzaError) => void;
  readonly timer: NodeJS.Timeout;
}

/** IQs that the host itself asks of others, and their answers. */
export class Questions {
  readonly #pending = new Map<string, Pending>();
  readonly #router: Router;
  readonly #log: Log;
  readonly #max: number;

  constructor(router: Router, log: Log, max = 10_000) {
    this.#router = router;
    this.#log = log;
    this.#max = max;
  }

  /**
   * Asks and waits for the payload of the result. Rejects with StanzaError: what the other side answered,
   * `remote-server-timeout` after `timeout` milliseconds, `resource-constraint` when too many are under way.
   */
  ask(from: Jid, to: Jid, type: 'get' | 'set', payload: Element, timeout = 30_000): Promise<Element | undefined> {
    if (this.#pending.size >= this.#max) return Promise.reject(new StanzaError('resource-constraint'));
    const id = randomUUID();
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#pending.delete(id);
        reject(new StanzaError('remote-server-timeout'));
      }, timeout).unref();
      this.#pending.set(id, { of: to.full, resolve, reject, timer });
      const iq = Stanza.of(xml('iq', { type, id, from: from.full, to: to.full }, payload));
      const origin = { send: (reply: Stanza) => this.#take(reply, to) };
      this.#route(new Envelope(iq, from, to, origin), id);
    });
  }

  /** Takes a result or an error addressed to the host. One that nobody waits for, or from somebody else, is dropped. */
  answered({ stanza, from }: Envelope): void {
    this.#take(stanza, from);
  }

  #take(stanza: Stanza, from: Jid): void {
    const pending = this.#pending.get(stanza.id ?? '');
    if (!pending || pending.of !== from.full) return;
    const question = this.#end(stanza.id!);
    if (stanza.type === 'error') question?.reject(readStanzaError(stanza));
    else question?.resolve(stanza.element.getChildElements()[0]);
  }

  /** What cannot be delivered is answered at once, and what fails on its way to somebody here. */
  #route(env: Envelope, id: string): void {
    const refuse = (error: unknown): void => {
      if (!(error instanceof StanzaError)) this.#log.error('a question of ours failed', { to: env.to.full, error });
      this.#end(id)?.reject(error instanceof StanzaError ? error : new StanzaError('internal-server-error'));
    };
    try {
      this.#router.route(env)?.catch(refuse);
    } catch (error) {
      refuse(error);
    }
  }

  #end(id: string): Pending | undefined {
    const pending = this.#pending.get(id);
    if (pending) clearTimeout(pending.timer);
    this.#pending.delete(id);
    return pending;
  }

  /** Rejects what is under way. */
  close(): void {
    for (const pending of this.#pending.values()) {
      clearTimeout(pending.timer);
      pending.reject(new StanzaError('service-unavailable'));
    }
    this.#pending.clear();
  }
}
