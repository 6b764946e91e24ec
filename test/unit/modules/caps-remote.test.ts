import assert from 'node:assert/strict';
import type { Element } from 'ltx';
import caps, { type CapsApi, type Learned } from '../../../modules/caps/index.ts';
import { Inquiry } from '../../../modules/caps/inquiry.ts';
import { REMOTE_LIMITS, RemoteClients, type RemoteLimits } from '../../../modules/caps/remote-clients.ts';
import { Verified } from '../../../modules/caps/verified.ts';
import disco from '../../../modules/disco/index.ts';
import { Envelope, Jid, nobody, readElement, readStanza, Signal, StanzaError } from '../../../src/index.ts';
import { info, kindOf, Listener, legacy, modern, NS_INFO } from '../../support/caps-scene.ts';
import { Elsewhere } from '../../support/elsewhere.ts';
import { settle } from '../../support/probe.ts';
import { startHost, type TestHost } from '../../support/start-host.ts';

const PING = 'urn:xmpp:ping';
const ONE = kindOf(PING, 'urn:mood+notify');
const OTHER = kindOf('urn:other');
const ORCHARD = 'romeo@example.net/orchard';
const JULIET = 'juliet@example.org';

const available = (c = legacy(ONE.ver), from = ORCHARD, to = JULIET) => `<presence from='${from}' to='${to}'>${c}</presence>`;
const unavailable = (from = ORCHARD, to = JULIET) => `<presence type='unavailable' from='${from}' to='${to}'/>`;

