import assert from 'node:assert/strict';
import carbons from '../../../modules/carbons/index.ts';
import mam from '../../../modules/mam/index.ts';
import offline from '../../../modules/offline/index.ts';
import sm from '../../../modules/sm/index.ts';
import { type Probe, settle } from '../../support/probe.ts';
import { chat, SmClient } from '../../support/sm-client.ts';
import { startHost, type TestHost } from '../../support/start-host.ts';

describe('offline: what waits in the archive, and who reads it there', () => {
  let host: TestHost;
  let romeo: Probe;

  const JULIET = 'juliet@example.org';
  const CARBONS = "<iq type='set'><enable xmlns='urn:xmpp:carbons:2'/></iq>";
  const say = async (...bodies: readonly string[]) => {
    for (const body of bodies) romeo.send(chat(JULIET, body));
    await settle();
  };
  const unarchived = async (body: string) => {
    romeo.send(chat(JULIET, body, "<no-permanent-store xmlns='urn:xmpp:hints'/>"));
    await settle();
  };
  const bodiesOf = (client: Probe | SmClient) =>
    client
      .take()
      .filter((stanza) => stanza.name === 'message' && stanza.getChild('body'))
      .map((message) => message.getChildText('body')!);
  /** Reads a page of the archive; the texts in it. */
  const read = async (client: Probe | SmClient, rsm = ''): Promise<readonly string[]> => {
    await settle();
    const before = client.take();
    const set = `<set xmlns='http://jabber.org/protocol/rsm'>${rsm}</set>`;
    await client.ask(`<iq type='set'><query xmlns='urn:xmpp:mam:2'>${set}</query></iq>`);
    const results = client.take();
    assert.deepEqual(before.filter((stanza) => stanza.getChild('body')).map(String), [], 'it was given something before it read');
    return results
      .map((message) => message.getChild('result')?.getChild('forwarded')?.getChild('message')?.getChildText('body'))
      .filter((body) => body !== undefined && body !== null);
  };
  /** A client that shows by what it does before its presence that it knows newer protocols. */
  const modern = async (resource: string) => {
    const client = await host.login('juliet', resource);
    await client.ask(CARBONS);
    return client;
  };
  const next = async (resource: string) => {
    const client = await host.login('juliet', resource);
    client.send('<presence/>');
    await settle();
    return bodiesOf(client);
  };
  const start = async (patience: string) => {
    host = await startHost([sm, mam, offline, carbons], { modules: { offline: { patience } } });
    romeo = await host.online('romeo', 'orchard');
    await host.host.accounts.create('juliet', 'secret');
  };

  beforeEach(() => start('30s'));
  afterEach(() => host.stop());

  it('a client that knows nothing newer is given it at once', async () => {
    await say('one', 'two');
    assert.deepEqual(await next('old'), ['one', 'two']);
    assert.deepEqual(await next('old'), []);
  });

  it('a client that reads it first is given nothing of it', async () => {
    await say('one', 'two');
    const juliet = await modern('new');
    assert.deepEqual(await read(juliet), ['one', 'two']);
    juliet.send('<presence/>');
    await say('three');
    assert.deepEqual(bodiesOf(juliet), ['three']);
  });

  it('nor is one that reads it soon after its presence', async () => {
    await say('one', 'two');
    const juliet = await modern('new');
    juliet.send('<presence/>');
    assert.deepEqual(await read(juliet), ['one', 'two']);
    await settle();
    assert.deepEqual(bodiesOf(juliet), []);
  });

  it('nor one under stream management, also when it does not acknowledge anything', async () => {
    await say('one', 'two');
    const juliet = await SmClient.managed(host, 'juliet', { resource: 'new' });
    juliet.send('<presence/>');
    assert.deepEqual(await read(juliet), ['one', 'two']);
    juliet.leave();
    assert.deepEqual(await next('old'), []);
  });

  it('one that could and does not is given it after a while', async () => {
    await host.stop();
    await start('50ms');
    await say('one', 'two');
    const juliet = await modern('new');
    juliet.send('<presence/>');
    await settle();
    assert.deepEqual(bodiesOf(juliet), []);
    assert.equal((await juliet.receive('message')).getChildText('body'), 'one');
    assert.equal((await juliet.receive('message')).getChildText('body'), 'two');
  });

  it('what comes while a client is waited for is not given out of turn', async () => {
    await host.stop();
    await start('50ms');
    await say('one');
    const juliet = await modern('new');
    juliet.send('<presence/>');
    await say('two', 'three');
    await unarchived('four');
    assert.deepEqual(bodiesOf(juliet), []);
    const got = [];
    for (let i = 0; i < 4; i++) got.push((await juliet.receive('message')).getChildText('body'));
    assert.deepEqual(got, ['one', 'two', 'three', 'four']);
    await say('five');
    assert.deepEqual(bodiesOf(juliet), ['five']);
  });

  it('what has come while a client is waited for is not overtaken once another is there', async () => {
    await say('one');
    const juliet = await modern('new');
    juliet.send('<presence/>');
    await say('two');
    assert.deepEqual(bodiesOf(juliet), []);
    const other = await modern('newer');
    other.send('<presence/>');
    await settle();
    await say('three');
    assert.deepEqual(bodiesOf(juliet), ['one', 'two', 'three']);
    assert.deepEqual(bodiesOf(other), ['three']);
  });

  it('what comes while a client is waited for that then reads reaches it too', async () => {
    await say('one');
    const juliet = await modern('new');
    juliet.send('<presence/>');
    await settle();
    juliet.take();
    await say('two');
    const seen = await read(juliet);
    await settle();
    const given = bodiesOf(juliet);
    assert(seen.includes('one'));
    assert(seen.includes('two') || given.includes('two'));
    assert.deepEqual(
      given.filter((body) => body === 'one'),
      [],
    );
  });

  it('once one device has read it to its end, the others are not given it', async () => {
    await say('one', 'two');
    const phone = await modern('phone');
    assert.deepEqual(await read(phone), ['one', 'two']);
    assert.deepEqual(await next('old'), []);
    await say('three');
    assert.deepEqual(await next('older'), []);
  });

  it('as long as a device has read a part only, the others are given it all', async () => {
    await say('one', 'two', 'three');
    const phone = await modern('phone');
    assert.deepEqual(await read(phone, '<max>2</max>'), ['one', 'two']);
    phone.send('<presence/>');
    await settle();
    assert.deepEqual(bodiesOf(phone), []);
    assert.deepEqual(await next('old'), ['one', 'two', 'three']);
  });

  it('a client that reads is given what is not in the archive, and only that', async () => {
    await say('archived 1');
    await unarchived('not archived 1');
    await say('archived 2');
    await unarchived('not archived 2');
    const juliet = await modern('new');
    assert.deepEqual(await read(juliet), ['archived 1', 'archived 2']);
    juliet.send('<presence/>');
    await settle();
    assert.deepEqual(bodiesOf(juliet), ['not archived 1', 'not archived 2']);
  });

  it('one that does not is given both, in order', async () => {
    const all: string[] = [];
    for (let i = 0; i < 130; i++) {
      await (i % 3 === 0 ? unarchived(`m${i}`) : say(`m${i}`));
      all.push(`m${i}`);
    }
    const juliet = await host.login('juliet', 'old');
    juliet.send('<presence/>');
    const got: string[] = [];
    for (let i = 0; i < 50 && got.length < all.length; i++) {
      await settle();
      got.push(...bodiesOf(juliet));
    }
    assert.deepEqual(got, all);
    assert.deepEqual(await next('older'), []);
  });

  it('what an account says itself is never given to it', async () => {
    const juliet = await host.online('juliet', 'old');
    for (let i = 0; i < 120; i++) juliet.send(chat(romeo.jid, `mine ${i}`));
    await settle();
    juliet.leave();
    await settle();
    await say('one');
    for (let i = 0; i < 3; i++) await settle();
    assert.deepEqual(await next('old'), ['one']);
  });

  it('a long archive in which little waits is gone through', async () => {
    const garden = await host.online('juliet', 'garden');
    for (let i = 0; i < 200; i++) romeo.send(chat(JULIET, `m${i}`));
    await settle();
    assert.equal(bodiesOf(garden).length, 200);
    const sly = await SmClient.online(host, 'juliet', { resource: 'sly' });
    romeo.send(chat(sly.jid, 'not acknowledged'));
    await settle();
    for (let i = 0; i < 100; i++) romeo.send(chat(garden.jid, `n${i}`));
    await settle();
    garden.leave();
    sly.leave();
    assert.deepEqual(await next('old'), ['not acknowledged']);
  });

  it('a client that is gone before its time to read is over gets nothing, and the next one all', async () => {
    await say('one');
    const juliet = await modern('new');
    juliet.send('<presence/>');
    await settle();
    juliet.drop();
    await settle();
    assert.deepEqual(await next('old'), ['one']);
  });

  it('what waits for a client that reads does not hold up another that does not', async () => {
    await say('one');
    const reader = await modern('reader');
    reader.send('<presence/>');
    await settle();
    const old = await host.login('juliet', 'old');
    old.send('<presence/>');
    await say('two');
    // What comes while there are two goes to both at once; and what waited goes to the one that is not waited for.
    assert.deepEqual(bodiesOf(old).sort(), ['one', 'two']);
    assert.deepEqual(bodiesOf(reader), ['two']);
  });

  it('what a client may have missed before the place where it began to read is given to it', async () => {
    await say('one', 'two', 'three');
    const juliet = await modern('new');
    // It knows the second one: of the first nobody knows that it was never given to anybody.
    const { messages } = await host.storage.open('example.org', 'mam', { messages: mam.stores!.messages });
    const [, second] = (await messages.query('juliet', {})).items;
    assert.deepEqual(await read(juliet, `<after>${second!.id}</after>`), ['three']);
    juliet.send('<presence/>');
    await settle();
    assert.deepEqual(bodiesOf(juliet), ['one', 'two']);
  });
});
