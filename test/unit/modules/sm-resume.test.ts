import assert from 'node:assert/strict';
import mam from '../../../modules/mam/index.ts';
import ping from '../../../modules/ping/index.ts';
import sm from '../../../modules/sm/index.ts';
import { defineModule, type Metrics, option, StreamError } from '../../../src/index.ts';
import { silent } from '../../../src/log.ts';
import { openStorage } from '../../../src/storage/open.ts';
import { type Probe, settle } from '../../support/probe.ts';
import { SlowStorage } from '../../support/slow-storage.ts';
import { chat, conditionOf, delayOf, NS_SM, SmClient } from '../../support/sm-client.ts';
import { type HostOptions, startHost, type TestHost } from '../../support/start-host.ts';

const READ = "<iq type='get' to='example.org'><ping xmlns='urn:xmpp:ping'/></iq>";

let host: TestHost;
let metrics: Metrics;

/** Takes the metrics as any module would. */
const reader = defineModule({
  name: 'reader',
  doc: 'Reads figures.',
  config: option.object({}),
  setup(ctx) {
    metrics = ctx.metrics;
  },
});

let slow: SlowStorage;
let romeo: Probe;
let juliet: SmClient;

async function start(options: HostOptions = {}): Promise<void> {
  slow = new SlowStorage(await openStorage({ type: 'memory' }, silent));
  host = await startHost([sm, ping, mam, reader], { storage: slow.storage, ...options });
  romeo = await host.online('romeo', 'orchard');
  juliet = await SmClient.online(host, 'juliet', { resource: 'balcony' });
}

const say = (...bodies: readonly string[]) => {
  for (const body of bodies) romeo.send(chat(juliet.jid, body));
};
/** What romeo has got, in the order in which it came. */
const heard = async () => {
  await settle();
  return romeo.take().map((stanza) => stanza.getChildText('body') ?? stanza.name);
};

