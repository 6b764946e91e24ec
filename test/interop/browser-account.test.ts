import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { crc32, deflateSync } from 'node:zlib';
import type { Browser } from 'playwright-core';
import { ServerProcess } from '../support/server-process.ts';
import { WireClient } from '../support/wire-client.ts';
import { openBrowser, Visitor } from './browser.ts';
import { befriend, LASTING_MODULES, PASSWORD } from './people.ts';

// What belongs to an account and not to a browser: which rooms it is in (XEP-0402), and what it looks like (XEP-0084, XEP-0153, XEP-0398).

const JULIET = 'juliet@localhost';
const ROMEO = 'romeo@localhost';
const ROOM = 'theplay@conference.localhost';
const PUBSUB = 'http://jabber.org/protocol/pubsub';
const MODULES = {
  ...LASTING_MODULES,
  ...Object.fromEntries(['pep', 'bookmarks', 'avatars', 'vcard4', 'muc', 'muc-membership'].map((name) => [name, {}])),
  webclient: {},
};

describe('browsers and accounts', function () {
  this.timeout(60_000);

  let server: ServerProcess;
  let browser: Browser;
  let desk: Visitor;
  let laptop: Visitor;
  let romeo: WireClient;
  const endings: (() => unknown)[] = [];

  before(async () => {
    server = await ServerProcess.create({ modules: MODULES });
    endings.push(() => server.remove());
    await server.start();
    await befriend(server, 'juliet', 'romeo');
    romeo = await WireClient.connect(server.http);
    endings.push(() => romeo.close());
    await romeo.login('romeo', PASSWORD, 'orchard');
    romeo.send('<presence/>');
    browser = await openBrowser();
    endings.push(() => browser.close());
    const visit = async () => {
      const visitor = await Visitor.open(browser, `http://localhost:${server.http}/`);
      await visitor.login('juliet', PASSWORD);
      await visitor.sees(ROMEO);
      return visitor;
    };
    [desk, laptop] = await Promise.all([visit(), visit()]);
  });

  after(async () => {
    for (const end of endings.reverse()) await end();
  });

  it('a room that is entered in one is open in the other, until it is left in one', async () => {
    await desk.enterRoom(ROOM, 'Juliet');
    await laptop.hasRoom(ROOM);
    await laptop.takePicture('room-elsewhere');
    await laptop.say('But soft!');
    for (const each of [desk, laptop]) await each.reads('But soft!', ROOM);
    await laptop.leaveRoom(ROOM);
    await desk.lacksRoom(ROOM);
  });

  it('a room that another client has bookmarked opens, and one that it has left closes', async () => {
    const phone = await login('juliet', 'phone');
    const room = 'orchard@conference.localhost';
    await bookmark(phone, room, "autojoin='true'");
    // Whoever is just entering would say once more that this room is to be entered.
    for (const [each, text] of [
      [desk, 'Call her forth.'],
      [laptop, 'How now, who calls?'],
    ] as const) {
      await each.hasRoom(room);
      await each.say(text);
      await each.reads(text, room);
    }
    await bookmark(phone, room, '');
    for (const each of [desk, laptop]) await each.lacksRoom(room);
    phone.close();
  });

  it('who has been in a room is no member of it for that', async () => {
    const room = 'balcony@conference.localhost';
    const owner = await login('romeo', 'balcony');
    const entered = owner.until(({ name, attrs }) => name === 'presence' && attrs['from'] === `${room}/Romeo`);
    owner.send(`<presence to='${room}/Romeo'><x xmlns='http://jabber.org/protocol/muc'/></presence>`);
    await entered;
    await owner.ask(
      `<iq type='set' to='${room}'><query xmlns='http://jabber.org/protocol/muc#owner'><x xmlns='jabber:x:data' type='submit'/></query></iq>`,
    );
    await desk.enterRoom(room, 'Juliet');
    await desk.say('Ay me!');
    await owner.until((stanza) => stanza.getChildText('body') === 'Ay me!');
    const list = "<query xmlns='http://jabber.org/protocol/muc#admin'><item affiliation='member'/></query>";
    const members = await owner.ask(`<iq type='get' to='${room}'>${list}</iq>`);
    assert.deepEqual(members.getChild('query')?.getChildElements().map(String), []);
    await desk.leaveRoom(room);
    owner.close();
  });

  it('a picture that is published by one account is shown to another one', async () => {
    await Promise.all([desk.openChat(ROMEO), laptop.openChat(ROMEO)]);
    for (const colour of [0x10, 0xe0]) {
      const picture = square(colour);
      const hash = createHash('sha1').update(picture).digest('hex');
      const data = `<data xmlns='urn:xmpp:avatar:data'>${picture.toString('base64')}</data>`;
      const info = `<info id='${hash}' bytes='${picture.length}' type='image/png' width='8' height='8'/>`;
      const metadata = `<metadata xmlns='urn:xmpp:avatar:metadata'>${info}</metadata>`;
      await publish(romeo, { node: 'urn:xmpp:avatar:data', id: hash, access: 'open' }, data);
      await publish(romeo, { node: 'urn:xmpp:avatar:metadata', id: hash, access: 'open' }, metadata);
      for (const each of [desk, laptop]) await each.seesPicture(ROMEO, picture);
    }
    await laptop.takePicture('picture-of-romeo');
  });

  it('a picture that is chosen in a browser is there in the other, and for everybody by the newer way', async () => {
    const picture = square(0x80);
    await desk.choosePicture(picture);
    await laptop.hasPicture(picture);
    const answer = await romeo.ask(
      `<iq type='get' to='${JULIET}'><pubsub xmlns='${PUBSUB}'><items node='urn:xmpp:avatar:data'/></pubsub></iq>`,
    );
    const item = answer.getChild('pubsub')?.getChild('items')?.getChild('item');
    assert.equal(item?.getChildText('data'), picture.toString('base64'));
  });

  it('no page has broken its policy, thrown, or asked anybody else for anything', () => {
    assert.deepEqual([...desk.complaints, ...laptop.complaints], []);
  });

  async function login(username: string, resource: string): Promise<WireClient> {
    const client = await WireClient.connect(server.http);
    await client.login(username, PASSWORD, resource);
    return client;
  }
});

