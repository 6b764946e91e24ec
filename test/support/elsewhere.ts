import type { Element } from 'ltx';
import { Envelope, errorOf, Jid, type Origin, readStanza, StanzaError } from '../../src/index.ts';
import { settle } from './probe.ts';
import type { TestHost } from './start-host.ts';

/** Another domain of the network, played by a test: it sends what the test says and keeps what comes for it. */
export class Elsewhere {
  readonly #host: TestHost;
  readonly #arrived: Element[] = [];

  constructor(host: TestHost, domain: string) {
    this.#host = host;
    host.host.router.serve(domain, { deliver: ({ stanza }) => void this.#arrived.push(stanza.element) });
  }

  /** Sends a stanza, and waits until all that follows from it is done. Answers are kept with what arrives. */
  async send(xml: string): Promise<void> {
    const stanza = readStanza(xml.replace(/^<(\w+)/, "<$1 xmlns='jabber:client'"));
    const origin: Origin = { send: (answer) => void this.#arrived.push(answer.element) };
    const env = new Envelope(stanza, Jid.parse(stanza.from!), Jid.parse(stanza.to!), origin);
    try {
      await this.#host.host.router.route(env);
    } catch (error) {
      if (!(error instanceof StanzaError)) throw error;
      const reply = errorOf(env, error);
      if (reply) origin.send(reply);
    }
    await settle();
  }

  /** All that has come since the last time. */
  async take(): Promise<readonly Element[]> {
    await settle();
    return this.#arrived.splice(0);
  }
}