describe('sm: resuming a session (XEP-0198 section 5)', () => {
  beforeEach(() => start());
  afterEach(() => host.stop());

  it('tells its SM-ID and what has been handled, and sends again what was not acknowledged', async () => {
    for (let i = 0; i < 3; i++) juliet.send(chat(romeo.jid, String(i)));
    say('one', 'two', 'three');
    assert.deepEqual(await juliet.bodies(), ['one', 'two', 'three']);
    juliet.cut();
    const { h } = juliet;
    const resumed = await juliet.resume({ h: h - 2 });
    assert.equal(String(resumed), `<resumed xmlns="${NS_SM}" previd="${juliet.id}" h="4"/>`);
    assert.deepEqual(await juliet.bodies(), ['two', 'three']);
  });

  it('has the same address, presence and priority as before, and the same stream of stanzas', async () => {
    await juliet.appear('<presence><priority>5</priority><show>dnd</show></presence>');
    const { session, jid } = juliet;
    juliet.cut();
    await juliet.resume();
    assert.equal(juliet.stream.session, session);
    assert.deepEqual([session.jid.full, session.priority, session.presence?.text('show')], [jid, 5, 'dnd']);
    say('hello');
    assert.deepEqual(await juliet.bodies(), ['hello']);
    juliet.send(chat(romeo.jid, 'hello yourself'));
    assert.deepEqual(await heard(), ['hello yourself']);
  });

  it('gives what came meanwhile in order, with the time it came, and nothing else with one', async () => {
    say('before');
    assert.deepEqual(await juliet.bodies(), ['before']);
    juliet.cut();
    const from = Date.now();
    say('meanwhile 1', 'meanwhile 2');
    await settle();
    const until = Date.now();
    await juliet.resume({ h: juliet.h - 1 });
    say('after');
    await settle();
    const messages = juliet.take();
    assert.deepEqual(
      messages.map((message) => message.getChildText('body')),
      ['before', 'meanwhile 1', 'meanwhile 2', 'after'],
    );
    const delays = messages.map(delayOf);
    assert.deepEqual(
      delays.map((delay) => delay !== undefined),
      [false, true, true, false],
    );
    for (const delay of [delays[1], delays[2]]) assert(Date.parse(delay!) >= from && Date.parse(delay!) <= until);
    assert.equal(messages[1]!.getChild('delay')!.attrs['from'], 'example.org');
  });

  it('leaves alone a delay that somebody else has written, and IQs and presence', async () => {
    juliet.cut();
    const stamp = '2002-09-10T23:08:25Z';
    romeo.send(chat(juliet.jid, 'old', `<delay xmlns='urn:xmpp:delay' stamp='${stamp}'/>`));
    romeo.send(`<iq type='get' id='q' to='${juliet.jid}'><query xmlns='urn:q'/></iq>`);
    romeo.send(`<presence to='${juliet.jid}'/>`);
    await settle();
    await juliet.resume();
    await settle();
    const [message, iq, presence] = juliet.take();
    assert.deepEqual(
      message!.getChildren('delay').map(({ attrs }) => attrs['stamp']),
      [stamp],
    );
    assert.equal(iq!.getChild('delay'), undefined);
    assert.equal(presence!.getChild('delay'), undefined);
  });

  it('gives each stanza exactly once, however often the line breaks', async () => {
    const got: string[] = [];
    for (let i = 0; i < 20; i++) {
      say(`${i}a`);
      got.push(...(await juliet.bodies()));
      if (i % 3 === 0) juliet.ack();
      juliet.cut();
      say(`${i}b`, `${i}c`);
      await settle();
      assert.equal((await juliet.resume()).name, 'resumed');
      got.push(...(await juliet.bodies()));
    }
    assert.deepEqual(got, Array.from({ length: 20 }, (_, i) => [`${i}a`, `${i}b`, `${i}c`]).flat());
  });

  it('takes what the client has lost from it, by the h it is told', async () => {
    juliet.send(chat(romeo.jid, 'arrived'));
    await settle();
    juliet.cut();
    const before = juliet.told;
    const resumed = await juliet.resume();
    // Two stanzas since it was enabled: its presence and this.
    assert.deepEqual([before, resumed.attrs['h']], [0, '2']);
    juliet.send(chat(romeo.jid, 'lost'));
    assert.equal(await juliet.request(), 3);
    assert.deepEqual(await heard(), ['arrived', 'lost']);
  });

  it('asks again for acknowledgement of what it sends again', async () => {
    say('one');
    await settle();
    juliet.cut();
    juliet.takeElements();
    await juliet.resume({ h: juliet.h - 1 });
    await settle();
    assert.deepEqual(
      juliet.takeElements().map(({ name }) => name),
      ['r'],
    );
    juliet.ack();
    juliet.cut();
    await juliet.resume();
    await settle();
    assert.deepEqual(juliet.takeElements(), []);
  });

  for (const [from, to] of [
    ['tcp', 'websocket'],
    ['websocket', 'tcp'],
    ['tcp', 'tcp'],
    ['bosh', 'tcp'],
    ['websocket', 'bosh'],
  ] as const) {
    it(`goes from ${from} to ${to}`, async () => {
      const nurse = await SmClient.online(host, 'nurse', { kind: from });
      romeo.send(chat(nurse.jid, 'one &amp; two', "<x xmlns='urn:x' a='&lt;'><y/></x>"));
      await settle();
      nurse.cut();
      romeo.send(chat(nurse.jid, 'three'));
      await settle();
      nurse.take();
      assert.equal((await nurse.resume({ kind: to, h: nurse.h - 1 })).name, 'resumed');
      await settle();
      const [first, second] = nurse.take();
      assert.equal(first!.getChildText('body'), 'one & two');
      assert.equal(first!.getChild('x', 'urn:x')?.attrs['a'], '<');
      assert.equal(second!.getChildText('body'), 'three');
      nurse.send(chat(romeo.jid, 'four'));
      assert.deepEqual(await heard(), ['four']);
    });
  }

  it('is told that the line which was still open is replaced, and that line says nothing more', async () => {
    const old = juliet.line;
    const said: string[] = [];
    old.onSend = (text) => void said.push(text);
    assert.equal((await juliet.resume()).name, 'resumed');
    assert.match(said.join(''), /<conflict xmlns=.urn:ietf:params:xml:ns:xmpp-streams./);
    assert.equal(old.isEnded, true);
    old.feed(chat(romeo.jid, 'over the old line').replace('<message', "<message xmlns='jabber:client'"));
    assert.deepEqual(await heard(), []);
    assert.equal(juliet.session.isClosed, false);
    say('hello');
    assert.deepEqual(await juliet.bodies(), ['hello']);
  });

  it('fails after a resource is bound, and that one can be used', async () => {
    juliet.cut();
    const other = await SmClient.bind(host, 'juliet', { resource: 'garden' });
    other.send(`<resume xmlns='${NS_SM}' previd='${juliet.id}' h='0'/>`);
    assert.equal(conditionOf(await other.element()), 'unexpected-request');
    assert.equal((await other.ask(READ)).attrs['type'], 'result');
    assert.equal((await juliet.resume()).name, 'resumed');
  });

  it('fails once it has been resumed on this line', async () => {
    juliet.cut();
    await juliet.resume();
    juliet.send(`<resume xmlns='${NS_SM}' previd='${juliet.id}' h='${juliet.h}'/>`);
    assert.equal(conditionOf(await juliet.element()), 'unexpected-request');
    juliet.send(`<enable xmlns='${NS_SM}'/>`);
    assert.equal(conditionOf(await juliet.element()), 'unexpected-request');
  });

  for (const [what, attrs] of [
    ['without previd', "h='0'"],
    ['with an empty previd', "h='0' previd=''"],
    ['without h', "previd='some-id'"],
    ['with an h that is none', "previd='some-id' h='x'"],
    ['with an h that is too great', "previd='some-id' h='4294967296'"],
    ['with nothing', ''],
  ] as const) {
    it(`fails ${what}, and a resource can be bound`, async () => {
      const client = await SmClient.connect(host, 'juliet');
      client.send(`<resume xmlns='${NS_SM}' ${attrs}/>`);
      assert.equal(conditionOf(await client.element('failed')), 'bad-request');
      await client.bind();
    });
  }

  it('fails for an SM-ID that nobody knows, and a resource can be bound', async () => {
    const client = await SmClient.connect(host, 'juliet');
    for (const previd of ['some-id', '__proto__', 'constructor', 'x'.repeat(10_000)]) {
      client.send(`<resume xmlns='${NS_SM}' previd='${previd}' h='0'/>`);
      const failed = await client.element('failed');
      assert.deepEqual([conditionOf(failed), failed.attrs['h']], ['item-not-found', undefined]);
    }
    await client.bind();
    assert.equal((await client.enable()).name, 'enabled');
  });

  it("fails for another account's SM-ID, which goes on undisturbed", async () => {
    const mercutio = await SmClient.connect(host, 'mercutio');
    mercutio.send(`<resume xmlns='${NS_SM}' previd='${juliet.id}' h='0'/>`);
    const failed = await mercutio.element('failed');
    assert.deepEqual([conditionOf(failed), failed.attrs['h']], ['item-not-found', undefined]);
    assert.equal(juliet.isConnected, true);
    say('hello');
    assert.deepEqual(await juliet.bodies(), ['hello']);
  });

  it('fails for one that is over, and tells its owner, and nobody else, how far it had come', async () => {
    juliet.send(chat(romeo.jid, 'one'));
    await settle();
    const { id } = juliet;
    juliet.leave();
    assert.equal(juliet.session.isClosed, true);
    const failed = await juliet.resume();
    assert.deepEqual([conditionOf(failed), failed.attrs['h']], ['item-not-found', '2']);
    const mercutio = await SmClient.connect(host, 'mercutio');
    mercutio.send(`<resume xmlns='${NS_SM}' previd='${id}' h='0'/>`);
    assert.equal((await mercutio.element('failed')).attrs['h'], undefined);
  });

  it('with an h that is too high ends the new line only: the session goes on waiting', async () => {
    say('one');
    await settle();
    juliet.cut();
    const { h } = juliet;
    const error = await juliet.resume({ h: h + 1 });
    assert.equal(conditionOf(error), 'undefined-condition');
    assert.deepEqual(
      { ...error.getChild('handled-count-too-high', NS_SM)!.attrs },
      { xmlns: NS_SM, h: `${h + 1}`, 'send-count': `${h}` },
    );
    assert.equal(juliet.session.isClosed, false);
    juliet.take();
    assert.equal((await juliet.resume({ h: h - 1 })).name, 'resumed');
    assert.deepEqual(await juliet.bodies(), ['one']);
  });

  it('with an h that is too high leaves the line that is still open as broken', async () => {
    const error = await juliet.resume({ h: juliet.h + 1 });
    assert.equal(error.name, 'stream:error');
    assert.equal(juliet.session.isClosed, false);
    assert.equal((await juliet.resume()).name, 'resumed');
  });
});

