import { randomUUID } from 'node:crypto';
import type { Jid } from '../jid.ts';
import type { Router } from '../router/router.ts';
import type { Envelope } from '../stanza/envelope.ts';
import { StanzaError } from '../stanza/errors.ts';
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
  readonly #max: number;

  constructor(router: Router, max = 10_000) {
    this.#router = router;
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
      this.#router.send(Stanza.of(xml('iq', { type, id }, payload)), from, to);
    });
  }

  /** Takes a result or an error addressed to the host. One that nobody waits for, or from somebody else, is dropped. */
  answered({ stanza, from }: Envelope): void {
    const pending = this.#pending.get(stanza.id ?? '');
    if (!pending || pending.of !== from.full) return;
    this.#pending.delete(stanza.id!);
    clearTimeout(pending.timer);
    if (stanza.type === 'error') pending.reject(new StanzaError('undefined-condition'));
    else pending.resolve(stanza.element.getChildElements()[0]);
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