async function bookmark(client: WireClient, room: string, attrs: string): Promise<void> {
  const conference = `<conference xmlns='urn:xmpp:bookmarks:1' ${attrs}><nick>Juliet</nick></conference>`;
  await publish(client, { node: 'urn:xmpp:bookmarks:1', id: room, access: 'whitelist' }, conference);
}

/** Where something is published, and who may read it. */
interface Place {
  readonly node: string;
  readonly id: string;
  readonly access: 'open' | 'whitelist';
}

async function publish(client: WireClient, { node, id, access }: Place, payload: string): Promise<void> {
  const item = `<publish node='${node}'><item id='${id}'>${payload}</item></publish>`;
  const field = (name: string, value: string) => `<field var='${name}'><value>${value}</value></field>`;
  const fields = field('FORM_TYPE', `${PUBSUB}#publish-options`) + field('pubsub#access_model', access);
  const options = `<publish-options><x xmlns='jabber:x:data' type='submit'>${fields}</x></publish-options>`;
  const answer = await client.ask(`<iq type='set'><pubsub xmlns='${PUBSUB}'>${item}${options}</pubsub></iq>`);
  assert.equal(answer.attrs['type'], 'result', String(answer));
}

/** A PNG of eight by eight pixels of one grey. */
function square(grey: number): Buffer {
  const header = Buffer.from([0, 0, 0, 8, 0, 0, 0, 8, 8, 0, 0, 0, 0]);
  const rows = Buffer.concat(Array.from({ length: 8 }, () => Buffer.concat([Buffer.of(0), Buffer.alloc(8, grey)])));
  const chunks = [chunk('IHDR', header), chunk('IDAT', deflateSync(rows)), chunk('IEND', Buffer.alloc(0))];
  return Buffer.concat([Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'), ...chunks]);
}

function chunk(name: string, data: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(name), data]);
  const [length, check] = [Buffer.alloc(4), Buffer.alloc(4)];
  length.writeUInt32BE(data.length);
  check.writeUInt32BE(crc32(body));
  return Buffer.concat([length, body, check]);
}
