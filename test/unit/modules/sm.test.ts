import assert from 'node:assert/strict';
import ping from '../../../modules/ping/index.ts';
import presence from '../../../modules/presence/index.ts';
import roster from '../../../modules/roster/index.ts';
import sm from '../../../modules/sm/index.ts';
import { type Probe, settle } from '../../support/probe.ts';
import { chat, conditionOf, NS_SM, SmClient } from '../../support/sm-client.ts';
import { startHost, type TestHost } from '../../support/start-host.ts';

let host: TestHost;

describe('sm: enabling it (XEP-0198 sections 2 and 3)', () => {
  beforeEach(async () => {
    host = await startHost([sm, ping]);
  });
  afterEach(() => host.stop());

  it('is offered once the client has logged in, and not before', async () => {
    const { stream, transport } = host.connect();
    assert.doesNotMatch(transport.sent.join(''), /urn:xmpp:sm/);
    stream.authenticate('juliet');
    await stream.sendFeatures();
    assert.match(transport.sent.at(-1)!, /<sm xmlns='urn:xmpp:sm:3'\/>/);
  });

  it('without resumption has no SM-ID', async () => {
    const juliet = await SmClient.bind(host, 'juliet');
    for (const attrs of ['', "resume='false'", "resume='0'", "resume='yes'", "resume=''"]) {
      const client = await SmClient.bind(host, 'juliet');
      const enabled = await client.enable(attrs);
      assert.equal(String(enabled), `<enabled xmlns="${NS_SM}"/>`);
    }
    assert.equal(juliet.isConnected, true);
  });

  it('with resumption has one that nobody can guess, and says how long it holds', async () => {
    const ids = new Set<string>();
    for (const attrs of ["resume='true'", "resume='1'", "resume='true' max='3600'"]) {
      const enabled = await (await SmClient.bind(host, 'juliet')).enable(attrs);
      const { id, resume, max } = enabled.attrs;
      assert.match(String(id), /^\S{20,}$/);
      assert.deepEqual([resume, max], ['true', '600']);
      ids.add(String(id));
    }
    assert.equal(ids.size, 3);
  });

  for (const [max, told] of [
    ['30', '30'],
    ['1', '1'],
    ['0', '1'],
    ['600', '600'],
    ['601', '600'],
    ['4294967295', '600'],
    ['4294967296', '600'],
    ['-1', '600'],
    ['1e1', '600'],
    ['soon', '600'],
    ['', '600'],
  ] as const) {
    it(`a client that wants max='${max}' gets ${told}`, async () => {
      const enabled = await (await SmClient.bind(host, 'juliet')).enable(`resume='true' max='${max}'`);
      assert.equal(enabled.attrs['max'], told);
    });
  }

  it('fails before a resource is bound, which can be done then', async () => {
    const juliet = await SmClient.connect(host, 'juliet');
    assert.equal(String(await juliet.enable()), failed('unexpected-request'));
    await juliet.bind();
    assert.equal((await juliet.enable()).name, 'enabled');
  });

  it('fails the second time, and goes on as it was', async () => {
    const juliet = await SmClient.managed(host, 'juliet');
    const { id } = juliet;
    for (const attrs of ["resume='true'", '']) assert.equal(conditionOf(await juliet.enable(attrs)), 'unexpected-request');
    juliet.cut();
    assert.equal((await juliet.resume({ previd: id })).name, 'resumed');
  });

  it('is nothing for strangers', () => {
    for (const element of ['enable', 'r', "a h='0'", "resume previd='x' h='0'"]) {
      const { transport } = host.connect();
      transport.feed(element.replace(/^\w+/, `<$& xmlns='${NS_SM}'`).concat('/>'));
      assert.match(transport.sent.join(''), /not-authorized/, element);
    }
  });

  it('guests may have it, but not come back: there is nobody whom one could tell from others', async () => {
    const guest = await SmClient.bind(host, 'f00', { isGuest: true });
    assert.equal(String(await guest.enable()), `<enabled xmlns="${NS_SM}"/>`);
    const { session } = guest;
    guest.send('<presence/>');
    assert.equal(await guest.request(), 1);
    guest.cut();
    assert.equal(session.isClosed, true);
  });

  it('is refused, and not the end of the stream, to ask before it is enabled', async () => {
    const juliet = await SmClient.bind(host, 'juliet');
    for (const element of [`<r xmlns='${NS_SM}'/>`, `<a xmlns='${NS_SM}' h='0'/>`]) {
      juliet.send(element);
      assert.equal(String(await juliet.element()), failed('unexpected-request'));
    }
    assert.equal((await juliet.enable()).name, 'enabled');
  });
});

