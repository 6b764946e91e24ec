import assert from 'node:assert/strict';
import mam from '../../../modules/mam/index.ts';
import muc from '../../../modules/muc/index.ts';
import presence from '../../../modules/presence/index.ts';
import roster from '../../../modules/roster/index.ts';
import sm from '../../../modules/sm/index.ts';
import { type Probe, settle } from '../../support/probe.ts';
import { LOUNGE, MUC, OWNER } from '../../support/room-scene.ts';
import { Disk, SmClient } from '../../support/sm-client.ts';
import { startHost, type TestHost } from '../../support/start-host.ts';

const MODULES = [roster, presence, mam, sm, muc];
const join = (nick: string) => `<presence to='${LOUNGE}/${nick}'><x xmlns='${MUC}'/></presence>`;
const say = (body: string) => `<message to='${LOUNGE}' type='groupchat' id='${body}'><body>${body}</body></message>`;

/** What a client has got so far. */
async function all(client: SmClient) {
  await settle();
  return client.take();
}

describe('muc: rooms over a restart of the server', () => {
  let disk: Disk;
  let host: TestHost;

  async function start(): Promise<void> {
    host = await startHost(MODULES, { storage: disk.mount(), modules: { muc: { lock: false } } });
    for (const name of ['romeo', 'juliet', 'nurse']) await host.host.accounts.create(name, 'secret');
  }

  async function restart(...clients: readonly SmClient[]): Promise<void> {
    await host.stop();
    await start();
    for (const client of clients) client.host = host;
  }

  async function enter(username: string, nick: string): Promise<Probe> {
    const probe = await host.online(username, 'x');
    probe.send(join(nick));
    await settle();
    probe.take();
    return probe;
  }

  const bodies = (probe: Probe) => probe.take().flatMap((stanza) => stanza.getChildText('body') ?? []);

  beforeEach(async () => {
    disk = await Disk.create();
    await start();
  });

  afterEach(async () => {
    await host.stop();
    await disk.close();
  });

  it('have the same members, configuration, subject and history', async () => {
    const romeo = await enter('romeo', 'Romeo');
    const field = `<field var='muc#roomconfig_roomname'><value>The Lounge</value></field>`;
    await romeo.ask(
      `<iq type='set' to='${LOUNGE}'><query xmlns='${OWNER}'><x xmlns='jabber:x:data' type='submit'>${field}</x></query></iq>`,
    );
    await romeo.ask(
      `<iq type='set' to='${LOUNGE}'><query xmlns='${MUC}#admin'><item affiliation='member' jid='juliet@example.org' nick='Juliet'/></query></iq>`,
    );
    romeo.send(`<message to='${LOUNGE}' type='groupchat'><subject>Love</subject></message>`);
    romeo.send(say('Good night'));
    await settle();
    const id = romeo
      .take()
      .find((stanza) => stanza.getChildText('body'))!
      .getChild('occupant-id')!.attrs['id'];
    await restart();
    const juliet = await host.online('juliet', 'x');
    juliet.send(join('Juliet'));
    await settle();
    const seen = juliet.take();
    const own = seen.find(({ name }) => name === 'presence')!;
    assert.match(String(own), /affiliation="member"/);
    const [night, subject] = seen.filter(({ name }) => name === 'message');
    assert.equal(night!.getChildText('body'), 'Good night');
    assert.equal(night!.getChild('occupant-id')!.attrs['id'], id);
    assert.equal(subject!.getChildText('subject'), 'Love');
    const info = await juliet.ask(`<iq type='get' to='${LOUNGE}'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>`);
    assert.equal(info.getChild('query')!.getChild('identity')!.attrs['name'], 'The Lounge');
  });

  it('still have those in them whose sessions have outlived it, and nobody else', async () => {
    const juliet = await SmClient.online(host, 'juliet', { resource: 'balcony' });
    juliet.send(join('Juliet'));
    await settle();
    const nurse = await enter('nurse', 'Nurse');
    await all(juliet);
    juliet.ack(juliet.h);
    await settle();
    assert.ok(nurse);
    await restart(juliet);
    const romeo = await enter('romeo', 'Romeo');
    romeo.send(say('Is anybody here?'));
    await settle();
    assert.deepEqual(bodies(romeo), ['Is anybody here?']);
    const resumed = await juliet.resume();
    assert.equal(resumed.name, 'resumed');
    const seen = (await all(juliet)).filter(({ attrs }) => String(attrs['from']).startsWith(LOUNGE));
    const kinds = seen.map(({ name, attrs }) =>
      `${name} ${attrs['type'] ?? ''} ${String(attrs['from']).split('/')[1] ?? ''}`.trim(),
    );
    assert.deepEqual(kinds, ['presence unavailable Nurse', 'presence  Romeo', 'message groupchat Romeo']);
    juliet.send(say('I am'));
    await settle();
    assert.deepEqual(bodies(romeo), ['I am']);
  });

  it('that are temporary end when nobody comes back, and go on when somebody does', async () => {
    const field = `<field var='muc#roomconfig_persistentroom'><value>0</value></field>`;
    const juliet = await SmClient.online(host, 'juliet', { resource: 'balcony' });
    juliet.send(join('Juliet'));
    juliet.send(
      `<iq type='set' id='c' to='${LOUNGE}'><query xmlns='${OWNER}'><x xmlns='jabber:x:data' type='submit'>${field}</x></query></iq>`,
    );
    await settle();
    await all(juliet);
    juliet.ack(juliet.h);
    await settle();
    await restart(juliet);
    assert.equal((await juliet.resume()).name, 'resumed');
    juliet.send(say('Alone'));
    await settle();
    assert.deepEqual(await juliet.bodies(), ['Alone']);
    juliet.send(`<presence to='${LOUNGE}/Juliet' type='unavailable'/>`);
    await settle();
    const romeo = await host.online('romeo', 'x');
    const answer = await romeo.ask(`<iq type='get' to='${LOUNGE}'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>`);
    assert.match(String(answer), /item-not-found/);
  });
});
