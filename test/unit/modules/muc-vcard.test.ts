import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import type { Element } from 'ltx';
import mucVcard from '../../../modules/muc-vcard/index.ts';
import { typeOf } from '../../../modules/muc-vcard/pictures.ts';
import type { Probe } from '../../support/probe.ts';
import { codesIn, errorIn, LOUNGE, RoomScene, SERVICE } from '../../support/room-scene.ts';

const NS = 'vcard-temp';
const picture = (head: string, size = 64): Buffer => {
  const data = Buffer.alloc(size, 1);
  data.write(head, 'latin1');
  return data;
};
const PNG = picture('\x89PNG\r\n\x1a\n');
const JPEG = picture('\xff\xd8\xff\xe0');
const WEBP = picture('RIFF\x40\0\0\0WEBPVP8 ');
const SVG = Buffer.from("<svg xmlns='http://www.w3.org/2000/svg'/>");
const hashOf = (data: Buffer): string => createHash('sha1').update(data).digest('hex');
const photo = (data: Buffer | string, type = 'image/png'): string =>
  `<PHOTO><TYPE>${type}</TYPE><BINVAL>${typeof data === 'string' ? data : data.toString('base64')}</BINVAL></PHOTO>`;
const set = (inner: string, to = LOUNGE): string => `<iq type='set' to='${to}'><vCard xmlns='${NS}'>${inner}</vCard></iq>`;
const get = (to = LOUNGE): string => `<iq type='get' to='${to}'><vCard xmlns='${NS}'/></iq>`;
const info = (to = LOUNGE): string => `<iq type='get' to='${to}'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>`;

function shownHashes(answer: Element): string[] | undefined {
  const form = answer.getChild('query')?.getChild('x', 'jabber:x:data');
  const field = form?.getChildren('field').find(({ attrs }) => attrs['var'] === 'muc#roominfo_avatarhash');
  return field?.getChildren('value').map((value) => value.getText());
}

function noticed(stanzas: readonly Element[]): string[] {
  return stanzas
    .filter(({ name, attrs }) => name === 'presence' && attrs['from'] === LOUNGE)
    .map((presence) => presence.getChild('x', 'vcard-temp:x:update')!.getChildText('photo')!);
}

