import { once } from 'node:events';
import { type Element, parse } from 'ltx';
import WebSocket from 'ws';

const NS_FRAMING = 'urn:ietf:params:xml:ns:xmpp-framing';

/** A client over WebSocket that says exactly what a test wants, against a server in another process. */
export class WireClient {
  readonly #socket: WebSocket;
  readonly #queue: Element[] = [];
  #wake: () => void = () => {};
  #isGone = false;
  #ids = 0;
  jid = '';

  private constructor(url: string, localAddress: string) {
    this.#socket = new WebSocket(url, 'xmpp', { localAddress });
    this.#socket.on('message', (data) => {
      this.#queue.push(parse(String(data)));
      this.#wake();
    });
    this.#socket.on('error', () => {});
    this.#socket.on('close', () => {
      this.#isGone = true;
      this.#wake();
    });
  }

  /** Connects, from this address, and opens a stream; rejects when there is no server. */
  static async connect(port: number, domain = 'localhost', from = '127.0.0.1'): Promise<WireClient> {
    const client = new WireClient(`ws://127.0.0.1:${port}/xmpp-websocket`, from);
    await once(client.#socket, 'open');
    client.send(`<open xmlns='${NS_FRAMING}' to='${domain}' version='1.0'/>`);
    await client.until((element) => element.name === 'stream:features');
    return client;
  }

  /** Makes an account (XEP-0077); resolves to whether the server said that it is made. */
  async register(username: string, password: string): Promise<boolean> {
    const query = `<query xmlns='jabber:iq:register'><username>${username}</username><password>${password}</password></query>`;
    return (await this.ask(`<iq type='set'>${query}</iq>`)).attrs['type'] === 'result';
  }

  /** Logs in with PLAIN and binds a resource. */
  async login(username: string, password: string, resource: string, domain = 'localhost'): Promise<void> {
    const initial = Buffer.from(`\0${username}\0${password}`).toString('base64');
    this.send(`<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>${initial}</auth>`);
    const answer = await this.until(({ name }) => name === 'success' || name === 'failure');
    if (answer.name === 'failure') throw new Error(`log-in failed: ${answer}`);
    this.send(`<open xmlns='${NS_FRAMING}' to='${domain}' version='1.0'/>`);
    await this.until((element) => element.name === 'stream:features');
    const bound = await this.ask(
      `<iq type='set'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>${resource}</resource></bind></iq>`,
    );
    this.jid = bound.getChild('bind')!.getChildText('jid')!;
  }

  /** Sends XML; a stanza gets its namespace. */
  send(xml: string): void {
    this.#socket.send(xml.replace(/^<(iq|message|presence)(?![^>]*\sxmlns=)/, "<$1 xmlns='jabber:client'"));
  }

  /** Sends a request with a fresh id and waits for its answer. Rejects when the line breaks first. */
  ask(iq: string): Promise<Element> {
    const id = `w${++this.#ids}`;
    this.send(iq.replace(/^<iq/, `<iq id='${id}'`));
    return this.until(({ name, attrs }) => name === 'iq' && attrs['id'] === id);
  }

  /** The next element like this; others stay in the queue. Rejects when the line breaks first. */
  async until(matches: (element: Element) => boolean): Promise<Element> {
    for (;;) {
      const at = this.#queue.findIndex(matches);
      if (at >= 0) return this.#queue.splice(at, 1)[0]!;
      if (this.#isGone) throw new Error('the line is broken');
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  /** All that has come and was not asked for. */
  take(): readonly Element[] {
    return this.#queue.splice(0);
  }

  get isGone(): boolean {
    return this.#isGone;
  }

  /** Breaks the line. */
  close(): void {
    this.#socket.terminate();
  }
}
