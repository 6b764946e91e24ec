import assert from 'node:assert/strict';
import { mock } from 'node:test';
import carbons from '../../../modules/carbons/index.ts';
import ping from '../../../modules/ping/index.ts';
import presence from '../../../modules/presence/index.ts';
import roster from '../../../modules/roster/index.ts';
import sm from '../../../modules/sm/index.ts';
import { defineModule, type Metrics, option } from '../../../src/index.ts';
import { type Probe, settle } from '../../support/probe.ts';
import { chat, conditionOf, delayOf, SmClient } from '../../support/sm-client.ts';
import { type HostOptions, startHost, type TestHost } from '../../support/start-host.ts';

const MINUTE = 60_000;

let host: TestHost;
let metrics: Metrics;
let romeo: Probe;
let juliet: SmClient;

/** Takes the metrics as any module would. */
const reader = defineModule({
  name: 'reader',
  doc: 'Reads figures.',
  config: option.object({}),
  setup(ctx) {
    metrics = ctx.metrics;
  },
});

async function start(config: unknown = {}, options: HostOptions = {}): Promise<void> {
  host = await startHost([sm, ping, roster, presence, carbons, reader], { modules: { sm: config }, ...options });
  romeo = await host.online('romeo', 'orchard');
  juliet = await SmClient.managed(host, 'juliet', { resource: 'balcony' });
  await befriend(romeo);
  await juliet.appear();
  romeo.take();
}

/** Each may see the other's presence. */
async function befriend(friend: Probe): Promise<void> {
  const bare = friend.session.jid.bare;
  juliet.send(`<presence type='subscribe' to='${bare}'/>`);
  friend.send("<presence type='subscribed' to='juliet@example.org'/>");
  friend.send("<presence type='subscribe' to='juliet@example.org'/>");
  juliet.send(`<presence type='subscribed' to='${bare}'/>`);
  await settle();
  juliet.take();
  friend.take();
}

const say = (...bodies: readonly string[]) => {
  for (const body of bodies) romeo.send(chat(juliet.jid, body));
};
const isWaiting = () => !juliet.session.isClosed && juliet.session.stream === undefined;
const waiting = async () => Number(/xmpp_sessions_waiting\{.*\} (\d+)/.exec(await metrics.render())![1]);
/** Presence that a client has got, in short. */
const presences = (stanzas: readonly { name: string; attrs: Record<string, unknown> }[]) =>
  stanzas.filter(({ name }) => name === 'presence').map(({ attrs }) => `${attrs['from']} ${attrs['type'] ?? 'available'}`);