/** Asks to resume; what is said over that line is collected. */
function listenToResume(h = juliet.h): readonly string[] {
  const said: string[] = [];
  juliet.startToResume({ h });
  const { line } = juliet;
  const take = line.onSend;
  line.onSend = (text) => {
    said.push(text);
    take(text);
  };
  return said;
}

const outcomeOf = (said: readonly string[]) => /<(resumed|failed)/.exec(said.join(''))?.[1];

describe('sm: resuming while something is under way', () => {
  beforeEach(async () => {
    await start();
    // What both want to be archived is known from here on.
    juliet.send(chat(romeo.jid, 'first'));
    assert.deepEqual(await heard(), ['first']);
  });
  afterEach(async () => {
    slow.release();
    await host.stop();
  });

  it('of two who resume at once only the last has the session, and nothing is doubled', async () => {
    say('one');
    assert.deepEqual(await juliet.bodies(), ['one']);
    juliet.cut();
    const lines = Array.from({ length: 3 }, () => listenToResume(juliet.h - 1));
    await settle();
    assert.deepEqual(lines.map(outcomeOf), ['failed', 'failed', 'resumed']);
    // Those who came too late may still bind, and have nothing to do with the session.
    assert.deepEqual([...host.c2s.streams].filter(({ session }) => session === juliet.session).length, 1);
    assert.deepEqual(await juliet.bodies(), ['one']);
    assert.equal(await juliet.request(), 2);
  });

  it('counts a stanza of the old line that is still being stored', async () => {
    slow.hold();
    juliet.send(chat(romeo.jid, 'slow 1'));
    juliet.send(chat(romeo.jid, 'slow 2'));
    juliet.send(READ.replace('<iq', "<iq id='p'"));
    juliet.cut();
    juliet.startToResume();
    await settle();
    assert.deepEqual(juliet.takeElements(), []);
    slow.release();
    assert.equal((await juliet.element()).attrs['h'], '5');
    // The answer to what was asked over the old line comes over the new one.
    assert.equal((await juliet.receive('iq')).attrs['id'], 'p');
    assert.deepEqual(await heard(), ['slow 1', 'slow 2']);
  });

  it('of several who wait for that only the last has the session', async () => {
    slow.hold();
    juliet.send(chat(romeo.jid, 'slow'));
    juliet.cut();
    const lines = [listenToResume(), listenToResume(), listenToResume()];
    slow.release();
    await settle();
    assert.deepEqual(lines.map(outcomeOf), ['failed', 'failed', 'resumed']);
    assert.deepEqual(await heard(), ['slow']);
  });

  it('waits on for a client that is gone again before it has its session', async () => {
    slow.hold();
    juliet.send(chat(romeo.jid, 'slow'));
    juliet.cut();
    juliet.startToResume();
    juliet.cut();
    slow.release();
    await settle();
    assert.equal(juliet.session.isClosed, false);
    assert.equal(juliet.session.stream, undefined);
    assert.equal((await juliet.resume()).attrs['h'], '3');
  });

  it('fails when the session ends before', async () => {
    slow.hold();
    juliet.send(chat(romeo.jid, 'slow'));
    juliet.cut();
    juliet.startToResume();
    await settle();
    juliet.session.replace();
    slow.release();
    const failed = await juliet.element();
    assert.deepEqual([conditionOf(failed), failed.attrs['h']], ['item-not-found', '3']);
  });

  it('also of a session that is over it is told what was still being stored', async () => {
    slow.hold();
    juliet.send(chat(romeo.jid, 'slow'));
    juliet.send(READ);
    juliet.cut();
    juliet.session.replace();
    juliet.startToResume();
    await settle();
    assert.deepEqual(juliet.takeElements(), []);
    slow.release();
    const failed = await juliet.element();
    assert.deepEqual([conditionOf(failed), failed.attrs['h']], ['item-not-found', '4']);
    assert.deepEqual(await heard(), ['slow']);
  });

  it('who is gone before it is enabled leaves nothing behind', async () => {
    const nurse = await SmClient.bind(host, 'nurse');
    nurse.send(chat(romeo.jid, 'first'));
    await settle();
    slow.hold();
    nurse.send(chat(romeo.jid, 'slow'));
    nurse.send(`<enable xmlns='${NS_SM}' resume='true'/>`);
    nurse.cut();
    slow.release();
    assert.deepEqual(await heard(), ['first', 'slow']);
    assert.match(await metrics.render(), /xmpp_sessions_waiting\{.*\} 0/);
  });

  it('what could not be stored is counted and refused, over the new line', async () => {
    slow.hold();
    slow.fail();
    juliet.send("<message type='chat' id='m' to='romeo@example.org'><body>lost</body></message>");
    juliet.cut();
    juliet.startToResume();
    await settle();
    slow.release();
    slow.fail();
    assert.equal((await juliet.element()).attrs['h'], '3');
    const error = await juliet.receive('message');
    assert.deepEqual([error.attrs['id'], conditionOf(error)], ['m', 'resource-constraint']);
    slow.release();
    host.faults.length = 0;
    assert.deepEqual(await heard(), []);
  });
});