describe('caps: clients of other servers', () => {
  let host: TestHost;
  let api: CapsApi;
  let heard: Listener;
  let elsewhere: Elsewhere;
  beforeEach(async () => {
    host = await startHost([disco, caps]);
    api = host.modules.api(caps)!;
    heard = new Listener(api);
    elsewhere = new Elsewhere(host, 'example.net');
    await host.online('juliet', 'balcony');
    await host.online('nurse', 'chamber');
  });
  afterEach(() => host.stop());

  const of = (jid = ORCHARD) => api.ofRemote(Jid.parse(jid));

  /** The questions that have come for the other server. */
  async function questions(): Promise<readonly Element[]> {
    return (await elsewhere.take()).filter(({ attrs }) => attrs['type'] === 'get');
  }

  async function answer(asked: Element, payload: string, type = 'result'): Promise<void> {
    const { id, from, to } = asked.attrs as Record<string, string>;
    await elsewhere.send(`<iq type='${type}' id='${id}' from='${to}' to='${from}'>${payload}</iq>`);
  }

  it('are asked in the name of the host, once for each verification string', async () => {
    await elsewhere.send(available());
    const [asked, ...others] = await questions();
    assert.deepEqual([asked?.attrs['from'], asked?.attrs['to'], others.length], ['example.org', ORCHARD, 0]);
    assert.equal(asked?.getChild('query', NS_INFO)?.attrs['node'], `https://client.example#${ONE.ver}`);
    const pending = of();
    assert(pending instanceof Promise);
    await answer(asked!, info(ONE));
    assert((await pending)?.interests.has('urn:mood'));
    await elsewhere.send(available(legacy(ONE.ver), 'nurse@example.net/x'));
    await elsewhere.send(available(legacy(ONE.ver), ORCHARD, 'nurse@example.org'));
    assert.equal(of('nurse@example.net/x'), of());
    assert.deepEqual(await questions(), []);
    assert.deepEqual(heard.take(PING), [`orchard ${PING}`, `x ${PING}`]);
  });

  it('share what is known of those here, and the other way round', async () => {
    await elsewhere.send(available(modern({ 'sha-256': ONE.sha256 })));
    await answer((await questions())[0]!, info(ONE));
    const probe = await host.online('tybalt');
    probe.send(`<presence>${modern({ 'sha-256': ONE.sha256 })}</presence>`);
    assert.equal(api.of(probe.session), of());
    await probe.quiet();
  });

  it('are not asked when they are no clients, or say nothing', async () => {
    await elsewhere.send(available(legacy(ONE.ver), 'romeo@example.net'));
    await elsewhere.send(available('', 'romeo@example.net/silent'));
    await elsewhere.send(available(legacy(ONE.ver), ORCHARD, 'example.org'));
    await elsewhere.send(
      available(
        `${legacy(ONE.ver)}<x xmlns='http://jabber.org/protocol/muc#user'/>`,
        'room@example.net/nick',
        `${JULIET}/balcony`,
      ),
    );
    for (const type of ['subscribe', 'probe', 'error']) {
      await elsewhere.send(available().replace('<presence', `<presence type='${type}'`));
    }
    assert.deepEqual(await questions(), []);
    assert.equal(of(), undefined);
    assert.equal(of('romeo@example.net/silent'), undefined);
  });

  it('are heard directly, too', async () => {
    await elsewhere.send(available(legacy(ONE.ver), ORCHARD, `${JULIET}/balcony`));
    assert.equal((await questions()).length, 1);
  });

  it('are forgotten when they are gone for all who have seen them', async () => {
    await elsewhere.send(available());
    await answer((await questions())[0]!, info(ONE));
    await elsewhere.send(available(legacy(ONE.ver), ORCHARD, 'nurse@example.org'));
    await elsewhere.send(unavailable(ORCHARD, 'nurse@example.org'));
    assert.notEqual(of(), undefined);
    await elsewhere.send(unavailable());
    assert.equal(of(), undefined);
    await elsewhere.send(available());
    assert.notEqual(of(), undefined);
    await elsewhere.send(unavailable('romeo@example.net'));
    assert.equal(of(), undefined);
    assert.deepEqual(heard.take(PING), [`orchard ${PING}`, 'orchard -', `orchard ${PING}`, 'orchard -']);
  });

  it('are found by what they are interested in', async () => {
    const found = () => api.interestedAt('romeo@example.net', 'urn:mood').map(String);
    await elsewhere.send(available());
    assert.deepEqual(found(), []);
    await answer((await questions())[0]!, info(ONE));
    await elsewhere.send(available(legacy(ONE.ver), 'romeo@example.net/garden'));
    assert.deepEqual(found(), [ORCHARD, 'romeo@example.net/garden']);
    assert.deepEqual(api.interestedAt('romeo@example.net', 'urn:other'), []);
    // While it is asked about something else what was known before counts.
    await elsewhere.send(available(legacy(OTHER.ver)));
    assert.deepEqual(found(), [ORCHARD, 'romeo@example.net/garden']);
    await answer((await questions())[0]!, info(OTHER));
    assert.deepEqual(found(), ['romeo@example.net/garden']);
    await elsewhere.send(unavailable('romeo@example.net'));
    assert.deepEqual(found(), []);
  });

  it('are asked anew when they change, and hold for themselves what cannot be verified', async () => {
    await elsewhere.send(available());
    await answer((await questions())[0]!, info(ONE));
    await elsewhere.send(available(legacy(OTHER.ver)));
    await answer((await questions())[0]!, info(ONE, "<feature var='urn:poison'/>"));
    assert.equal(await (async () => (await of())?.has('urn:poison'))(), true);
    await elsewhere.send(available(legacy(OTHER.ver), 'nurse@example.net/x'));
    assert.equal((await questions()).length, 1);
    assert.deepEqual(heard.take('urn:poison'), ['orchard ', 'orchard urn:poison']);
  });

  it('that refuse, or are of a server that cannot be reached, are not asked with every presence', async () => {
    await elsewhere.send(available());
    await answer((await questions())[0]!, "<error type='cancel'/>", 'error');
    for (const to of [JULIET, 'nurse@example.org']) await elsewhere.send(available(legacy(ONE.ver), ORCHARD, to));
    assert.deepEqual(await questions(), []);
    assert.equal(of(), undefined);
    await elsewhere.send(available(legacy(OTHER.ver)));
    assert.equal((await questions()).length, 1);
  });

  it('that answer for others are not believed', async () => {
    await elsewhere.send(available());
    const [asked] = await questions();
    await elsewhere.send(
      `<iq type='result' id='${asked!.attrs['id']}' from='nurse@example.net/x' to='example.org'>${info(ONE)}</iq>`,
    );
    assert(of() instanceof Promise);
  });
});

