import assert from 'node:assert/strict';
import blocking from '../../../modules/blocking/index.ts';
import carbons from '../../../modules/carbons/index.ts';
import csi from '../../../modules/csi/index.ts';
import last from '../../../modules/last/index.ts';
import mam from '../../../modules/mam/index.ts';
import offline from '../../../modules/offline/index.ts';
import ping from '../../../modules/ping/index.ts';
import presence from '../../../modules/presence/index.ts';
import roster from '../../../modules/roster/index.ts';
import sm from '../../../modules/sm/index.ts';
import type { Parked } from '../../../modules/sm/parking.ts';
import { Jid, mapStore } from '../../../src/index.ts';
import { silent } from '../../../src/log.ts';
import type { AnyModule } from '../../../src/module/module.ts';
import { Elsewhere } from '../../support/elsewhere.ts';
import { type Probe, settle } from '../../support/probe.ts';
import { SlowWrites } from '../../support/slow-writes.ts';
import { chat, conditionOf, Disk, delayOf, SmClient } from '../../support/sm-client.ts';
import { startHost, type TestHost } from '../../support/start-host.ts';

const JULIET = 'juliet@example.org';
const WITHOUT_ARCHIVE: readonly AnyModule[] = [sm, offline, carbons, csi, ping, roster, presence, blocking, last];
const ALL: readonly AnyModule[] = [...WITHOUT_ARCHIVE, mam];

let disk: Disk;
let host: TestHost;
let romeo: Probe;
let modules: readonly AnyModule[];
let config: Readonly<Record<string, unknown>>;

/** Starts a server on the disk. */
async function start(): Promise<void> {
  host = await startHost(modules, { storage: disk.mount(), modules: { offline: { patience: 0 }, sm: config } });
  await host.host.accounts.create('juliet', 'secret');
  romeo = await host.online('romeo', 'orchard');
}

/** Stops the server and starts it again; the client knows where to find it. */
async function restart(...clients: readonly SmClient[]): Promise<void> {
  await host.stop();
  await start();
  for (const client of clients) client.host = host;
}

/** The server is gone from one moment to the next. */
async function crash(...clients: readonly SmClient[]): Promise<void> {
  disk.mount();
  await start();
  for (const client of clients) client.host = host;
}

async function begin(which = ALL): Promise<void> {
  disk = await Disk.create();
  modules = which;
  config = {};
  await start();
}

async function end(): Promise<void> {
  await host.stop();
  await disk.close();
}

const say = async (...bodies: readonly string[]) => {
  for (const body of bodies) romeo.send(chat(JULIET, body));
  await settle();
};

const online = (resource: string) => SmClient.online(host, 'juliet', { resource });
const store = async () => (await disk.mount().open('example.org', 'sm', { parked: mapStore<Parked>() })).parked;

/** A client without stream management comes online; what it is given. */
async function arrive(resource = 'late'): Promise<readonly string[]> {
  const client = await host.login('juliet', resource);
  client.send('<presence/>');
  await settle();
  return bodiesOf(client);
}

function bodiesOf(client: Probe): readonly string[] {
  return client
    .take()
    .filter(({ name }) => name === 'message')
    .map((message) => message.getChildText('body') ?? '');
}