describe('sm: a session that waits for its client', () => {
  beforeEach(() => start());
  afterEach(() => host.stop());

  it('is seen as available: contacts are told nothing, and those who come are told that it is there', async () => {
    juliet.cut();
    await romeo.quiet();
    const late = await host.login('romeo', 'garden');
    late.send('<presence/>');
    await settle();
    assert(presences(late.take()).includes('juliet@example.org/balcony available'));
    const answer = await romeo.ask(`<iq type='get' to='example.org'><ping xmlns='urn:xmpp:ping'/></iq>`);
    assert.equal(answer.attrs['type'], 'result');
  });

  it('tells nobody anything when its client comes back, and again when it goes', async () => {
    for (let i = 0; i < 3; i++) {
      juliet.cut();
      await juliet.resume();
      await romeo.quiet();
    }
  });

  it('gets all that it would get: presence, roster pushes, copies, messages and questions', async () => {
    await juliet.ask("<iq type='set'><enable xmlns='urn:xmpp:carbons:2'/></iq>");
    await juliet.ask("<iq type='get'><query xmlns='jabber:iq:roster'/></iq>");
    const garden = await host.online('juliet', 'garden');
    await settle();
    juliet.take();
    juliet.cut();
    romeo.send('<presence><show>away</show></presence>');
    await garden.ask("<iq type='set'><query xmlns='jabber:iq:roster'><item jid='nurse@example.org'/></query></iq>");
    romeo.send(chat(garden.jid, 'for garden'));
    romeo.send(chat('juliet@example.org', 'for both'));
    romeo.send(`<iq type='get' id='v' to='${juliet.jid}'><query xmlns='jabber:iq:version'/></iq>`);
    await settle();
    await juliet.resume();
    await settle();
    const kinds = juliet.take().map((stanza) => {
      if (stanza.getChild('received', 'urn:xmpp:carbons:2')) return 'carbon';
      return stanza.getChildText('body') ?? stanza.getChildText('show') ?? stanza.getChild('query')?.getNS();
    });
    assert.deepEqual(kinds, ['away', 'jabber:iq:roster', 'carbon', 'for both', 'jabber:iq:version']);
    // It answers what it was asked meanwhile.
    juliet.send(`<iq type='result' id='v' to='${romeo.jid}'/>`);
    await settle();
    assert(romeo.take().some(({ name, attrs }) => name === 'iq' && attrs['id'] === 'v' && attrs['type'] === 'result'));
  });

  it('gets copies with the time they came', async () => {
    await juliet.ask("<iq type='set'><enable xmlns='urn:xmpp:carbons:2'/></iq>");
    const garden = await host.online('juliet', 'garden');
    juliet.cut();
    garden.send(chat(romeo.jid, 'sent from the garden'));
    await settle();
    await juliet.resume();
    await settle();
    const copy = juliet.take().find(({ name }) => name === 'message')!;
    assert(copy.getChild('sent', 'urn:xmpp:carbons:2'));
    assert.notEqual(delayOf(copy), undefined);
  });

  it('is counted', async () => {
    assert.equal(await waiting(), 0);
    juliet.cut();
    assert.equal(await waiting(), 1);
    await juliet.resume();
    assert.equal(await waiting(), 0);
    juliet.cut();
    juliet.session.replace();
    assert.equal(await waiting(), 0);
  });

  it('ends where its resource is bound anew, whose client is told that first', async () => {
    juliet.cut();
    say('hello');
    const again = await SmClient.managed(host, 'juliet', { resource: 'balcony' });
    assert.equal(juliet.session.isClosed, true);
    assert.equal(conditionOf(await juliet.resume()), 'item-not-found');
    assert.equal(host.host.router.resource(juliet.session.jid), again.session);
    await settle();
    assert.deepEqual(presences(romeo.take()), ['juliet@example.org/balcony unavailable']);
    // What had not arrived was for this address, and nobody keeps messages here.
    assert.deepEqual(await again.bodies(), ['hello']);
  });

  it('ends when its account is deleted, and nothing of it is left', async () => {
    juliet.cut();
    const { session } = juliet;
    await host.host.accounts.delete('juliet');
    assert.equal(session.isClosed, true);
    assert.equal(conditionOf(await juliet.resume()), 'item-not-found');
    assert.equal(await waiting(), 0);
  });
});

