import assert from 'node:assert/strict';
import { ServerProcess } from '../support/server-process.ts';
import { LASTING_MODULES, loginAt, makeAccount } from './people.ts';
import { type RoomClient, type RoomKeeper, type RoomReader, SlixmppRoomClient, XmppRoomClient } from './room-clients.ts';
import { StanzaRoomClient } from './room-stanza.ts';
import { StropheRoomClient } from './room-strophe.ts';

// Client libraries in one room: they talk, manage the room and whoever is in it, invite each other and read its archive.

const ROOM = 'lounge@conference.localhost';
const NAME = 'lounge';

const makers: Readonly<Record<string, () => RoomClient>> = {
  slixmpp: () => new SlixmppRoomClient(),
  stanza: () => new StanzaRoomClient(),
  strophe: () => new StropheRoomClient(),
  xmppjs: () => new XmppRoomClient(),
};

describe('libraries in a room', function () {
  this.timeout(30_000);

  const slixmpp = new SlixmppRoomClient();
  const stanza = new StanzaRoomClient();
  const strophe = new StropheRoomClient();
  const xmppjs = new XmppRoomClient();
  /** By account; the nicks are the same in capitals. */
  const clients: ReadonlyMap<string, RoomClient> = new Map(Object.entries({ slixmpp, stanza, strophe, xmppjs }));
  const keepers: ReadonlyMap<string, RoomKeeper> = new Map(Object.entries({ slixmpp, stanza, strophe }));
  const readers: ReadonlyMap<string, RoomReader> = new Map(Object.entries({ slixmpp, stanza }));
  /** Those who are in the room. */
  const inside = new Map<string, RoomClient>();
  const said: string[] = [];
  let server: ServerProcess;

  before(async function () {
    this.timeout(60_000);
    // The clients on Node check certificates; this one is made by the server itself.
    process.env['NODE_TLS_REJECT_UNAUTHORIZED'] = '0';
    server = await ServerProcess.create({ modules: { ...LASTING_MODULES, muc: {} } });
    await server.start();
    for (const name of [...clients.keys(), ...[...clients.keys()].map((each) => `late-${each}`), 'victim', 'member'])
      (await makeAccount(server, name)).close();
    for (const [name, client] of clients) await client.start(loginAt(server, name));
  });

  after(async () => {
    await Promise.allSettled([...clients.values()].map((client) => client.stop()));
    await server.remove();
  });

  it('slixmpp makes it and configures it, so that others can enter', async () => {
    await enter('slixmpp');
    await assert.rejects(xmppjs.join(ROOM, 'XMPPJS'), /item-not-found/);
    assert.equal(await slixmpp.configure(ROOM, 'muc#roomconfig_roomname', 'The lounge'), '');
    await slixmpp.configure(ROOM, 'muc#roomconfig_changesubject', '1');
  });

  for (const name of ['xmppjs', 'stanza', 'strophe']) {
    it(`${name} enters it`, async () => {
      await enter(name);
    });
  }

  it('what anybody says everybody hears, once and in the same order', async () => {
    for (const round of [1, 2, 3]) {
      for (const name of clients.keys()) await say(name, `round ${round}: <${name}> & "others"`);
    }
    // All at once: in which order is up to the room, but it is the same for all.
    const texts = [...clients.keys()].flatMap((name) => [1, 2, 3, 4, 5].map((number) => [name, `at once ${number}`] as const));
    for (const [name, text] of texts) await clients.get(name)!.say(ROOM, text);
    for (const [name, text] of texts) await allNotice(NAME, 'said', nick(name), text);
    said.push(...slixmpp.noticed(NAME, 'said').slice(said.length));
    assert.equal(said.length, 12 + texts.length);
    allHaveHeardAll();
  });

  it('everybody learns what the room talks about, from each of them', async () => {
    for (const name of clients.keys()) {
      await clients.get(name)!.setSubject(ROOM, `roses of ${name}`);
      await allNotice(NAME, 'subject', nick(name), `roses of ${name}`);
    }
  });

  it('everybody sees each of them take another nick, and the old one again', async () => {
    for (const name of clients.keys()) {
      for (const [from, to] of [
        [nick(name), `${name}2`],
        [`${name}2`, nick(name)],
      ] as const) {
        await clients.get(name)!.changeNick(ROOM, to);
        await allNotice(NAME, 'renamed', from, to);
      }
      await say(name, 'It is me.');
    }
    allHaveHeardAll();
  });

  it('each has one occupant id, whatever its nick, and everybody sees the same (XEP-0421)', async () => {
    await clients.get('strophe')!.changeNick(ROOM, 'Other');
    await allNotice(NAME, 'renamed', 'STROPHE', 'Other');
    await clients.get('strophe')!.say(ROOM, 'Who am I?');
    await allNotice(NAME, 'said', 'Other', 'Who am I?');
    said.push('Other Who am I?');
    await clients.get('strophe')!.changeNick(ROOM, 'STROPHE');
    await allNotice(NAME, 'renamed', 'Other', 'STROPHE');
    const ids = new Map<string, string>();
    for (const line of slixmpp.noticed(NAME, 'id')) {
      const [of, id] = line.split(' ') as [string, string];
      assert.equal(ids.get(of) ?? id, id, of);
      assert.match(id, /^\S{20,}$/);
      ids.set(of, id);
    }
    assert.equal(ids.get('Other'), ids.get('STROPHE'));
    assert.equal(new Set(ids.values()).size, clients.size);
    for (const client of clients.values()) assert.deepEqual(client.noticed(NAME, 'id'), slixmpp.noticed(NAME, 'id'));
  });

  for (const name of clients.keys()) {
    it(`${name} finds out whether it is still in the room by a ping (XEP-0410)`, async () => {
      const client = clients.get(name)!;
      await client.ping(`${ROOM}/${nick(name)}`);
      await assert.rejects(client.ping('parlour@conference.localhost/nobody'), /not-acceptable|item-not-found/);
    });
  }

  for (const [name, make] of Object.entries(makers)) {
    it(`who comes late with ${name} hears what was said, and what the room talks about`, async () => {
      const late = make();
      await late.start(loginAt(server, `late-${name}`));
      await late.join(ROOM, `Late-${name}`);
      assert.deepEqual(late.noticed(NAME, 'said'), said);
      assert.deepEqual(late.noticed(NAME, 'subject'), ['XMPPJS roses of xmppjs']);
      for (const other of clients.keys()) assert(late.noticed(NAME, 'here').includes(nick(other)));
      await say(name, `Welcome, late ${name}!`);
      await late.notices(NAME, 'said', nick(name), `Welcome, late ${name}!`);
      assert.deepEqual(late.noticed(NAME, 'said'), said);
      await late.stop();
      await allNotice(NAME, 'gone', `Late-${name}`, '');
    });
  }

  it('slixmpp makes the others owners, and each configures the room by its form', async () => {
    for (const name of ['stanza', 'strophe']) await slixmpp.grant(ROOM, `${name}@localhost`, 'owner');
    let before = 'The lounge';
    for (const [name, keeper] of keepers) {
      assert.equal(await keeper.configure(ROOM, 'muc#roomconfig_roomname', `Room of ${name}`), before);
      before = `Room of ${name}`;
    }
  });

  for (const [name, keeper] of keepers) {
    it(`${name} makes a room and invites others to it, through the room and past it (XEP-0249)`, async () => {
      const parlour = `${name}-parlour`;
      const address = `${parlour}@conference.localhost`;
      await keeper.join(address, nick(name));
      await keeper.configure(address, 'muc#roomconfig_membersonly', '1');
      for (const [other, guest] of clients) {
        if (other === name) continue;
        // slixmpp would think that it is in a room that has turned it away, and hear of no invitation.
        if (guest !== slixmpp) await assert.rejects(guest.join(address, nick(other)), /registration-required/);
        await keeper.invite(address, `${other}@localhost`, `Come, ${other}`);
        await guest.notices(parlour, 'invited', `${address}/${nick(name)}`, `Come, ${other}`);
        await keeper.inviteDirectly(address, `${other}@localhost`, `Do come, ${other}`);
        await guest.notices(parlour, 'invited-directly', `${name}@localhost`, `Do come, ${other}`);
        await guest.join(address, nick(other));
        await keeper.notices(parlour, 'here', nick(other));
      }
    });

    it(`${name} kicks and bans somebody, and lets them in again`, async () => {
      const victim = new XmppRoomClient();
      await victim.start(loginAt(server, 'victim'));
      await victim.join(ROOM, `victim-of-${name}`);
      await keeper.kick(ROOM, `victim-of-${name}`, 'Out!');
      await victim.notices(NAME, 'gone', `victim-of-${name}`, '110,307');
      await allNotice(NAME, 'gone', `victim-of-${name}`, '307');
      await assert.rejects(victim.ping(`${ROOM}/victim-of-${name}`), /not-acceptable/);
      await victim.join(ROOM, `again-${name}`);
      await keeper.ban(ROOM, 'victim@localhost', 'And stay out!');
      await victim.notices(NAME, 'gone', `again-${name}`, '110,301');
      await allNotice(NAME, 'gone', `again-${name}`, '301');
      await assert.rejects(victim.join(ROOM, 'third'), /forbidden/);
      await keeper.grant(ROOM, 'victim@localhost', 'none');
      await victim.join(ROOM, `free-${name}`);
      await allNotice(NAME, 'here', `free-${name}`);
      await victim.stop();
      await allNotice(NAME, 'gone', `free-${name}`, '');
    });
  }

  for (const [name, reader] of readers) {
    it(`${name} reads the archive of the room, page by page, each message once`, async () => {
      const pages = await reader.readArchive(ROOM, 7);
      assert(pages.length > 3);
      assert.deepEqual(pages.flat(), slixmpp.noticed(NAME, 'at'));
    });

    it(`who was away for a while catches up with ${name}, while the others go on talking`, async () => {
      await catchUp(name, makers[name] as () => RoomReader);
    });
  }

  /** Somebody who was here comes back. */
  async function catchUp(by: string, make: () => RoomReader): Promise<void> {
    const login = loginAt(server, 'member');
    await slixmpp.grant(ROOM, 'member@localhost', 'member');
    const before = make();
    await before.start(login);
    await before.join(ROOM, 'Member', 0);
    await say('stanza', `Here is the member (${by})`);
    await before.notices(NAME, 'said', 'STANZA', `Here is the member (${by})`);
    const [last] = before.noticed(NAME, 'at').at(-1)!.split(' ');
    await before.stop();
    await allNotice(NAME, 'gone', 'Member', '');
    const missed = slixmpp.noticed(NAME, 'at').length;
    for (const name of clients.keys()) {
      await say(name, `The member is gone (${by})`);
      await clients.get(name)!.setSubject(ROOM, `absence of ${by}, says ${name}`);
      for (const number of [1, 2, 3, 4]) await say(name, `missed ${number} (${by})`);
    }

    const later = make();
    await later.start(login);
    const talk = Promise.all([...clients].map(([, client]) => client.say(ROOM, `Look who is there (${by})`)));
    await later.join(ROOM, 'Member', 0);
    const first = await later.readArchive(ROOM, 6, last);
    await talk;
    for (const name of clients.keys()) {
      await allNotice(NAME, 'said', nick(name), `Look who is there (${by})`);
    }
    said.push(...slixmpp.noticed(NAME, 'said').slice(said.length));
    await say('xmppjs', `Welcome back (${by})`);
    await later.notices(NAME, 'said', 'XMPPJS', `Welcome back (${by})`);
    allHaveHeardAll();
    // What was said when it came it may have by both ways, under the same id.
    const archived = first.flat();
    const live = later.noticed(NAME, 'at');
    for (const lines of [archived, live]) assert.equal(new Set(lines).size, lines.length);
    assert.deepEqual([...new Set([...archived, ...live])], slixmpp.noticed(NAME, 'at').slice(missed));
    await later.stop();
    await allNotice(NAME, 'gone', 'Member', '');
  }

  function nick(name: string): string {
    return name.toUpperCase();
  }

  async function enter(name: string): Promise<void> {
    await clients.get(name)!.join(ROOM, nick(name));
    inside.set(name, clients.get(name)!);
    await allNotice(NAME, 'here', nick(name));
  }

  async function say(name: string, text: string): Promise<void> {
    await clients.get(name)!.say(ROOM, text);
    await allNotice(NAME, 'said', nick(name), text);
    said.push(`${nick(name)} ${text}`);
  }

  async function allNotice(...what: readonly string[]): Promise<void> {
    for (const client of inside.values()) await client.notices(...what);
  }

  function allHaveHeardAll(): void {
    for (const [name, client] of inside) assert.deepEqual(client.noticed(NAME, 'said'), said, name);
  }
});