describe('vCards of rooms', () => {
  let scene: RoomScene;
  let keeper: Probe;

  async function start(options: Parameters<typeof RoomScene.start>[0] = {}): Promise<void> {
    scene = await RoomScene.start({ more: [mucVcard], ...options });
    keeper = await scene.client('keeper');
  }

  afterEach(() => scene.stop());

  it('keeps what an owner sets, shows it to anybody, and tells its hash', async () => {
    await start();
    await scene.room();
    assert.equal(errorIn(await keeper.ask(get())), 'item-not-found/cancel');
    assert.equal(shownHashes(await keeper.ask(info())), undefined);
    assert.equal((await keeper.ask(set(`<FN>The lounge</FN>${photo(PNG)}`))).attrs['type'], 'result');

    const stranger = await scene.client('stranger');
    const card = (await stranger.ask(get())).getChild('vCard', NS)!;
    assert.equal(card.getChildText('FN'), 'The lounge');
    assert.equal(card.getChild('PHOTO')!.getChildText('BINVAL'), PNG.toString('base64'));
    const answer = await stranger.ask(info());
    assert.deepEqual(shownHashes(answer), [hashOf(PNG)]);
    assert(
      answer
        .getChild('query')!
        .getChildren('feature')
        .some(({ attrs }) => attrs['var'] === NS),
    );
    const service = await stranger.ask(info(SERVICE));
    assert(
      service
        .getChild('query')!
        .getChildren('feature')
        .some(({ attrs }) => attrs['var'] === NS),
    );
  });

  it('tells who is there of a change, and who comes of the picture', async () => {
    await start();
    await scene.room();
    await scene.enter(keeper);
    const guest = await scene.client('guest');
    assert.deepEqual(noticed(await scene.enter(guest)), [], 'there is no picture yet');
    await scene.hush(keeper);
    keeper.send(set(photo(PNG)).replace('<iq', "<iq id='s1'"));
    const [answer, change, presence] = [
      await keeper.receive('iq'),
      await keeper.receive('message'),
      await keeper.receive('presence'),
    ];
    assert.equal(answer.attrs['type'], 'result');
    assert.deepEqual(codesIn(change), ['104']);
    assert.equal(change.attrs['from'], LOUNGE);
    assert.deepEqual(noticed([presence]), [hashOf(PNG)]);
    assert.deepEqual(noticed([await guest.receive('message'), await guest.receive('presence')]), [hashOf(PNG)]);

    const late = await scene.client('late');
    const told = await scene.enter(late);
    assert.deepEqual(noticed(told), [hashOf(PNG)]);
    const own = told.findIndex((stanza) => codesIn(stanza).includes('110'));
    assert(told.findIndex(({ attrs }) => attrs['from'] === LOUNGE) > own, 'after its own presence');

    await keeper.ask(set(`<FN>Renamed</FN>${photo(PNG)}`));
    await scene.hush();
    assert.deepEqual(noticed(late.take()), [], 'the picture is the same');
    await keeper.ask(set(''));
    await scene.hush();
    assert.deepEqual(noticed(late.take()), ['']);
    assert.equal(shownHashes(await keeper.ask(info())), undefined);
    assert.equal(errorIn(await keeper.ask(get())), 'item-not-found/cancel');
  });

  it('takes the picture of a room away with it', async () => {
    await start({ muc: { keepNames: '0s' } });
    const room = await scene.room();
    await keeper.ask(set(photo(PNG)));
    await scene.rooms.destroy(room);
    await scene.room();
    assert.equal(shownHashes(await keeper.ask(info())), undefined);
    assert.equal(errorIn(await keeper.ask(get())), 'item-not-found/cancel');
  });

  it('remembers the picture of a room that has slept', async () => {
    await start({ muc: { maxIdle: 0 } });
    await scene.room();
    await keeper.ask(set(photo(PNG)));
    await scene.room({ name: 'another' });
    assert.deepEqual(noticed(await scene.enter(keeper)), [hashOf(PNG)]);
  });

  it('refuses those who are no owners', async () => {
    await start();
    await scene.room({ people: { admin: 'admin', member: 'member' } });
    for (const name of ['admin', 'member', 'stranger']) {
      const probe = await scene.client(name);
      assert.equal(errorIn(await probe.ask(set(photo(PNG)))), 'forbidden/auth', name);
    }
    assert.equal(errorIn(await keeper.ask(set(photo(PNG), `nowhere@${SERVICE}`))), 'item-not-found/cancel');
    assert.equal(errorIn(await keeper.ask(get())), 'item-not-found/cancel', 'nothing was kept');
  });

  it('shows a hidden room only to those who may be in it', async () => {
    await start();
    await scene.room({ settings: { isPublic: false, isMembersOnly: true }, people: { member: 'member' } });
    await scene.room({ name: 'cellar', settings: { isPublic: false }, people: { outlaw: 'outcast' } });
    await keeper.ask(set(photo(PNG)));
    await keeper.ask(set(photo(PNG), `cellar@${SERVICE}`));
    const [member, stranger, outlaw] = [
      await scene.client('member'),
      await scene.client('stranger'),
      await scene.client('outlaw'),
    ];
    assert.equal((await member.ask(get())).attrs['type'], 'result');
    assert.equal(errorIn(await stranger.ask(get())), 'forbidden/auth');
    assert.equal((await stranger.ask(get(`cellar@${SERVICE}`))).attrs['type'], 'result');
    assert.equal(errorIn(await outlaw.ask(get(`cellar@${SERVICE}`))), 'forbidden/auth');
  });

  it('takes only pictures, whatever they are said to be', async () => {
    await start();
    await scene.room();
    const bad = {
      'an SVG': photo(SVG, 'image/svg+xml'),
      'an SVG that says it is a PNG': photo(SVG, 'image/png'),
      'a page': photo(Buffer.from('<html><script>1</script></html>'), 'image/png'),
      'RIFF, but no WebP': photo(picture('RIFF\x40\0\0\0WAVEfmt '), 'image/webp'),
      'no base64': photo('<![CDATA[!!!!]]>'),
      'base64 with something behind it': photo(`${PNG.toString('base64')}=A`),
      'a picture elsewhere': '<PHOTO><EXTVAL>https://spy.example.org/1x1.png</EXTVAL></PHOTO>',
      'a sound': '<SOUND><BINVAL>UklGRg==</BINVAL></SOUND>',
      'five pictures': photo(PNG).repeat(5),
    };
    for (const [what, inner] of Object.entries(bad)) {
      assert.equal(errorIn(await keeper.ask(set(inner))), 'not-acceptable/modify', what);
    }
    assert.equal(shownHashes(await keeper.ask(info())), undefined, 'nothing was kept');

    // What lies about its type is kept as what it is.
    await keeper.ask(
      set(photo(JPEG, 'text/html') + photo(`${WEBP.toString('base64').slice(0, 20)}\n ${WEBP.toString('base64').slice(20)}`)),
    );
    const photos = (await keeper.ask(get())).getChild('vCard', NS)!.getChildren('PHOTO');
    assert.deepEqual(
      photos.map((each) => each.getChildText('TYPE')),
      ['image/jpeg', 'image/webp'],
    );
    assert.deepEqual(shownHashes(await keeper.ask(info())), [hashOf(JPEG), hashOf(WEBP)]);
  });

  it('refuses what is too big', async () => {
    await start({ modules: { 'muc-vcard': { maxBytes: '4KiB', maxPhotoBytes: '1KiB' } } });
    await scene.room();
    const fits = picture('\x89PNG\r\n\x1a\n', 1024);
    assert.equal((await keeper.ask(set(photo(fits)))).attrs['type'], 'result');
    assert.equal(errorIn(await keeper.ask(set(photo(picture('\x89PNG\r\n\x1a\n', 1025))))), 'policy-violation/modify');
    assert.equal(errorIn(await keeper.ask(set(photo(picture('\x89PNG\r\n\x1a\n', 30_000))))), 'policy-violation/modify');
    assert.equal(errorIn(await keeper.ask(set(`<DESC>${'x'.repeat(5000)}</DESC>`))), 'policy-violation/modify');
    assert.deepEqual(shownHashes(await keeper.ask(info())), [hashOf(fits)]);
  });

  it('keeps to the types that are allowed here', async () => {
    await start({ modules: { 'muc-vcard': { types: ['image/png'] } } });
    await scene.room();
    assert.equal(errorIn(await keeper.ask(set(photo(JPEG, 'image/png')))), 'not-acceptable/modify');
    assert.equal((await keeper.ask(set(photo(PNG)))).attrs['type'], 'result');
  });

  it('lets admins say what the service is', async () => {
    await start({ settings: { admins: ['keeper@example.org'] } });
    assert.equal(errorIn(await (await scene.client('stranger')).ask(set('<FN>Mine</FN>', SERVICE))), 'forbidden/auth');
    assert.equal(errorIn(await keeper.ask(get(SERVICE))), 'item-not-found/cancel');
    assert.equal((await keeper.ask(set('<FN>Rooms of Verona</FN>', SERVICE))).attrs['type'], 'result');
    assert.equal((await keeper.ask(get(SERVICE))).getChild('vCard', NS)!.getChildText('FN'), 'Rooms of Verona');
  });
});

describe('pictures', () => {
  it('are told by how they begin', () => {
    assert.equal(typeOf(PNG), 'image/png');
    assert.equal(typeOf(JPEG), 'image/jpeg');
    assert.equal(typeOf(WEBP), 'image/webp');
    assert.equal(typeOf(picture('GIF89a')), 'image/gif');
    assert.equal(typeOf(picture('GIF87a')), 'image/gif');
    for (const head of ['', 'GIF88a', '\x89PNG', 'RIFF\0\0\0\0webp', '<svg', 'BM']) {
      assert.equal(typeOf(Buffer.from(head, 'latin1')), undefined, JSON.stringify(head));
    }
  });
});