describe('sm: counting what the client sends (XEP-0198 section 4)', () => {
  let romeo: Probe;
  let juliet: SmClient;

  beforeEach(async () => {
    host = await startHost([sm, ping, roster, presence]);
    romeo = await host.online('romeo', 'orchard');
    juliet = await SmClient.managed(host, 'juliet', { resource: 'balcony' });
  });
  afterEach(() => host.stop());

  it('begins at 0, whatever came before', async () => {
    const nurse = await SmClient.bind(host, 'nurse');
    for (let i = 0; i < 3; i++) nurse.send(chat(romeo.jid, 'before'));
    await nurse.enable();
    assert.equal(await nurse.request(), 0);
    nurse.send(chat(romeo.jid, 'after'));
    assert.equal(await nurse.request(), 1);
  });

  it('counts messages, presence and IQs, of every type and whatever becomes of them', async () => {
    const stanzas = [
      chat(romeo.jid, 'one'),
      "<message to='nobody@example.org'><body>two</body></message>",
      "<message to='@@@'><body>three</body></message>",
      `<message type='error' to='${romeo.jid}'/>`,
      '<presence/>',
      `<presence to='${romeo.jid}'/>`,
      `<presence type='strange' to='${romeo.jid}'/>`,
      "<iq type='get' id='1' to='example.org'><ping xmlns='urn:xmpp:ping'/></iq>",
      "<iq type='get' id='2' to='example.org'><unknown xmlns='urn:unknown'/></iq>",
      "<iq type='get' to='example.org'><bad xmlns='urn:bad'/></iq>",
      `<iq type='result' id='3' to='${romeo.jid}'/>`,
    ];
    for (const [i, stanza] of stanzas.entries()) {
      juliet.send(stanza);
      assert.equal(await juliet.request(), i + 1, stanza);
    }
  });

  it('does not count what is no stanza', async () => {
    juliet.ack();
    for (let i = 0; i < 5; i++) assert.equal(await juliet.request(), 0);
    await juliet.enable();
    assert.equal(await juliet.request(), 0);
  });

  it('answers requests in order, behind the answers to what came before', async () => {
    const order: string[] = [];
    juliet.line.onSend = (text) => void order.push(/^<(\w+)/.exec(text)![1]! + (/ h='(\d+)'/.exec(text)?.[1] ?? ''));
    const r = `<r xmlns='${NS_SM}'/>`;
    const ask = (id: string) => `<iq type='get' id='${id}' to='example.org'><ping xmlns='urn:xmpp:ping'/></iq>`;
    for (const xml of [r, ask('1'), r, ask('2'), ask('3'), r]) juliet.send(xml);
    await settle();
    assert.deepEqual(
      order.filter((each) => each !== 'r'),
      ['a0', 'iq', 'a1', 'iq', 'iq', 'a3'],
    );
  });

  it('goes from 2^32 - 1 to 0', async () => {
    juliet.session.handled += 2 ** 32 - 2;
    const told: number[] = [];
    for (let i = 0; i < 4; i++) {
      told.push(await juliet.request());
      juliet.send(chat(romeo.jid, 'again'));
    }
    assert.deepEqual(told, [4294967294, 4294967295, 0, 1]);
    juliet.cut();
    assert.equal((await juliet.resume()).attrs['h'], '2');
  });
});

