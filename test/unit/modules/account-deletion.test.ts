import assert from 'node:assert/strict';
import type { Element } from 'ltx';
import presence from '../../../modules/presence/index.ts';
import roster from '../../../modules/roster/index.ts';
import { type AnyModule, defineModule, option, Priority } from '../../../src/index.ts';
import { type Log, silent } from '../../../src/log.ts';
import { openStorage } from '../../../src/storage/open.ts';
import { mapStore, type Storage } from '../../../src/storage/storage.ts';
import { payloadOf, subscribe } from '../../support/answers.ts';
import { Elsewhere } from '../../support/elsewhere.ts';
import { type Probe, settle } from '../../support/probe.ts';
import { startHost, type TestHost } from '../../support/start-host.ts';

const JULIET = 'juliet@example.org';
const MERCUTIO = 'mercutio@elsewhere.example';

/** Presence as who sends what. */
function types(stanzas: readonly Element[]): string[] {
  return stanzas.filter(({ name }) => name === 'presence').map(({ attrs }) => `${attrs['from']} ${attrs['type']}`);
}

/** A module that does this before an account is erased. */
function leaving(act: (username: string, isKept: () => Promise<boolean>) => Promise<void>): AnyModule {
  return defineModule({
    name: 'leaving',
    doc: 'For tests.',
    config: option.object({}),
    stores: { notes: mapStore<string>() },
    setup({ hooks, on, signals, stores: { notes } }) {
      const isKept = async (username: string) => (await notes.get(username, 'a')) !== undefined;
      on(signals.sessionBound, ({ jid }) => notes.update(jid.local, new Map([['a', 'b']])));
      on(hooks.accountDeleting, ({ username }) => act(username, () => isKept(username)), Priority.serve);
    },
  });
}

describe('an account that is deleted', () => {
  let host: TestHost;
  let there: Elsewhere;
  let storage: Storage;

  /** Another process of the same server, as far as memory goes: nothing is left of what was cached. */
  async function restart(): Promise<void> {
    const kept = new Proxy(storage, {
      get: (target, name) => {
        if (name === 'close') return async () => {};
        const value: unknown = Reflect.get(target, name, target);
        return typeof value === 'function' ? value.bind(target) : value;
      },
    });
    await host?.stop();
    host = await startHost([roster, presence], { storage: kept });
    there = new Elsewhere(host, 'elsewhere.example');
  }

  async function items(probe: Probe): Promise<string[]> {
    const query = payloadOf(await probe.ask("<iq type='get'><query xmlns='jabber:iq:roster'/></iq>"));
    return query.getChildren('item').map(({ attrs }) => `${attrs['jid']} ${attrs['subscription']} ${attrs['ask'] ?? ''}`.trim());
  }

  describe('with contacts', () => {
    beforeEach(async () => {
      storage = await openStorage({ type: 'memory' }, silent);
      await restart();
    });
    afterEach(async () => {
      await host.stop();
      await storage.close();
    });

    it('ends its subscriptions in both directions, also when it has not been online since the start (XEP-0077 section 3.2)', async () => {
      const juliet = await host.online('juliet', 'balcony');
      const romeo = await host.online('romeo', 'orchard');
      await subscribe(romeo, juliet);
      await subscribe(juliet, romeo);
      juliet.send(`<presence type='subscribe' to='${MERCUTIO}'/>`);
      await settle();
      await restart();
      for (const name of ['juliet', 'romeo']) await host.host.accounts.create(name, 'secret');
      const again = await host.online('romeo', 'orchard');
      await there.take();
      await host.host.accounts.delete('juliet');
      await settle();
      assert.deepEqual(await items(again), [`${JULIET} none`]);
      assert.deepEqual(types(await there.take()), [`${JULIET} unsubscribe`]);
    });

    it('refuses those whose request waits for an answer', async () => {
      await host.host.accounts.create('juliet', 'secret');
      const romeo = await host.online('romeo', 'orchard');
      romeo.send(`<presence type='subscribe' to='${JULIET}'/>`);
      await settle();
      assert.deepEqual(await items(romeo), [`${JULIET} none subscribe`]);
      await host.host.accounts.delete('juliet');
      await settle();
      assert.deepEqual(await items(romeo), [`${JULIET} none`]);
    });

    it('tells each contact once, and first that its clients are gone (RFC 6121 section 3.2.1)', async () => {
      const juliet = await host.online('juliet', 'balcony');
      await there.send(`<presence type='subscribe' from='${MERCUTIO}' to='${JULIET}'/>`);
      juliet.send(`<presence type='subscribed' to='${MERCUTIO}'/>`);
      juliet.send(`<presence type='subscribe' to='${MERCUTIO}'/>`);
      await settle();
      await there.send(`<presence type='subscribed' from='${MERCUTIO}' to='${JULIET}'/>`);
      await there.take();
      await host.host.accounts.delete('juliet');
      await settle();
      assert.deepEqual(types(await there.take()), [
        `${JULIET} unsubscribe`,
        `${JULIET}/balcony unavailable`,
        `${JULIET} unsubscribed`,
      ]);
      juliet.drop();
      await settle();
      assert.deepEqual(types(await there.take()), []);
    });
  });

  it('is erased when all handlers of accountDeleting are done, which still find everything', async () => {
    const seen: string[] = [];
    const module = leaving(async (username, isKept) => {
      await settle();
      seen.push(`${username} ${await isKept()} ${await host.host.accounts.exists(username)}`);
    });
    host = await startHost([module]);
    host.host.signals.accountDeleted.add(({ username }) => void seen.push(`${username} gone`));
    await host.login('juliet');
    await settle();
    assert.equal(await host.host.accounts.delete('juliet'), true);
    assert.equal(await host.host.accounts.delete('juliet'), false);
    assert.deepEqual(seen, ['juliet true true', 'juliet gone']);
    await host.stop();
  });

  it('is gone all the same when a handler fails, which is logged', async () => {
    const lines: string[] = [];
    const log: Log = {
      ...silent,
      error: (text, detail) => void lines.push(`${text} ${String(detail?.['error'])}`),
      child: () => log,
    };
    host = await startHost([leaving(() => Promise.reject(new Error('no luck')))], { log });
    await host.host.accounts.create('juliet', 'secret');
    assert.equal(await host.host.accounts.delete('juliet'), true);
    assert.equal(await host.host.accounts.exists('juliet'), false);
    assert.equal(lines.length, 1);
    assert.match(lines[0]!, /no luck/);
    await host.stop();
  });
});