describe('sm: sessions outlive a restart of the server', () => {
  beforeEach(() => begin());
  afterEach(end);

  it('whose line was open', async () => {
    const juliet = await online('balcony');
    juliet.send(chat(romeo.jid, 'before'));
    await say('one', 'two');
    assert.deepEqual(await juliet.bodies(), ['one', 'two']);
    juliet.ack(juliet.h - 1);
    await settle();
    await restart(juliet);
    assert.equal(juliet.isConnected, false);
    const resumed = await juliet.resume({ h: juliet.h - 1 });
    assert.deepEqual([resumed.name, resumed.attrs['h']], ['resumed', '2']);
    assert.deepEqual(await juliet.bodies(), ['two']);
    assert.equal(juliet.stream.session!.jid.full, `${JULIET}/balcony`);
  });

  it('whose line was broken, with what had come meanwhile and when', async () => {
    const juliet = await online('balcony');
    juliet.cut();
    await say('one');
    const before = Date.now();
    await restart(juliet);
    await say('two');
    await juliet.resume();
    await settle();
    const messages = juliet.take();
    assert.deepEqual(
      messages.map((message) => message.getChildText('body')),
      ['one', 'two'],
    );
    assert(Date.parse(delayOf(messages[0]!)!) <= before);
    assert.notEqual(delayOf(messages[1]!), undefined);
  });

  it('several times, and go on counting', async () => {
    const juliet = await online('balcony');
    for (let i = 1; i <= 4; i++) {
      juliet.send(chat(romeo.jid, String(i)));
      await say(`a${i}`);
      await restart(juliet);
      await say(`b${i}`);
      assert.equal((await juliet.resume()).attrs['h'], String(i + 1));
      assert.deepEqual(await juliet.bodies(), [`a${i}`, `b${i}`]);
    }
  });

  it('past the end of their numbers', async () => {
    const juliet = await online('balcony');
    juliet.session.handled += 2 ** 32 - 3;
    await restart(juliet);
    const row = await juliet.resume();
    assert.equal(row.attrs['h'], String(2 ** 32 - 2));
    for (let i = 0; i < 3; i++) juliet.send(chat(romeo.jid, 'x'));
    await settle();
    await restart(juliet);
    assert.equal((await juliet.resume()).attrs['h'], '1');
  });

  it('with their presence and priority, which contacts see although their client is not back yet', async () => {
    const juliet = await SmClient.managed(host, 'juliet', { resource: 'balcony' });
    await befriend(juliet);
    await juliet.appear('<presence><priority>7</priority><status>on the balcony</status></presence>');
    await restart(juliet);
    await settle();
    const seen = romeo.take().length;
    assert.equal(seen, 0);
    const late = await host.login('romeo', 'late');
    late.send('<presence/>');
    await settle();
    const told = late.take().find(({ attrs }) => attrs['from'] === `${JULIET}/balcony`)!;
    assert.deepEqual([told.getChildText('status'), told.getChildText('priority')], ['on the balcony', '7']);
    await juliet.resume();
    assert.equal(juliet.stream.session!.priority, 7);
  });

  it('are told to contacts, and to whom they had sent presence themselves, when they end', async () => {
    const juliet = await SmClient.managed(host, 'juliet', { resource: 'balcony' });
    await befriend(juliet);
    await juliet.appear();
    juliet.send("<presence to='stranger@example.org/here'/>");
    await settle();
    await restart(juliet);
    const stranger = await host.online('stranger', 'here');
    await juliet.resume();
    juliet.leave();
    await settle();
    for (const client of [romeo, stranger]) {
      const gone = client.take().filter(({ attrs }) => attrs['type'] === 'unavailable');
      assert.deepEqual(
        gone.map(({ attrs }) => attrs['from']),
        [`${JULIET}/balcony`],
      );
    }
  });

  it('get copies and roster pushes as before, also while they wait', async () => {
    const juliet = await online('balcony');
    await juliet.ask("<iq type='set'><enable xmlns='urn:xmpp:carbons:2'/></iq>");
    await juliet.ask("<iq type='get'><query xmlns='jabber:iq:roster'/></iq>");
    await juliet.ask("<iq type='get'><blocklist xmlns='urn:xmpp:blocking'/></iq>");
    await restart(juliet);
    const garden = await host.online('juliet', 'garden');
    romeo.send(chat(garden.jid, 'for garden'));
    await garden.ask("<iq type='set'><query xmlns='jabber:iq:roster'><item jid='nurse@example.org'/></query></iq>");
    await garden.ask("<iq type='set'><block xmlns='urn:xmpp:blocking'><item jid='paris@example.org'/></block></iq>");
    await juliet.resume();
    await settle();
    const got = juliet.take().flatMap((stanza) => stanza.getChildElements().map(({ name }) => name));
    for (const name of ['received', 'query', 'block']) assert.equal(got.filter((other) => other === name).length, 1, name);
  });

  it('with what was held back while nobody looked', async () => {
    const juliet = await online('balcony');
    juliet.send("<inactive xmlns='urn:xmpp:csi:0'/>");
    const far = new Elsewhere(host, 'example.net');
    for (const show of ['away', 'dnd'])
      await far.send(`<presence from='nurse@example.net/x' to='${juliet.jid}'><show>${show}</show></presence>`);
    await juliet.quiet();
    juliet.cut();
    await restart(juliet);
    await juliet.resume();
    await settle();
    assert.deepEqual(
      juliet.take().map((stanza) => stanza.getChildText('show')),
      ['dnd'],
    );
  });

  it('but not those that could not be resumed, or are over', async () => {
    const balcony = await SmClient.bind(host, 'juliet', { resource: 'balcony' });
    await balcony.enable('');
    const garden = await SmClient.managed(host, 'juliet', { resource: 'garden' });
    garden.leave();
    const tomb = await SmClient.managed(host, 'juliet', { resource: 'tomb' });
    tomb.cut();
    tomb.session.close();
    await restart(garden, tomb);
    assert.deepEqual(host.host.router.resources(JULIET), []);
    for (const client of [garden, tomb]) assert.equal(conditionOf(await client.resume()), 'item-not-found');
  });

  it('once: what was taken up is not kept any longer', async () => {
    const juliet = await online('balcony');
    await restart(juliet);
    await crash(juliet);
    assert.equal(conditionOf(await juliet.resume()), 'item-not-found');
    assert.deepEqual(host.host.router.resources(JULIET), []);
  });

  it('and no longer than they would have otherwise', async () => {
    config = { resumeWithin: '1s' };
    await restart();
    const juliet = await online('balcony');
    await restart(juliet);
    const [session] = host.host.router.resources(JULIET);
    assert.equal(session?.jid.resource, 'balcony');
    await new Promise<void>((resolve) => host.host.signals.sessionClosed.add(() => resolve()));
    assert.deepEqual(host.host.router.resources(JULIET), []);
    assert.equal(conditionOf(await juliet.resume()), 'item-not-found');
  });

  it('and give way to a client that binds their resource', async () => {
    const juliet = await online('balcony');
    await say('one');
    await restart(juliet);
    const again = await SmClient.managed(host, 'juliet', { resource: 'balcony' });
    again.send('<presence/>');
    assert.deepEqual(await again.bodies(), ['one']);
    assert.equal(conditionOf(await juliet.resume()), 'item-not-found');
  });

  it('and not that of their account', async () => {
    const juliet = await online('balcony');
    await host.stop();
    await disk.mount().erase('example.org', 'juliet');
    await start();
    juliet.host = host;
    assert.equal(conditionOf(await juliet.resume()), 'item-not-found');
  });
});

