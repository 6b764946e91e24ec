import assert from 'node:assert/strict';
import type { Element } from 'ltx';
import announce from '../../../modules/announce/index.ts';
import commands from '../../../modules/commands/index.ts';
import offline from '../../../modules/offline/index.ts';
import { silent } from '../../../src/log.ts';
import { openStorage } from '../../../src/storage/open.ts';
import { conditionOf, payloadOf } from '../../support/answers.ts';
import { type Probe, settle } from '../../support/probe.ts';
import { startHost, type TestHost } from '../../support/start-host.ts';

const ADMIN = 'http://jabber.org/protocol/admin';
const NS = 'http://jabber.org/protocol/commands';
const settings = { admins: ['admin@example.org'] };

describe('announce', () => {
  let host: TestHost;
  beforeEach(async () => {
    host = await startHost([announce, commands, offline], { settings, modules: { announce: { maxBytes: 200 } } });
  });
  afterEach(() => host.stop());

  const say = (who: Probe, address: string, body = 'Going down') =>
    who.send(`<message to='example.org/announce/${address}'><subject>News</subject><body>${body}</body></message>`);

  async function run(who: Probe, node: string, field: string, text: string): Promise<Element> {
    const command = (attrs: string, inner = '') =>
      who.ask(`<iq type='set' to='example.org'><command xmlns='${NS}' node='${ADMIN}#${node}' ${attrs}>${inner}</command></iq>`);
    const { sessionid } = payloadOf(await command("action='execute'")).attrs;
    const lines = text.split('\n').map((line) => `<value>${line}</value>`);
    return command(
      `sessionid='${sessionid}'`,
      `<x xmlns='jabber:x:data' type='submit'><field var='${field}'>${lines.join('')}</field></x>`,
    );
  }

  it('goes to every client that is online, as a headline of the host (XEP-0133 section 4.23)', async () => {
    const admin = await host.online('admin');
    const one = await host.online('juliet', 'one');
    const two = await host.online('juliet', 'two');
    const bound = await host.login('romeo');
    say(admin, 'online');
    for (const client of [one, two, admin]) {
      const message = await client.receive('message');
      assert.deepEqual(summary(message), ['example.org', client.jid, 'headline', 'News', 'Going down']);
    }
    await bound.quiet();
  });

  it('goes to every account, to those who are offline when they come back', async () => {
    const admin = await host.online('admin');
    const juliet = await host.online('juliet');
    await host.host.accounts.create('romeo', 'secret');
    say(admin, 'all');
    assert.deepEqual(summary(await juliet.receive('message')), [
      'example.org',
      'juliet@example.org',
      'normal',
      'News',
      'Going down',
    ]);
    await settle();
    const romeo = await host.login('romeo');
    romeo.send('<presence/>');
    const late = await romeo.receive('message');
    assert.equal(late.getChildText('body'), 'Going down');
    assert(late.getChild('delay', 'urn:xmpp:delay'));
  });

  it('can be made by a command, line by line', async () => {
    const admin = await host.online('admin');
    const juliet = await host.online('juliet');
    const done = payloadOf(await run(admin, 'announce', 'announcement', 'Attention!\nWe go down.'));
    assert.equal(done.attrs['status'], 'completed');
    assert.equal((await juliet.receive('message')).getChildText('body'), 'Attention!\nWe go down.');
  });

  it('shows a message of the day at once, and once to each who comes later (XEP-0133 section 4.24)', async () => {
    const admin = await host.online('admin');
    const juliet = await host.online('juliet');
    assert.equal((await run(admin, 'set-motd', 'motd', 'Be kind.')).attrs['type'], 'result');
    assert.equal((await juliet.receive('message')).getChildText('body'), 'Be kind.');
    assert.equal((await admin.receive('message')).getChildText('body'), 'Be kind.');
    const romeo = await host.login('romeo', 'a');
    romeo.send('<presence/>');
    assert.deepEqual(summary(await romeo.receive('message')).slice(0, 3), ['example.org', 'romeo@example.org/a', 'headline']);
    for (const name of ['romeo', 'juliet']) {
      const later = await host.login(name, 'later');
      later.send('<presence/>');
      await later.quiet();
    }
  });

  it('shows it to one of two clients that come at once, and not to one that wants no messages', async () => {
    const admin = await host.online('admin');
    say(admin, 'motd/update', 'Be kind.');
    await settle();
    const shy = await host.login('romeo', 'shy');
    shy.send('<presence><priority>-1</priority></presence>');
    await shy.quiet();
    const one = await host.login('romeo', 'one');
    const two = await host.login('romeo', 'two');
    one.send('<presence/>');
    two.send('<presence/>');
    await settle();
    assert.equal([...one.take(), ...two.take()].filter(({ name }) => name === 'message').length, 1);
  });

  it('shows a changed one again, when one next logs in and not before (XEP-0133 section 4.25)', async () => {
    const admin = await host.online('admin');
    const juliet = await host.online('juliet');
    say(admin, 'motd', 'One');
    await juliet.receive('message');
    await admin.receive('message');
    say(admin, 'motd/update', 'Two');
    await juliet.quiet();
    const later = await host.login('juliet', 'later');
    later.send('<presence/>');
    assert.equal((await later.receive('message')).getChildText('body'), 'Two');
  });

  it('offers the text there is for changing', async () => {
    const admin = await host.online('admin');
    say(admin, 'motd/update', 'One&#10;Two');
    await settle();
    const form = payloadOf(
      await admin.ask(`<iq type='set' to='example.org'><command xmlns='${NS}' node='${ADMIN}#edit-motd'/></iq>`),
    ).getChild('x')!;
    const field = form.getChildren('field').find(({ attrs }) => attrs['var'] === 'motd')!;
    assert.deepEqual(
      field.getChildren('value').map((value) => value.getText()),
      ['One', 'Two'],
    );
  });

  it('shows a deleted one to nobody (XEP-0133 section 4.26)', async () => {
    const admin = await host.online('admin');
    say(admin, 'motd/update', 'One');
    await settle();
    const done = payloadOf(
      await admin.ask(`<iq type='set' to='example.org'><command xmlns='${NS}' node='${ADMIN}#delete-motd'/></iq>`),
    );
    assert.equal(done.attrs['status'], 'completed');
    const juliet = await host.online('juliet');
    await juliet.quiet();
    say(admin, 'motd/update', 'Two');
    say(admin, 'motd/delete', '');
    await settle();
    const romeo = await host.login('romeo');
    romeo.send('<presence/>');
    await romeo.quiet();
  });

  for (const address of ['online', 'all', 'motd', 'motd/update', 'motd/delete', 'all-hosts/online', 'nonsense']) {
    it(`refuses announce/${address} to whoever is no administrator`, async () => {
      const juliet = await host.online('juliet');
      const romeo = await host.online('romeo');
      say(juliet, address);
      assert.equal(conditionOf(await juliet.receive('message')), 'forbidden');
      await romeo.quiet();
    });
  }

  it('offers its commands to administrators only', async () => {
    const juliet = await host.online('juliet');
    for (const node of ['announce', 'announce-all', 'set-motd', 'edit-motd', 'delete-motd']) {
      const reply = await juliet.ask(`<iq type='set' to='example.org'><command xmlns='${NS}' node='${ADMIN}#${node}'/></iq>`);
      assert.equal(conditionOf(reply), 'forbidden');
    }
  });

  for (const [what, address, body, wanted] of [
    ['an unknown address', 'everybody', 'x', 'item-not-found'],
    ['an empty text', 'online', ' ', 'bad-request'],
    ['a text that is too long', 'motd', 'x'.repeat(300), 'policy-violation'],
  ] as const) {
    it(`refuses ${what}`, async () => {
      const admin = await host.online('admin');
      say(admin, address, body);
      assert.equal(conditionOf(await admin.receive('message')), wanted);
    });
  }

  it('reaches the other hosts of the server, where one administers them too', async () => {
    const other = await startHost([announce], { domain: 'example.net', settings });
    const foreign = await startHost([announce], { domain: 'example.com', settings: { admins: ['boss@example.com'] } });
    const admin = await host.online('admin');
    const [here, there, elsewhere] = [await host.online('juliet'), await other.online('romeo'), await foreign.online('paris')];
    say(admin, 'all-hosts/online');
    assert.equal((await here.receive('message')).attrs['from'], 'example.org');
    assert.equal((await there.receive('message')).attrs['from'], 'example.net');
    await elsewhere.quiet();
    await other.stop();
    await foreign.stop();
  });

  it('remembers across a restart what to show, and to whom it was shown', async () => {
    const storage = await openStorage({ type: 'memory' }, silent);
    const keepOpen = new Proxy(storage, {
      get: (target, name) => (name === 'close' ? async () => {} : Reflect.get(target, name).bind(target)),
    });
    const first = await startHost([announce], { settings, storage: keepOpen });
    const admin = await first.online('admin');
    await first.online('juliet');
    say(admin, 'motd', 'Be kind.');
    await settle();
    await first.stop();
    const second = await startHost([announce], { settings, storage: keepOpen });
    const juliet = await second.login('juliet');
    juliet.send('<presence/>');
    await juliet.quiet();
    const romeo = await second.login('romeo');
    romeo.send('<presence/>');
    assert.equal((await romeo.receive('message')).getChildText('body'), 'Be kind.');
    await second.stop();
    await storage.close();
  });
});

function summary(message: Element): (string | undefined)[] {
  const { from, to, type } = message.attrs;
  return [from, to, type, message.getChildText('subject') ?? undefined, message.getChildText('body') ?? undefined];
}