describe('sm: what becomes of it at its end', () => {
  beforeEach(async () => {
    await start();
    juliet.cut();
  });
  afterEach(() => host.stop());

  it('its contacts, and whom it has told itself, are told that it is gone, once', async () => {
    await juliet.resume();
    const stranger = await host.online('stranger');
    juliet.send(`<presence to='${stranger.jid}'/>`);
    await stranger.receive('presence');
    juliet.cut();
    await stranger.quiet();
    juliet.session.close();
    await settle();
    assert.deepEqual(presences(romeo.take()), ['juliet@example.org/balcony unavailable']);
    assert.deepEqual(presences(stranger.take()), ['juliet@example.org/balcony unavailable']);
  });

  for (const type of ['get', 'set']) {
    it(`who has asked it something (${type}) and got no answer is told that it is not there`, async () => {
      romeo.send(`<iq type='${type}' id='q' to='${juliet.jid}'><query xmlns='urn:q'/></iq>`);
      await romeo.quiet();
      juliet.session.close();
      await settle();
      const answer = romeo.take().find(({ name }) => name === 'iq')!;
      assert.deepEqual(
        [answer.attrs['type'], answer.attrs['id'], answer.attrs['from'], conditionOf(answer)],
        ['error', 'q', juliet.jid, 'service-unavailable'],
      );
    });
  }

  it('also when the question was sent to it, and it has not said that it got it', async () => {
    await juliet.resume();
    romeo.send(`<iq type='get' id='q' to='${juliet.jid}'><query xmlns='urn:q'/></iq>`);
    await juliet.receive('iq');
    juliet.leave();
    await settle();
    assert.equal(conditionOf(romeo.take().find(({ name }) => name === 'iq')!), 'service-unavailable');
  });

  it('but not when it has: it may have answered', async () => {
    await juliet.resume();
    romeo.send(`<iq type='get' id='q' to='${juliet.jid}'><query xmlns='urn:q'/></iq>`);
    await juliet.receive('iq');
    juliet.ack();
    juliet.leave();
    await settle();
    assert.deepEqual(
      romeo.take().filter(({ name }) => name === 'iq'),
      [],
    );
  });

  it('answers, errors and presence that were for it are forgotten', async () => {
    for (const stanza of [
      `<iq type='result' id='1' to='${juliet.jid}'/>`,
      `<iq type='error' id='2' to='${juliet.jid}'/>`,
      `<message type='error' id='3' to='${juliet.jid}'><body>x</body></message>`,
      `<message type='headline' id='4' to='${juliet.jid}'><body>x</body></message>`,
      `<message type='groupchat' id='5' to='${juliet.jid}'><body>x</body></message>`,
      `<message type='chat' id='6' to='${juliet.jid}'><composing xmlns='http://jabber.org/protocol/chatstates'/></message>`,
      `<presence to='${juliet.jid}'/>`,
      `<presence type='unavailable' to='${juliet.jid}'/>`,
    ])
      romeo.send(stanza);
    await romeo.quiet();
    juliet.session.close();
    await settle();
    assert.deepEqual(
      romeo
        .take()
        .filter(({ name }) => name !== 'presence')
        .map(String),
      [],
    );
  });

  it('where nobody keeps messages, their senders are told that they did not arrive', async () => {
    romeo.send("<message type='chat' id='c' to='juliet@example.org'><body>lost</body></message>");
    romeo.send(`<message id='n' to='${juliet.jid}'><body>lost</body></message>`);
    await romeo.quiet();
    juliet.session.close();
    await settle();
    const errors = romeo.take().filter(({ name }) => name === 'message');
    assert.deepEqual(errors.map((error) => [error.attrs['id'], error.attrs['type'], conditionOf(error)]).sort(), [
      ['c', 'error', 'service-unavailable'],
      ['n', 'error', 'service-unavailable'],
    ]);
  });

  it('where another client had them too, they have arrived', async () => {
    const garden = await host.online('juliet', 'garden');
    romeo.take();
    romeo.send("<message type='chat' to='juliet@example.org'><body>for both</body></message>");
    await garden.receive('message');
    juliet.session.close();
    await settle();
    assert.deepEqual(
      romeo.take().filter(({ name }) => name === 'message'),
      [],
    );
    assert.deepEqual(
      garden.take().filter(({ name }) => name === 'message'),
      [],
    );
  });
});

describe('sm: how long it waits', () => {
  const tick = async (milliseconds: number) => {
    mock.timers.tick(milliseconds);
    await settle();
  };

  beforeEach(() => mock.timers.enable({ apis: ['setTimeout', 'setInterval'] }));
  afterEach(async () => {
    mock.timers.reset();
    await host.stop();
  });

  it('as long as the config says, and then it ends', async () => {
    await start({ resumeWithin: '2m' });
    juliet.cut();
    await tick(2 * MINUTE - 1);
    assert.equal(isWaiting(), true);
    await romeo.quiet();
    await tick(1);
    assert.equal(juliet.session.isClosed, true);
    assert.deepEqual(presences(romeo.take()), ['juliet@example.org/balcony unavailable']);
    const failed = await juliet.resume();
    assert.deepEqual([conditionOf(failed), failed.attrs['h']], ['item-not-found', '3']);
  });

  it('less where its client wants that', async () => {
    await start();
    const nurse = await SmClient.bind(host, 'nurse');
    await nurse.enable("resume='true' max='30'");
    nurse.cut();
    await tick(29_999);
    assert.equal(nurse.session.isClosed, false);
    await tick(1);
    assert.equal(nurse.session.isClosed, true);
  });

  it('from the last time the line broke', async () => {
    await start({ resumeWithin: '1m' });
    for (let i = 0; i < 3; i++) {
      juliet.cut();
      await tick(MINUTE - 1);
      assert.equal((await juliet.resume()).name, 'resumed');
    }
    await tick(10 * MINUTE);
    assert.equal(juliet.session.isClosed, false);
    juliet.cut();
    await tick(MINUTE - 1);
    assert.equal(isWaiting(), true);
  });

  it('no longer for somebody who fails to resume it', async () => {
    await start({ resumeWithin: '1m' });
    juliet.cut();
    await tick(MINUTE - 1);
    assert.equal((await juliet.resume({ h: juliet.h + 1 })).name, 'stream:error');
    await juliet.resume({ username: 'romeo' });
    await tick(MINUTE);
    assert.equal(juliet.session.isClosed, true);
  });
});

