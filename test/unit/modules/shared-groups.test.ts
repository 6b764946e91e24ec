import assert from 'node:assert/strict';
import type { Element } from 'ltx';
import blocking from '../../../modules/blocking/index.ts';
import presence from '../../../modules/presence/index.ts';
import roster from '../../../modules/roster/index.ts';
import sharedGroups from '../../../modules/shared-groups/index.ts';
import { silent } from '../../../src/log.ts';
import { openStorage } from '../../../src/storage/open.ts';
import { conditionOf, payloadOf, subscribe } from '../../support/answers.ts';
import { type Probe, settle } from '../../support/probe.ts';
import { startHost, type TestHost } from '../../support/start-host.ts';

const NS = 'jabber:iq:roster';
const MODULES = [roster, presence, blocking, sharedGroups];
const STAFF = { name: 'Staff', members: ['alice', 'bob'] };

const item = ({ attrs, children }: Element): string =>
  `${attrs['jid']} ${attrs['subscription']}${attrs['ask'] ? ' ask' : ''} ${attrs['name'] ?? '-'} ${(children as Element[])
    .map((group) => group.text())
    .join(',')}`.trim();
const itemsOf = async (probe: Probe, ver?: string) => {
  const answer = await probe.ask(`<iq type='get'><query xmlns='${NS}'${ver === undefined ? '' : ` ver='${ver}'`}/></iq>`);
  return (answer.getChild('query', NS)?.getChildren('item') ?? []).map(item).sort();
};
const versionOf = async (probe: Probe) =>
  String(payloadOf(await probe.ask(`<iq type='get'><query xmlns='${NS}' ver=''/></iq>`)).attrs['ver']);
const edit = (jid: string, more = '', children = '') =>
  `<iq type='set'><query xmlns='${NS}'><item jid='${jid}' ${more}>${children}</item></query></iq>`;
/** Presence that has come, each kind once. */
const heard = async (probe: Probe) => {
  await settle();
  const lines = probe
    .take()
    .filter(({ name }) => name === 'presence')
    .map(({ attrs }) => `${attrs['from']} ${attrs['type'] ?? 'available'}`);
  return [...new Set(lines)].sort();
};
const pushed = async (probe: Probe) => {
  await settle();
  return probe.take().flatMap((stanza) => (stanza.getChild('query', NS)?.getChildren('item') ?? []).map(item));
};