describe('an anonymous client (XEP-0175)', () => {
  it('leaves nothing behind: what was kept for it is erased, and modules are told', async () => {
    const seen: string[] = [];
    const host = await startHost([leaving(async (username, isKept) => void seen.push(`${username} ${await isKept()}`))]);
    host.host.signals.accountDeleted.add(({ username }) => void seen.push(`${username} gone`));
    const guest = await host.loginAsGuest();
    const name = guest.session.jid.local;
    const { notes } = await host.storage.open('example.org', 'leaving', { notes: mapStore<string>() });
    await settle();
    assert.equal(await notes.get(name, 'a'), 'b');
    guest.drop();
    await settle();
    await host.guests.settled();
    assert.equal(await notes.get(name, 'a'), undefined);
    assert.deepEqual(seen, [`${name} true`, `${name} gone`]);
    await host.stop();
  });

  it("is no longer anybody's contact", async () => {
    const host = await startHost([roster, presence]);
    const there = new Elsewhere(host, 'elsewhere.example');
    const guest = await host.loginAsGuest();
    guest.send('<presence/>');
    guest.send(`<presence type='subscribe' to='${MERCUTIO}'/>`);
    await settle();
    await there.send(`<presence type='subscribed' from='${MERCUTIO}' to='${guest.session.jid.bare}'/>`);
    await there.take();
    guest.leave();
    await settle();
    await host.guests.settled();
    assert.deepEqual(types(await there.take()), [`${guest.session.jid.bare} unsubscribe`]);
    const { contacts } = await host.storage.open('example.org', 'roster', { contacts: mapStore() });
    assert.equal((await contacts.entries(guest.session.jid.local)).size, 0);
    await host.stop();
  });

  it('leaves nothing behind of a stanza that was under way when it went', async () => {
    let release = () => {};
    const gate = new Promise<void>((resolve) => (release = resolve));
    const slow = defineModule({
      name: 'slow',
      doc: 'For tests.',
      config: option.object({}),
      stores: { notes: mapStore<string>() },
      setup({ iq, stores: { notes } }) {
        iq.set('self', 'urn:example:slow', 'note', async ({ from }) => {
          await gate;
          await notes.update(from.local, new Map([['a', 'b']]));
        });
      },
    });
    const host = await startHost([slow]);
    const guest = await host.loginAsGuest();
    guest.send("<iq type='set' id='1'><note xmlns='urn:example:slow'/></iq>");
    guest.drop();
    await settle();
    release();
    await host.guests.settled();
    const { notes } = await host.storage.open('example.org', 'slow', { notes: mapStore<string>() });
    assert.equal((await notes.entries(guest.session.jid.local)).size, 0);
    await host.stop();
  });

  it('is erased before the server has stopped', async () => {
    const erased: string[] = [];
    const host = await startHost([leaving(async (username) => void erased.push(username))]);
    const guest = await host.loginAsGuest();
    await host.stop();
    assert.deepEqual(erased, [guest.session.jid.local]);
  });
});