describe('caps: limits of what is kept of others', () => {
  /** A question under way. */
  interface Asked {
    readonly to: string;
    readonly resolve: (query: ReturnType<typeof readElement>) => void;
    readonly reject: (error: unknown) => void;
  }

  let asked: Asked[];
  let gone: string[];
  let now: number;
  beforeEach(() => {
    asked = [];
    gone = [];
    now = 0;
  });

  function open(limits: Partial<RemoteLimits>): RemoteClients {
    const learned = new Signal<Learned>('learned', (_, error) => assert.fail(String(error)));
    learned.add(({ jid, now: features }) => void (features === undefined && gone.push(jid.resource)));
    const ask = (to: Jid) =>
      new Promise<ReturnType<typeof readElement>>((resolve, reject) => void asked.push({ to: to.full, resolve, reject }));
    return new RemoteClients(new Inquiry({ ask, learned, verified: new Verified() }), { ...REMOTE_LIMITS, ...limits }, () => now);
  }

  function see(clients: RemoteClients, from: string, c: string, to = JULIET): void {
    const stanza = readStanza(`<presence xmlns='jabber:client' from='${from}' to='${to}'>${c}</presence>`);
    clients.note(new Envelope(stanza, Jid.parse(from), Jid.parse(to), nobody));
  }

  async function tell(payload = info(ONE)): Promise<void> {
    for (const { resolve } of asked.splice(0)) resolve(readElement(payload));
    await settle();
  }

  it('the one of an account that came first goes when there are too many', async () => {
    const clients = open({ perAccount: 3 });
    see(clients, 'romeo@example.net/0', legacy(ONE.ver));
    await tell();
    for (const i of [1, 2, 3, 4]) see(clients, `romeo@example.net/${i}`, legacy(ONE.ver));
    see(clients, 'nurse@example.net/9', legacy(ONE.ver));
    assert.equal(clients.size, 4);
    assert.deepEqual(gone, ['0', '1']);
    assert.equal(clients.of(Jid.parse('romeo@example.net/1')), undefined);
  });

  it('the one that was not heard of for the longest goes when there are too many of all', async () => {
    const clients = open({ clients: 3 });
    see(clients, 'a@example.net/a', legacy(ONE.ver));
    await tell();
    for (const name of ['b', 'c', 'a', 'd', 'e']) see(clients, `${name}@example.net/${name}`, legacy(ONE.ver));
    assert.equal(clients.size, 3);
    assert.deepEqual(gone, ['b', 'c']);
  });

  it('one that goes while it is asked is not known by its answer', async () => {
    const clients = open({ clients: 1 });
    see(clients, 'a@example.net/a', legacy(ONE.ver));
    see(clients, 'b@example.net/b', legacy(OTHER.ver));
    await tell(info(OTHER));
    assert.equal(clients.of(Jid.parse('a@example.net/a')), undefined);
    assert.equal(await (async () => (await clients.of(Jid.parse('b@example.net/b')))?.has('urn:other'))(), true);
    assert.deepEqual(gone, []);
  });

  it('what cannot be shared counts by its size', async () => {
    const clients = open({ weight: 1000 });
    const big = info({ features: Array.from({ length: 10 }, (_, i) => `${i}`.repeat(40)) });
    for (const name of ['a', 'b', 'c', 'd']) {
      see(clients, `${name}@example.net/${name}`, legacy(name));
      await tell(big);
    }
    assert.deepEqual(gone, ['a', 'b']);
    see(clients, 'c@example.net/c', legacy('again'));
    await tell(info({ features: ['x'.repeat(2000)] }));
    assert.equal(clients.size, 0);
  });

  it('a domain, and all together, are asked so much at once, and the rest when somebody wants to know', async () => {
    const clients = open({ questions: 4, questionsPerDomain: 2 });
    for (const domain of ['a', 'b', 'c'])
      for (const i of [1, 2, 3]) see(clients, `${i}@${domain}.example/x`, legacy(`${domain}${i}`));
    assert.deepEqual(
      asked.map(({ to }) => to),
      ['1@a.example/x', '2@a.example/x', '1@b.example/x', '2@b.example/x'],
    );
    assert.equal(clients.of(Jid.parse('3@a.example/x')), undefined);
    await tell();
    assert(clients.of(Jid.parse('3@a.example/x')) instanceof Promise);
    see(clients, '1@c.example/x', legacy('c1'));
    assert.deepEqual(
      asked.map(({ to }) => to),
      ['3@a.example/x', '1@c.example/x'],
    );
  });

  it('one that does not answer is asked again after a while', async () => {
    const clients = open({ patience: 1000 });
    see(clients, ORCHARD, legacy(ONE.ver));
    asked.pop()!.reject(new StanzaError('remote-server-timeout'));
    await settle();
    now = 999;
    see(clients, ORCHARD, legacy(ONE.ver));
    assert.equal(clients.of(Jid.parse(ORCHARD)), undefined);
    assert.equal(asked.length, 0);
    now = 1000;
    assert(clients.of(Jid.parse(ORCHARD)) instanceof Promise);
    await tell();
    assert.notEqual(clients.of(Jid.parse(ORCHARD)), undefined);
  });

  it('one that very many have seen is forgotten by the first that sees it go', async () => {
    const clients = open({});
    for (let i = 0; i < 60; i++) see(clients, ORCHARD, legacy(ONE.ver), `user${i}@example.org`);
    await tell();
    const to = 'user59@example.org';
    const stanza = readStanza(`<presence xmlns='jabber:client' type='unavailable' from='${ORCHARD}' to='${to}'/>`);
    clients.note(new Envelope(stanza, Jid.parse(ORCHARD), Jid.parse(to), nobody));
    assert.equal(clients.size, 0);
  });
});
