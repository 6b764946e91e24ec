import assert from 'node:assert/strict';
import presence from '../../../modules/presence/index.ts';
import roster from '../../../modules/roster/index.ts';
import { Roster, type RosterParts, type StoredRoster } from '../../../modules/roster/roster.ts';
import { Rosters } from '../../../modules/roster/rosters.ts';
import { subscribe } from '../../support/answers.ts';
import { settle } from '../../support/probe.ts';
import { startHost } from '../../support/start-host.ts';

describe('rosters in memory', () => {
  let loads: string[];
  let fails: boolean;
  let release: () => void;
  const gate = () => new Promise<void>((resolve) => (release = resolve));
  let writing: Promise<void> | undefined;

  beforeEach(() => {
    loads = [];
    fails = false;
    writing = undefined;
  });

  function open(max: number, online: readonly string[] = []): Rosters {
    const parts: RosterParts = {
      store: {
        get: () => Promise.resolve(undefined),
        entries: () => Promise.resolve(new Map<string, StoredRoster>()),
        update: () => writing ?? Promise.resolve(),
        insert: () => Promise.resolve(true),
        clear: () => Promise.resolve(),
        owners: () => Promise.resolve([]),
        scan: () => Promise.resolve([]),
      },
      limits: { maxContacts: 10, maxRequests: 10 },
      push() {},
    };
    const load = (username: string) => {
      loads.push(username);
      return fails ? Promise.reject(new Error('the disk is gone')) : Roster.load(username, parts);
    };
    return new Rosters(max, load, (username) => online.includes(username));
  }

  it('are read once, and then there at once', async () => {
    const rosters = open(10);
    const [one, two] = await Promise.all([rosters.get('juliet'), rosters.get('juliet')]);
    assert.equal(one, two);
    assert.equal(rosters.get('juliet'), one);
    assert.deepEqual(loads, ['juliet']);
  });

  it('are read again when that has failed', async () => {
    const rosters = open(10);
    fails = true;
    await assert.rejects(async () => rosters.get('juliet'));
    fails = false;
    await rosters.get('juliet');
    assert.equal(loads.length, 2);
  });

  it('are forgotten, the oldest first, but for those of accounts that are online', async () => {
    const rosters = open(3, ['a', 'b']);
    for (const name of ['a', 'b', 'c', 'd', 'e', 'f']) await rosters.get(name);
    for (const name of ['a', 'b', 'f']) assert(!(rosters.get(name) instanceof Promise), name);
    for (const name of ['c', 'd', 'e']) assert(rosters.get(name) instanceof Promise, name);
  });

  it('of accounts that are online stay, however many they are', async () => {
    const online = Array.from({ length: 50 }, (_, i) => `u${i}`);
    const rosters = open(3, online);
    for (const name of online) await rosters.get(name);
    assert(online.every((name) => !(rosters.get(name) instanceof Promise)));
  });

  it('that are being edited stay, so that none has two writers', async () => {
    const rosters = open(1);
    const juliet = await rosters.get('juliet');
    writing = gate();
    const change = juliet.change('romeo@example.net', (contact) => contact.named('Romeo', []));
    for (const name of ['a', 'b', 'c']) await rosters.get(name);
    assert.equal(await rosters.get('juliet'), juliet);
    release();
    await change;
    await settle();
    await rosters.get('d');
    assert.notEqual(await rosters.get('juliet'), juliet);
  });
});

describe('rosters and presence after a reload of their modules', () => {
  it('know still who is interested, who is announced, and who can see whom', async () => {
    const host = await startHost([roster, presence]);
    const [juliet, romeo] = [await host.online('juliet', 'balcony'), await host.online('romeo', 'orchard')];
    await juliet.ask("<iq type='get'><query xmlns='jabber:iq:roster'/></iq>");
    await subscribe(romeo, juliet);
    juliet.send("<presence to='nurse@example.org/kitchen'/>");
    await host.modules.apply([
      { module: roster, config: roster.config.parse({ maxContacts: 5 }, 'modules.roster') },
      { module: presence, config: presence.config.parse({}, 'modules.presence') },
    ]);
    await juliet.ask("<iq type='set'><query xmlns='jabber:iq:roster'><item jid='a@example.net'/></query></iq>");
    assert.equal((await juliet.receive('iq')).attrs['type'], 'set');
    juliet.drop();
    assert.equal((await romeo.receive('presence')).attrs['type'], 'unavailable');
    await host.stop();
  });
});