describe('shared groups', () => {
  let host: TestHost;
  const start = async (groups: readonly unknown[], accounts = ['alice', 'bob', 'carol'], more = {}) => {
    host = await startHost(MODULES.slice(0, 3));
    for (const username of accounts) await host.host.accounts.create(username, 'secret');
    await regroup(groups, more);
  };
  /** As a reload of the config does it. */
  const regroup = (groups: readonly unknown[], more = {}) =>
    host.modules.apply(
      MODULES.map((module) => ({
        module,
        config: module.config.parse(module === sharedGroups ? { groups, ...more } : {}, module.name),
      })),
    );
  afterEach(() => host.stop());

  it('make contacts of their members, and of nobody else', async () => {
    await start([STAFF]);
    assert.deepEqual(await itemsOf(await host.login('alice')), ['bob@example.org both - Staff']);
    assert.deepEqual(await itemsOf(await host.login('bob')), ['alice@example.org both - Staff']);
    assert.deepEqual(await itemsOf(await host.login('carol')), []);
  });

  it('let presence flow between members as subscriptions do', async () => {
    await start([STAFF]);
    const alice = await host.online('alice', 'a');
    const bob = await host.login('bob', 'b');
    bob.send('<presence/>');
    assert.deepEqual(await heard(bob), ['alice@example.org/a available', 'bob@example.org/b available']);
    assert.deepEqual(await heard(alice), ['bob@example.org/b available']);
    bob.leave();
    assert.deepEqual(await heard(alice), ['bob@example.org/b unavailable']);
    alice.send(`<presence type='probe' to='bob@example.org'/>`);
    assert.deepEqual(await heard(alice), ['bob@example.org unavailable']);
  });

  it('cannot be left: a contact of a group is not removed', async () => {
    await start([STAFF]);
    const alice = await host.online('alice');
    const answer = await alice.ask(edit('bob@example.org', `subscription='remove'`));
    assert.equal(conditionOf(answer), 'not-allowed');
    for (const type of ['unsubscribe', 'unsubscribed']) alice.send(`<presence to='bob@example.org' type='${type}'/>`);
    await settle();
    assert.deepEqual(await itemsOf(alice), ['bob@example.org both - Staff']);
    const bob = await host.online('bob');
    assert.deepEqual(await itemsOf(bob), ['alice@example.org both - Staff']);
  });

  it('take names and further groups of their own from users, and keep them while there is a group', async () => {
    await start([STAFF]);
    const alice = await host.online('alice');
    await itemsOf(alice);
    await alice.ask(edit('bob@example.org', `name='Bobby'`, '<group>Staff</group><group>Friends</group>'));
    assert.deepEqual(await pushed(alice), ['bob@example.org both Bobby Staff,Friends']);
    await alice.ask(edit('bob@example.org', `name='Bob'`, '<group>Friends</group>'));
    assert.deepEqual(await pushed(alice), ['bob@example.org both Bob Staff,Friends']);
    await regroup([{ ...STAFF, name: 'Crew' }]);
    assert.deepEqual(await pushed(alice), ['bob@example.org both Bob Crew,Friends']);
    await regroup([]);
    assert.deepEqual(await pushed(alice), ['bob@example.org remove -']);
    assert.deepEqual(await itemsOf(alice), []);
    await regroup([STAFF]);
    assert.deepEqual(await pushed(alice), ['bob@example.org both Bob Staff,Friends']);
  });

  it('are merged where two members share several, and with what users have made themselves', async () => {
    await start([]);
    const alice = await host.online('alice');
    await alice.ask(edit('bob@example.org', '', '<group>Staff</group>'));
    await regroup([STAFF, { name: 'Team', members: ['bob', 'alice'] }, STAFF]);
    assert.deepEqual(await itemsOf(alice), ['bob@example.org both - Staff,Team']);
    await regroup([]);
    assert.deepEqual(await itemsOf(alice), ['bob@example.org none - Staff'], 'what was there before is there again');
  });

  it('leave subscriptions alone that users have made, before or meanwhile', async () => {
    await start([]);
    const alice = await host.online('alice', 'a');
    const bob = await host.online('bob', 'b');
    const carol = await host.online('carol', 'c');
    await subscribe(alice, bob);
    await regroup([{ name: 'Staff', members: ['alice', 'bob', 'carol'] }]);
    await settle();
    carol.send(`<presence to='alice@example.org' type='subscribe'/>`);
    await settle();
    alice.send(`<presence to='carol@example.org' type='subscribed'/>`);
    await settle();
    for (const probe of [alice, bob, carol]) probe.take();
    await regroup([]);
    assert.deepEqual(await itemsOf(alice), ['bob@example.org to -', 'carol@example.org from -']);
    assert.deepEqual(await itemsOf(carol), ['alice@example.org to -']);
    await settle();
    for (const probe of [alice, bob, carol]) probe.take();
    alice.send('<presence><status>new</status></presence>');
    assert.deepEqual(await heard(carol), ['alice@example.org/a available']);
    assert.deepEqual(await heard(bob), []);
  });

  it('that change tell clients, and only what has changed', async () => {
    await start([STAFF]);
    const alice = await host.online('alice', 'a');
    const bob = await host.online('bob', 'b');
    const carol = await host.online('carol', 'c');
    for (const probe of [alice, bob, carol]) await itemsOf(probe);
    for (const probe of [alice, bob, carol]) probe.take();
    await regroup([{ name: 'Staff', members: ['alice', 'carol', 'nobody'] }]);
    await settle();
    const seen = alice.take();
    assert.deepEqual(
      seen.filter(({ name }) => name === 'iq').map((iq) => item(iq.getChild('query')!.getChild('item')!)),
      ['bob@example.org remove -', 'carol@example.org both - Staff'],
    );
    assert.deepEqual(
      seen
        .filter(({ name }) => name === 'presence')
        .map(({ attrs }) => `${attrs['from']} ${attrs['type'] ?? 'available'}`)
        .sort(),
      ['bob@example.org/b unavailable', 'carol@example.org/c available'],
    );
    assert.deepEqual(await heard(bob), ['alice@example.org/a unavailable']);
    assert.deepEqual(await heard(carol), ['alice@example.org/a available']);
    await regroup([{ name: 'Staff', members: ['alice', 'carol', 'nobody'] }], { maxMembers: 5 });
    await settle();
    for (const probe of [alice, bob, carol]) assert.deepEqual(probe.take().map(String), [], 'nothing has changed');
  });

  it('keep roster versions right, for clients that were away while groups changed', async () => {
    await start([STAFF]);
    const alice = await host.online('alice');
    for (const jid of ['x@example.net', 'y@example.net']) await alice.ask(edit(jid));
    const ver = await versionOf(alice);
    alice.leave();
    await settle();
    await regroup([{ name: 'Staff', members: ['alice', 'carol'] }]);
    const again = await host.online('alice');
    assert.equal((await again.ask(`<iq type='get'><query xmlns='${NS}' ver='${ver}'/></iq>`)).getChildElements().length, 0);
    await settle();
    assert.deepEqual(await pushed(again), ['bob@example.org remove -', 'carol@example.org both - Staff']);
    assert.notEqual(await versionOf(again), ver);
  });

  it('keep them right when more go at once than removals are remembered', async () => {
    const members = Array.from({ length: 130 }, (_, i) => `user${i}`);
    await start([{ name: 'Crowd', members: ['alice', ...members] }], ['alice', ...members]);
    const alice = await host.online('alice');
    for (const jid of ['x@example.net', 'y@example.net']) await alice.ask(edit(jid));
    const ver = await versionOf(alice);
    const away = await host.online('alice', 'away');
    assert.equal((await itemsOf(away, ver)).length, 0);
    await regroup([]);
    const told = await pushed(away);
    assert.equal(new Set(told).size, 130);
    assert.deepEqual(await itemsOf(await host.online('alice', 'late'), ver), ['x@example.net none -', 'y@example.net none -']);
    await alice.ask(edit('z@example.net'));
    assert.equal((await itemsOf(alice)).length, 3);
  });

  it('keep them right over a restart with another config', async () => {
    const storage = await openStorage({ type: 'memory' }, silent);
    const lasting = new Proxy(storage, { get: (at, name) => (name === 'close' ? async () => {} : bindTo(at, name)) });
    const boot = async (groups: readonly unknown[]) => {
      host = await startHost(MODULES, { storage: lasting, modules: { 'shared-groups': { groups } } });
      for (const username of ['alice', 'bob', 'carol']) {
        await host.host.accounts.create(username, 'secret');
        host.host.signals.accountCreated.emit({ username });
      }
      await settle();
      return host.online('alice');
    };
    const first = await boot([STAFF]);
    for (const jid of ['x@example.net', 'y@example.net']) await first.ask(edit(jid));
    const ver = await versionOf(first);
    await host.stop();
    const same = await boot([STAFF]);
    assert.equal(await versionOf(same), ver, 'nothing has changed');
    await host.stop();
    const alice = await boot([{ name: 'Staff', members: ['alice', 'carol'] }]);
    assert.deepEqual(await itemsOf(alice, ver), []);
    await settle();
    assert.deepEqual(await pushed(alice), ['bob@example.org remove -', 'carol@example.org both - Staff']);
    await host.stop();
    await storage.close();
    host = await startHost([roster]);
  });

  it('take back what they gave when the module is switched off', async () => {
    await start([STAFF]);
    const alice = await host.online('alice');
    await itemsOf(alice);
    await host.modules.apply([roster, presence].map((module) => ({ module, config: module.config.parse({}, module.name) })));
    const again = await host.login('alice');
    await itemsOf(again);
    assert.equal(item((await again.receive('iq')).getChild('query')!.getChild('item')!), 'bob@example.org remove -');
  });

  it('of all accounts take in those who come, and let go those who leave', async () => {
    await start([{ name: 'Everybody', all: true }], ['alice', 'bob']);
    const alice = await host.online('alice', 'a');
    await itemsOf(alice);
    await host.host.accounts.create('dora', 'secret');
    host.host.signals.accountCreated.emit({ username: 'dora' });
    assert.deepEqual(await pushed(alice), ['dora@example.org both - Everybody']);
    const dora = await host.online('dora', 'd');
    assert.deepEqual(await heard(alice), ['dora@example.org/d available']);
    await host.host.accounts.delete('dora');
    dora.drop();
    assert.deepEqual(await pushed(alice), ['dora@example.org remove -']);
    assert.deepEqual(await itemsOf(alice), ['bob@example.org both - Everybody']);
    const guest = await host.loginAsGuest();
    assert.deepEqual(await itemsOf(guest), [], 'guests are nobody of the host');
  });

  it('of too many members are left out, and come when they are few enough', async () => {
    await start([{ name: 'Everybody', all: true }], ['alice', 'bob', 'carol'], { maxMembers: 2 });
    const alice = await host.online('alice');
    assert.deepEqual(await itemsOf(alice), []);
    await host.host.accounts.delete('carol');
    assert.deepEqual(await pushed(alice), ['bob@example.org both - Everybody']);
  });

  it('do not count against the size of a roster, and its own contacts do', async () => {
    host = await startHost(MODULES, { modules: { roster: { maxContacts: 1 }, 'shared-groups': { groups: [STAFF] } } });
    for (const username of ['alice', 'bob']) {
      await host.host.accounts.create(username, 'secret');
      host.host.signals.accountCreated.emit({ username });
    }
    const alice = await host.online('alice');
    assert.equal((await alice.ask(edit('x@example.net'))).attrs['type'], 'result');
    assert.equal(conditionOf(await alice.ask(edit('y@example.net'))), 'resource-constraint');
    assert.deepEqual(await itemsOf(alice), ['bob@example.org both - Staff', 'x@example.net none -']);
  });

  it('name members as RFC 7622 has usernames', () => {
    const parse = (members: readonly string[]) => sharedGroups.config.parse({ groups: [{ name: 'x', members }] }, 'modules.x');
    assert.deepEqual(parse(['Alice']).groups[0]!.members, ['alice']);
    assert.throws(() => parse(['alice@example.org']), /a username such as juliet/);
  });

  describe('that all accounts see', () => {
    const HELP = { name: 'Help', members: ['alice', 'bob'], seenBy: 'all' };
    /** Without those of Carol herself, and of Bob, who is away. */
    const presences = async (probe: Probe) => (await heard(probe)).filter((line) => !/^(carol|bob)@/.test(line));

    it('show their members to the others, and not the others to them', async () => {
      await start([HELP]);
      const alice = await host.online('alice', 'a');
      const carol = await host.login('carol', 'c');
      carol.send('<presence/>');
      assert.deepEqual(await presences(carol), ['alice@example.org/a available']);
      assert.deepEqual(await itemsOf(carol), ['alice@example.org to - Help', 'bob@example.org to - Help']);
      assert.deepEqual(await itemsOf(alice), ['bob@example.org both - Help']);
      assert.deepEqual(await heard(alice), []);
      alice.send('<presence><show>away</show></presence>');
      assert.deepEqual(await presences(carol), ['alice@example.org/a available']);
      alice.send(`<presence type='unavailable'/>`);
      assert.deepEqual(await presences(carol), ['alice@example.org/a unavailable']);
    });

    it('that come and go on a reload show and hide their members', async () => {
      await start([]);
      const alice = await host.online('alice', 'a');
      const carol = await host.online('carol', 'c');
      await regroup([HELP]);
      assert.deepEqual(await presences(carol), ['alice@example.org/a available']);
      await regroup([]);
      assert.deepEqual(await heard(carol), ['alice@example.org/a unavailable']);
      assert.deepEqual(await heard(alice), []);
      alice.send('<presence/>');
      assert.deepEqual(await heard(carol), []);
    });

    it('hide them from whoever they have blocked', async () => {
      await start([HELP]);
      const alice = await host.online('alice', 'a');
      const carol = await host.online('carol', 'c');
      await alice.ask(`<iq type='set'><block xmlns='urn:xmpp:blocking'><item jid='carol@example.org'/></block></iq>`);
      assert.deepEqual(await heard(carol), ['alice@example.org/a unavailable']);
      alice.send('<presence/>');
      assert.deepEqual(await heard(carol), []);
      await alice.ask(`<iq type='set'><unblock xmlns='urn:xmpp:blocking'/></iq>`);
      assert.deepEqual(await heard(carol), ['alice@example.org/a available']);
    });

    it('are not seen by guests, nor by other domains', async () => {
      await start([HELP]);
      await host.online('alice', 'a');
      const guest = await host.loginAsGuest();
      guest.send(`<presence type='probe' to='alice@example.org'/>`);
      assert.deepEqual(await heard(guest), []);
      assert.deepEqual(await itemsOf(guest), []);
    });
  });
});

function bindTo(at: object, name: string | symbol): unknown {
  const value: unknown = Reflect.get(at, name, at);
  return typeof value === 'function' ? value.bind(at) : value;
}
