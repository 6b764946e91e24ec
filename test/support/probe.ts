import assert from 'node:assert/strict';
import { EventEmitter, once } from 'node:events';
import type { Element } from 'ltx';
import type { Session } from '../../src/c2s/session.ts';
import { type FakeTransport, read } from './fake-transport.ts';

const PATIENCE = 2000;

/** A client of a test: what it sends takes the same way as a WebSocket client's, what it gets is queued in order. */
export class Probe {
  readonly session: Session;
  readonly transport: FakeTransport;
  readonly #queue: Element[] = [];
  readonly #news = new EventEmitter();
  #ids = 0;

  constructor(session: Session, transport: FakeTransport) {
    this.session = session;
    this.transport = transport;
    transport.onSend = (text) => {
      this.#queue.push(read(text));
      this.#news.emit('stanza');
    };
  }

  get jid(): string {
    return this.session.jid.full;
  }

  /** Sends a stanza as XML; `xmlns='jabber:client'` is added when it has none. */
  send(stanza: Element | string): void {
    const text = String(stanza);
    const root = /^\s*<[^>]*>/.exec(text)?.[0] ?? '';
    this.transport.feed(/\sxmlns=/.test(root) ? text : text.replace(/^\s*<([^\s/>]+)/, "<$1 xmlns='jabber:client'"));
  }

  /** The next stanza, of this kind when one is named; fails when none comes or it is another. */
  async receive(name?: string): Promise<Element> {
    const stanza = await this.#next(() => this.#queue.shift());
    if (name !== undefined) assert.equal(stanza.name, name, `expected <${name}/>, got ${stanza}`);
    return stanza;
  }

  /** Sends a request with a fresh id and returns the answer; whatever else arrives stays queued. */
  async ask(iq: Element | string): Promise<Element> {
    const id = `ask-${++this.#ids}`;
    this.send(String(iq).replace(/^\s*<iq/, `<iq id='${id}'`));
    return this.#next(() => {
      const at = this.#queue.findIndex(
        (stanza) => stanza.name === 'iq' && stanza.attrs['id'] === id && /result|error/.test(stanza.attrs['type']),
      );
      return at < 0 ? undefined : this.#queue.splice(at, 1)[0];
    });
  }

  /** All that is queued now. */
  take(): Element[] {
    return this.#queue.splice(0);
  }

  /** Waits until all that was sent has been handled, then asserts that nothing has come for this client. */
  async quiet(): Promise<void> {
    await settle();
    assert.deepEqual(this.#queue.map(String), []);
  }

  /** Closes the stream as a client that leaves. */
  leave(): void {
    this.transport.feed("<close xmlns='urn:ietf:params:xml:ns:xmpp-framing'/>");
  }

  /** The line breaks. */
  drop(): void {
    this.transport.destroy();
  }

  async #next(pick: () => Element | undefined): Promise<Element> {
    const deadline = AbortSignal.timeout(PATIENCE);
    for (;;) {
      const stanza = pick();
      if (stanza) return stanza;
      try {
        await once(this.#news, 'stanza', { signal: deadline });
      } catch {
        throw new assert.AssertionError({
          message: `nothing came for ${this.jid}; queued: ${this.#queue.join(' ') || 'nothing'}`,
        });
      }
    }
  }
}

/** Lets everything that is under way in memory come to its end. */
export async function settle(): Promise<void> {
  for (let i = 0; i < 10; i++) await new Promise((resolve) => setImmediate(resolve));
}