describe('sm: dead lines', () => {
  let now = 0;

  beforeEach(async () => {
    mock.timers.enable({ apis: ['setInterval'] });
    now = performance.now();
    mock.method(performance, 'now', () => now);
    await start({ answerWithin: '30s' });
  });
  afterEach(async () => {
    mock.timers.reset();
    mock.restoreAll();
    await host.stop();
  });

  /** Time passes. */
  const pass = async (milliseconds: number) => {
    for (let i = 0; i < milliseconds; i += 1000) {
      now += 1000;
      mock.timers.tick(1000);
      await settle();
    }
  };

  it('count as broken when the client does not answer in time', async () => {
    say('hello');
    await settle();
    await pass(29_000);
    assert.equal(juliet.isConnected, true);
    await pass(10_000);
    assert.equal(juliet.isConnected, false);
    assert.equal(isWaiting(), true);
    assert.equal((await juliet.resume({ h: juliet.h - 1 })).name, 'resumed');
    assert.deepEqual(await juliet.bodies(), ['hello', 'hello']);
  });

  it('are no dead lines while the client says anything at all, or when there is nothing to answer', async () => {
    await pass(120_000);
    assert.equal(juliet.isConnected, true);
    say('hello');
    await settle();
    await pass(25_000);
    juliet.send(`<presence to='${romeo.jid}'/>`);
    await pass(25_000);
    assert.equal(juliet.isConnected, true);
    juliet.ack();
    await pass(120_000);
    assert.equal(juliet.isConnected, true);
  });

  it('of clients that cannot resume are cut as well', async () => {
    const nurse = await SmClient.bind(host, 'nurse');
    await nurse.enable('');
    romeo.send(chat(nurse.jid, 'hello'));
    await settle();
    await pass(40_000);
    assert.equal(nurse.isConnected, false);
    assert.equal(nurse.session.isClosed, true);
  });
});