describe('sm: which ends are final (XEP-0198 section 7)', () => {
  beforeEach(() => start());
  afterEach(() => host.stop());

  const isWaiting = () => !juliet.session.isClosed && juliet.session.stream === undefined;

  it('a line that breaks is not', async () => {
    juliet.cut();
    assert.equal(isWaiting(), true);
  });

  it('a line that is given up, since its client does not read, is not', async () => {
    juliet.stream.cut('test');
    assert.equal(isWaiting(), true);
    assert.equal((await juliet.resume()).name, 'resumed');
  });

  for (const condition of ['system-shutdown', 'see-other-host', 'connection-timeout', 'reset'] as const) {
    it(`${condition} is not`, async () => {
      juliet.stream.close(new StreamError(condition));
      assert.equal(isWaiting(), true);
      assert.equal((await juliet.resume()).name, 'resumed');
    });
  }

  for (const condition of ['conflict', 'policy-violation', 'not-well-formed', 'internal-server-error', 'host-gone'] as const) {
    it(`${condition} is`, async () => {
      juliet.stream.close(new StreamError(condition));
      assert.equal(juliet.session.isClosed, true);
      assert.equal(conditionOf(await juliet.resume()), 'item-not-found');
    });
  }

  for (const kind of ['tcp', 'websocket'] as const) {
    it(`a client that closes its stream is done (${kind})`, async () => {
      const nurse = await SmClient.managed(host, 'nurse', { kind });
      nurse.leave();
      assert.equal(nurse.session.isClosed, true);
      assert.equal(conditionOf(await nurse.resume()), 'item-not-found');
    });
  }

  it('without resumption any end is', async () => {
    const nurse = await SmClient.bind(host, 'nurse');
    await nurse.enable('');
    nurse.cut();
    assert.equal(nurse.session.isClosed, true);
  });

  it('when the server stops, clients can come back', async () => {
    const drained = host.c2s.drain(0);
    assert.equal(conditionOf(await juliet.element()), 'system-shutdown');
    await drained;
    assert.equal(isWaiting(), true);
  });
});