for (const [where, which] of [
  ['in the archive', ALL],
  ['where there is no archive', WITHOUT_ARCHIVE],
] as const) {
  describe(`sm: messages on their way while the server is restarted, ${where}`, () => {
    beforeEach(() => begin(which));
    afterEach(end);

    it('are given to nobody else while their client may come back, and then never again', async () => {
      const juliet = await online('balcony');
      await say('one', 'two');
      await restart(juliet);
      assert.deepEqual(await arrive(), []);
      await juliet.resume({ h: juliet.h - 2 });
      juliet.ack();
      juliet.leave();
      assert.deepEqual(await arrive(), []);
      await restart();
      assert.deepEqual(await arrive(), []);
    });

    it('go to another client, once, when it does not', async () => {
      const juliet = await online('balcony');
      await say('one', 'two');
      juliet.ack(juliet.h - 1);
      await restart(juliet);
      const garden = await host.online('juliet', 'garden');
      host.host.router.resource(Jid.parse(`${JULIET}/balcony`))!.replace();
      await settle();
      assert.deepEqual(bodiesOf(garden), ['two']);
      assert.deepEqual(await arrive(), []);
    });

    it('go to another client that has been resumed as well', async () => {
      const juliet = await online('balcony');
      const garden = await online('garden');
      romeo.send(chat(juliet.jid, 'for the balcony'));
      await settle();
      await restart(juliet, garden);
      await garden.resume();
      host.host.router.resource(Jid.parse(`${JULIET}/balcony`))!.replace();
      assert.deepEqual(await garden.bodies(), ['for the balcony']);
    });

    it('do not go to another that had them too, and wait until both are gone', async () => {
      const balcony = await online('balcony');
      const garden = await online('garden');
      await say('one');
      await restart(balcony, garden);
      const late = await host.login('juliet', 'late');
      late.send('<presence/>');
      host.host.router.resource(Jid.parse(`${JULIET}/balcony`))!.replace();
      await settle();
      assert.deepEqual(bodiesOf(late), []);
      host.host.router.resource(Jid.parse(`${JULIET}/garden`))!.replace();
      await settle();
      assert.deepEqual(bodiesOf(late), ['one']);
      assert.deepEqual(await arrive('later'), []);
    });

    it('do not come again when another has confirmed them', async () => {
      const balcony = await online('balcony');
      const garden = await online('garden');
      await say('one');
      garden.ack();
      await settle();
      await restart(balcony, garden);
      host.host.router.resource(Jid.parse(`${JULIET}/balcony`))!.replace();
      await garden.resume();
      garden.leave();
      assert.deepEqual(await arrive(), []);
    });

    it('come again after a crash when they were not confirmed', async () => {
      const juliet = await online('balcony');
      await say('one', 'two');
      juliet.ack(juliet.h - 1);
      assert.equal(
        (await juliet.ask("<iq type='get' to='example.org'><ping xmlns='urn:xmpp:ping'/></iq>")).attrs['type'],
        'result',
      );
      await crash(juliet);
      assert.deepEqual(await arrive(), ['two']);
      assert.deepEqual(await arrive(), []);
    });

    it('do not when what was said behind the confirmation has been answered', async () => {
      const juliet = await online('balcony');
      for (let i = 0; i < 5; i++) {
        await say(`one ${i}`, `two ${i}`);
        juliet.ack();
        await juliet.ask("<iq type='get' to='example.org'><ping xmlns='urn:xmpp:ping'/></iq>");
      }
      await crash(juliet);
      assert.deepEqual(await arrive(), []);
    });

    it('come once after several crashes', async () => {
      const juliet = await online('balcony');
      await say('one');
      for (let i = 0; i < 3; i++) await crash(juliet);
      assert.deepEqual(await arrive(), ['one']);
      assert.deepEqual(await arrive(), []);
    });
  });
}