describe('sm: acknowledgements of the client (XEP-0198 sections 4 and 6)', () => {
  let romeo: Probe;
  let juliet: SmClient;

  const say = (...bodies: readonly string[]) => {
    for (const body of bodies) romeo.send(chat(juliet.jid, body));
  };

  beforeEach(async () => {
    host = await startHost([sm]);
    romeo = await host.online('romeo', 'orchard');
    juliet = await SmClient.managed(host, 'juliet', { resource: 'balcony' });
  });
  afterEach(() => host.stop());

  it('are asked for after a message, once for all that are sent together', async () => {
    say('one', 'two', 'three');
    await settle();
    assert.deepEqual(juliet.takeElements().map(String), [`<r xmlns="${NS_SM}"/>`]);
  });

  it('are not asked for again while an answer is due, but then for what came meanwhile', async () => {
    say('one');
    await settle();
    say('two');
    await settle();
    assert.equal(juliet.takeElements().length, 1);
    juliet.ack(1);
    await settle();
    assert.equal(juliet.takeElements().length, 1);
    juliet.ack(2);
    await settle();
    assert.deepEqual(juliet.takeElements(), []);
  });

  it('are asked for now and then among other stanzas', async () => {
    for (let i = 0; i < 9; i++) romeo.send(`<presence to='${juliet.jid}'/>`);
    await settle();
    assert.deepEqual(juliet.takeElements(), []);
    romeo.send(`<presence to='${juliet.jid}'/>`);
    await settle();
    assert.equal(juliet.takeElements().length, 1);
  });

  it('may come unasked, repeat themselves, and skip some', async () => {
    say('one', 'two', 'three');
    assert.deepEqual(await juliet.bodies(), ['one', 'two', 'three']);
    for (const h of [0, 1, 1, 3, 3]) juliet.ack(h);
    await settle();
    assert.equal(juliet.isConnected, true);
    juliet.cut();
    assert.equal((await juliet.resume({ h: 3 })).name, 'resumed');
    await juliet.quiet();
  });

  it('of more than was sent end the stream, and tell how much it was', async () => {
    say('one', 'two');
    await settle();
    juliet.ack(1);
    juliet.takeElements();
    juliet.ack(3);
    const error = await juliet.element('stream:error');
    assert.equal(conditionOf(error), 'undefined-condition');
    assert.deepEqual({ ...error.getChild('handled-count-too-high', NS_SM)!.attrs }, { xmlns: NS_SM, h: '3', 'send-count': '2' });
    assert.match(error.getChildText('text')!, /3.*2/);
    assert.equal(juliet.session.isClosed, true);
  });

  it('of less than was acknowledged before are none either', async () => {
    say('one', 'two');
    await settle();
    juliet.takeElements();
    juliet.ack(2);
    juliet.ack(1);
    assert.equal(conditionOf(await juliet.element('stream:error')), 'undefined-condition');
  });

  for (const h of [
    '',
    "h=''",
    "h='one'",
    "h='-1'",
    "h='+1'",
    "h='1.0'",
    "h='1e0'",
    "h='0x1'",
    "h=' 1'",
    "h='4294967296'",
    "h='99999999999'",
    "h='\u0661'",
    "n='1'",
  ]) {
    it(`with ${h || 'nothing'} are none (section 12)`, async () => {
      say('one');
      await settle();
      juliet.takeElements();
      juliet.send(`<a xmlns='${NS_SM}' ${h}/>`);
      assert.equal(conditionOf(await juliet.element()), 'bad-format');
    });
  }
});

function failed(condition: string): string {
  return `<failed xmlns="${NS_SM}"><${condition} xmlns="urn:ietf:params:xml:ns:xmpp-stanzas"/></failed>`;
}