describe('sm: how much it holds', () => {
  afterEach(() => host.stop());

  const size = 'x'.repeat(1000);

  it('so many stanzas of a client that acknowledges nothing, and then its session ends', async () => {
    await start({ maxStanzas: 100 });
    juliet.takeElements();
    for (let i = 0; i < 100; i++) say(String(i));
    await settle();
    assert.equal(juliet.isConnected, true);
    say('one too many');
    await settle();
    const error = juliet.takeElements().find(({ name }) => name === 'stream:error')!;
    assert.equal(conditionOf(error), 'policy-violation');
    assert.equal(juliet.session.isClosed, true);
    assert.equal(conditionOf(await juliet.resume()), 'item-not-found');
  });

  it('as many again once they are acknowledged', async () => {
    await start({ maxStanzas: 100 });
    for (let i = 0; i < 10; i++) {
      for (let j = 0; j < 100; j++) say(String(j));
      await settle();
      juliet.ack();
    }
    await settle();
    assert.equal(juliet.isConnected, true);
  });

  it('so many bytes', async () => {
    await start({ maxBytes: '256KiB' });
    for (let i = 0; i < 230; i++) say(size);
    await settle();
    assert.equal(juliet.isConnected, true);
    for (let i = 0; i < 20; i++) say(size);
    await settle();
    assert.equal(juliet.session.isClosed, true);
  });

  it('bytes count no longer once they are acknowledged', async () => {
    await start({ maxBytes: '256KiB' });
    for (let i = 0; i < 20; i++) {
      for (let j = 0; j < 100; j++) say(size);
      await settle();
      juliet.ack();
    }
    await settle();
    assert.equal(juliet.isConnected, true);
  });

  it('no more while it waits: then it ends, and whoever wrote is told', async () => {
    await start({ maxStanzas: 100 });
    juliet.cut();
    for (let i = 0; i < 100; i++) say(String(i));
    await settle();
    assert.equal(isWaiting(), true);
    await romeo.quiet();
    say('one too many');
    await settle();
    assert.equal(juliet.session.isClosed, true);
    const errors = romeo.take().filter(({ attrs }) => attrs['type'] === 'error');
    assert.equal(errors.length, 101);
  });

  it('no more for all together: whoever has more than its share goes', async () => {
    await start({ maxTotalBytes: '8MiB', maxStanzas: 100_000 });
    const garden = await SmClient.managed(host, 'juliet', { resource: 'garden' });
    juliet.cut();
    garden.cut();
    const text = 'x'.repeat(100_000);
    for (let i = 0; i < 60; i++) {
      for (const { jid } of [juliet, garden]) romeo.send(chat(jid, text));
      await settle();
    }
    assert.equal(
      [juliet, garden].some(({ session }) => session.isClosed),
      true,
    );
  });

  it('presence and what else nobody acknowledges counts too', async () => {
    await start({ maxStanzas: 100 });
    juliet.cut();
    for (let i = 0; i < 101; i++) romeo.send(`<presence to='${juliet.jid}' id='${i}'/>`);
    await settle();
    assert.equal(juliet.session.isClosed, true);
  });
});

describe('sm: room for the clients of one account', () => {
  afterEach(() => host.stop());

  it('a client that is there goes before one that may come back: the one that has waited longest ends', async () => {
    await start({}, { settings: { resourcesPerAccount: 3 } });
    const garden = await SmClient.managed(host, 'juliet', { resource: 'garden' });
    const tomb = await SmClient.managed(host, 'juliet', { resource: 'tomb' });
    garden.cut();
    juliet.cut();
    const cell = await SmClient.managed(host, 'juliet', { resource: 'cell' });
    assert.deepEqual(
      [juliet, garden, tomb, cell].map(({ session }) => session.isClosed),
      [false, true, false, false],
    );
    await SmClient.managed(host, 'juliet', { resource: 'hall' });
    assert.equal(juliet.session.isClosed, true);
    await assert.rejects(SmClient.managed(host, 'juliet', { resource: 'street' }), /resource-constraint/);
  });

  it('one that resumes needs none', async () => {
    await start({}, { settings: { resourcesPerAccount: 2 } });
    juliet.cut();
    await SmClient.managed(host, 'juliet', { resource: 'garden' });
    assert.equal((await juliet.resume()).name, 'resumed');
    await assert.rejects(SmClient.managed(host, 'juliet', { resource: 'street' }), /resource-constraint/);
  });

  it('its address is taken where the config lets nobody be replaced', async () => {
    await start({}, { settings: { resourceConflict: 'rename' } });
    juliet.cut();
    const again = await SmClient.managed(host, 'juliet', { resource: 'balcony' });
    assert.notEqual(again.jid, juliet.jid);
    assert.equal((await juliet.resume()).name, 'resumed');
  });

  it('its address is free for the client itself where the config refuses what is taken', async () => {
    await start({}, { settings: { resourceConflict: 'refuse' } });
    await assert.rejects(SmClient.managed(host, 'juliet', { resource: 'balcony' }), /conflict/);
    juliet.cut();
    const again = await SmClient.managed(host, 'juliet', { resource: 'balcony' });
    assert.equal(again.jid, juliet.jid);
    assert.equal(juliet.session.isClosed, true);
  });
});