describe('sm: damaged sessions', () => {
  beforeEach(() => begin());
  afterEach(end);

  const GOOD = { resource: 'x', patience: 60_000, handled: 1, acked: 1, carbons: false, queue: [], slots: {} };

  for (const [what, row] of [
    ['that are nothing', null],
    ['that are a number', 5],
    ['without a resource', { ...GOOD, resource: undefined }],
    ['with an empty resource', { ...GOOD, resource: '' }],
    ['with a resource that is none', { ...GOOD, resource: 7 }],
    ['without a queue', { ...GOOD, queue: undefined }],
    ['with a queue of something else', { ...GOOD, queue: [1, null, 'x'] }],
    ['with a stanza that cannot be read', { ...GOOD, queue: [["<message xmlns='jabber:client'"]] }],
    ['with a stanza that is nothing', { ...GOOD, queue: [['']] }],
    ['with presence that cannot be read', { ...GOOD, presence: '<presence' }],
    ['with counts that are none', { ...GOOD, handled: 'many', acked: null }],
    ['without patience', { ...GOOD, patience: undefined }],
    ['with slots that are none', { ...GOOD, slots: { 'presence 0': 5, 'roster 0': 'x', 'last 0': {} } }],
    ['without slots', { ...GOOD, slots: undefined }],
  ] as const) {
    it(`${what} are left out, and nothing of them stays`, async () => {
      const juliet = await online('balcony');
      await host.stop();
      await (await store()).update('juliet', new Map([['damaged', row as unknown as Parked]]));
      host = await startHost(modules, { storage: disk.mount(), log: silent });
      juliet.host = host;
      assert.deepEqual(
        host.host.router.resources(JULIET).map(({ jid }) => jid.resource),
        ['balcony'],
      );
      assert.equal((await juliet.resume()).name, 'resumed');
      const other = await SmClient.connect(host, 'juliet');
      other.send("<resume xmlns='urn:xmpp:sm:3' previd='damaged' h='0'/>");
      assert.equal(conditionOf(await other.element('failed')), 'item-not-found');
    });
  }
});

