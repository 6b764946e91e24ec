import assert from 'node:assert/strict';
import type { Element } from 'ltx';
import { type FakeTransport, read } from './fake-transport.ts';
import { settle } from './probe.ts';
import type { TestHost } from './start-host.ts';

const NS = 'jabber:iq:register';

/** Somebody who has not logged in, and wants an account. */
export class Stranger {
  readonly transport: FakeTransport;

  constructor(host: TestHost, prepare: (transport: FakeTransport) => void = () => {}) {
    this.transport = host.connect(prepare).transport;
  }

  /** What the stream offers. */
  get features(): Element {
    return this.transport.sent.map(read).find(({ name }) => name === 'stream:features')!;
  }

  /** Says this; returns what comes back. */
  async say(xml: string): Promise<Element[]> {
    this.transport.sent.length = 0;
    this.transport.feed(xml.replace('<iq', "<iq xmlns='jabber:client'"));
    await settle();
    return this.transport.sent.map(read);
  }

  /** Asks with such a `<query/>`; returns the answer. */
  async ask(inner: string, type = 'set', to = ''): Promise<Element> {
    const [reply] = await this.say(`<iq id='r1' type='${type}' ${to}><query xmlns='${NS}'>${inner}</query></iq>`);
    assert.equal(reply?.name, 'iq');
    assert.equal(reply?.attrs['id'], 'r1');
    return reply!;
  }
}

/** The fields of an account. */
export const account = (username: string, password = 'Call me but love') =>
  `<username>${username}</username><password>${password}</password>`;