describe('sm: while modules are restarted', () => {
  beforeEach(() => begin());
  afterEach(end);

  for (const name of ['sm', 'offline', 'presence', 'csi', 'roster', 'mam']) {
    it(`sessions go on, and lose nothing (${name})`, async () => {
      const open = await online('open');
      const broken = await online('broken');
      await say('one');
      broken.cut();
      await host.modules.restart(name);
      await say('two');
      assert.deepEqual(await open.bodies(), ['one', 'two']);
      assert.equal(await open.request(), 1);
      open.ack();
      await broken.resume({ h: broken.h - 1 });
      assert.deepEqual(await broken.bodies(), ['one', 'one', 'two']);
      broken.ack();
      open.cut();
      assert.equal((await open.resume()).name, 'resumed');
      open.leave();
      broken.leave();
      assert.deepEqual(await arrive(), []);
    });
  }

  for (const name of ['sm', 'offline', 'mam']) {
    it(`what is on its way is given to nobody else (${name})`, async () => {
      const balcony = await online('balcony');
      const garden = await online('garden');
      await say('one');
      romeo.send(chat(JULIET, 'two', "<no-permanent-store xmlns='urn:xmpp:hints'/>"));
      await settle();
      balcony.cut();
      garden.cut();
      for (let i = 0; i < 2; i++) await host.modules.restart(name);
      const late = await host.login('juliet', 'late');
      late.send('<presence/>');
      await settle();
      assert.deepEqual(bodiesOf(late), []);
      balcony.session.replace();
      await settle();
      assert.deepEqual(bodiesOf(late), []);
      garden.session.replace();
      await settle();
      assert.deepEqual(bodiesOf(late), ['one', 'two']);
      assert.deepEqual(await arrive('later'), []);
    });
  }

  it('a session that ends meanwhile is over', async () => {
    await host.stop();
    const maps = new SlowWrites(disk.mount());
    host = await startHost([sm, presence, roster], { storage: maps.storage });
    const juliet = await online('balcony');
    juliet.cut();
    maps.hold();
    const restarted = host.modules.restart('sm');
    await settle();
    juliet.session.replace();
    maps.release();
    await restarted;
    assert.deepEqual(host.host.router.resources(JULIET), []);
    assert.equal(conditionOf(await juliet.resume()), 'item-not-found');
  });

  it('clients may go on asking and confirming', async () => {
    const juliet = await online('balcony');
    await say('one');
    juliet.takeElements();
    const restarted = host.modules.restart('roster');
    for (let i = 0; i < 50; i++) {
      juliet.ack();
      juliet.send("<r xmlns='urn:xmpp:sm:3'/>");
      await new Promise((resolve) => setImmediate(resolve));
    }
    await restarted;
    await settle();
    assert.equal(juliet.isConnected, true, String(juliet.takeElements()));
    assert.equal(
      juliet.takeElements().some(({ name }) => name === 'failed'),
      false,
    );
    juliet.leave();
    assert.deepEqual(await arrive(), []);
  });

  it('another config is taken up by sessions that wait already', async () => {
    const juliet = await online('balcony');
    juliet.cut();
    const { modules: running } = host;
    await running.apply(
      modules.map((module) => ({ module, config: module.config.parse(module.name === 'sm' ? { maxStanzas: 100 } : {}, '') })),
    );
    for (let i = 0; i < 101; i++) romeo.send(`<presence to='${juliet.jid}' id='${i}' type='unavailable'/>`);
    await settle();
    // Held back by csi: only the last of each sender counts.
    assert.equal(juliet.session.isClosed, false);
    for (let i = 0; i < 101; i++) await say(String(i));
    assert.equal(juliet.session.isClosed, true);
  });
});

/** Each may see the other's presence. */
async function befriend(juliet: SmClient): Promise<void> {
  juliet.send("<presence type='subscribe' to='romeo@example.org'/>");
  romeo.send(`<presence type='subscribed' to='${JULIET}'/>`);
  romeo.send(`<presence type='subscribe' to='${JULIET}'/>`);
  juliet.send("<presence type='subscribed' to='romeo@example.org'/>");
  await settle();
  juliet.take();
  romeo.take();
}
