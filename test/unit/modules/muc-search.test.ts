import assert from 'node:assert/strict';
import type { Element } from 'ltx';
import { find } from '../../../modules/muc-search/find.ts';
import type { Search } from '../../../modules/muc-search/form.ts';
import mucSearch from '../../../modules/muc-search/index.ts';
import { Turns } from '../../../src/index.ts';
import { type Probe, settle } from '../../support/probe.ts';
import { errorIn, RoomScene, SERVICE } from '../../support/room-scene.ts';

const NS = 'urn:xmpp:channel-search:0';
const RSM = 'http://jabber.org/protocol/rsm';
const BY_ADDRESS = `{${NS}:order}address`;
const BY_USERS = `{${NS}:order}nusers`;

type Fields = Readonly<Record<string, string | readonly string[]>>;

/** An IQ that searches; `rsm` is put into the set. */
function searchFor(fields: Fields, rsm?: string): string {
  const written = Object.entries({ FORM_TYPE: `${NS}:search-params`, ...fields }).map(([name, given]) => {
    const values = [given].flat().map((value) => `<value>${value}</value>`);
    return `<field var='${name}'>${values.join('')}</field>`;
  });
  const set = rsm === undefined ? '' : `<set xmlns='${RSM}'>${rsm}</set>`;
  return (
    `<iq type='get' to='${SERVICE}'><search xmlns='${NS}:search'>${set}` +
    `<x xmlns='jabber:x:data' type='submit'>${written.join('')}</x></search></iq>`
  );
}

/** What was found: local parts of addresses, with the number of users where there are any. */
function found(answer: Element): string[] {
  const items = answer.getChild('result', `${NS}:search`)!.getChildren('item');
  return items.map((item) => {
    const users = item.getChildText('nusers');
    return `${String(item.attrs['address']).replace(`@${SERVICE}`, '')}${users === '0' ? '' : `=${users}`}`;
  });
}

/** The condition of the application in an error, after the general one. */
function problem(answer: Element): string {
  const own = answer
    .getChild('error')
    ?.getChildElements()
    .find((child) => child.getNS() === `${NS}:error`);
  return `${errorIn(answer)} ${own?.name}`;
}

const last = (answer: Element): string | undefined =>
  answer.getChild('result', `${NS}:search`)!.getChild('set', RSM)!.getChildText('last') ?? undefined;

describe('search for rooms (XEP-0433)', () => {
  let scene: RoomScene;
  let seeker: Probe;

  async function start(section = {}, muc = {}): Promise<void> {
    scene = await RoomScene.start({ more: [mucSearch], muc, modules: { 'muc-search': section } });
    seeker = await scene.client('seeker');
  }

  const search = async (fields: Fields, rsm?: string): Promise<string[]> => found(await seeker.ask(searchFor(fields, rsm)));
  const fails = async (fields: Fields, rsm?: string): Promise<string> => problem(await seeker.ask(searchFor(fields, rsm)));

  async function verona(): Promise<void> {
    await scene.room({ name: 'balcony', settings: { name: 'Das Fenster', description: 'Good night, good night' } });
    await scene.room({ name: 'crypt', settings: { name: 'The Tomb', description: 'Here lies JULIET', isMembersOnly: true } });
    await scene.room({ name: 'cell', settings: { name: 'Ｆriar Lawrence', lang: 'en', whois: 'anyone' } });
    await scene.room({ name: 'hidden', settings: { name: 'Fenster, too', isPublic: false } });
  }

  afterEach(() => scene.stop());

  it('is offered with a form', async () => {
    await start();
    const info = await seeker.ask(`<iq type='get' to='${SERVICE}'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>`);
    assert(
      info
        .getChild('query')!
        .getChildren('feature')
        .some(({ attrs }) => attrs['var'] === `${NS}:search`),
    );
    const form = await seeker.ask(`<iq type='get' to='${SERVICE}'><search xmlns='${NS}:search'/></iq>`);
    const fields = form.getChild('search', `${NS}:search`)!.getChild('x', 'jabber:x:data')!.getChildren('field');
    assert.deepEqual(
      fields.map(({ attrs }) => attrs['var']),
      ['FORM_TYPE', 'q', 'all', 'sinname', 'sindescription', 'sinaddr', 'min_users', 'types', 'key'],
    );
  });

  it('finds by words in names, descriptions and addresses', async () => {
    await start();
    await verona();
    assert.deepEqual(await search({ q: 'fenster' }), ['balcony'], 'what is hidden is not found');
    assert.deepEqual(await search({ q: 'juliet' }), ['crypt']);
    assert.deepEqual(await search({ q: 'crypt' }), ['crypt']);
    assert.deepEqual(await search({ q: 'good NIGHT balc' }), ['balcony'], 'each word somewhere');
    assert.deepEqual(await search({ q: 'friar' }), ['cell'], 'whatever its width');
    assert.deepEqual(await search({ q: 'good morning' }), []);
    assert.deepEqual(await search({ q: 'juliet', sindescription: 'false' }), []);
    assert.deepEqual(await search({ q: 'crypt', sinaddr: '0' }), []);
    assert.deepEqual(await search({ q: 'crypt', sinaddress: '0' }), []);
    assert.deepEqual(await search({ q: 'tomb', sinname: 'false' }), []);
    assert.deepEqual(await search({ q: 'crypt', types: 'xep-0369' }), []);
    assert.deepEqual(await search({ q: 'crypt', types: ['xep-0369', 'xep-0045'], unknown: 'x' }), ['crypt']);
  });

  it('tells what there is to know', async () => {
    await start();
    await verona();
    const answer = await seeker.ask(searchFor({ all: 'true', key: BY_ADDRESS }));
    const items = answer.getChild('result', `${NS}:search`)!.getChildren('item');
    const about = (item: Element) => Object.fromEntries(item.getChildElements().map((child) => [child.name, child.getText()]));
    const common = { nusers: '0', 'service-type': 'xep-0045' };
    assert.deepEqual(
      items.map((item) => about(item)),
      [
        {
          ...common,
          name: 'Das Fenster',
          description: 'Good night, good night',
          'is-open': 'true',
          'anonymity-mode': 'muc_semianonymous',
        },
        { ...common, name: 'Ｆriar Lawrence', language: 'en', 'is-open': 'true', 'anonymity-mode': `{${NS}:anonymity}none` },
        {
          ...common,
          name: 'The Tomb',
          description: 'Here lies JULIET',
          'is-open': 'false',
          'anonymity-mode': 'muc_semianonymous',
        },
      ],
    );
  });

  it('sorts by users or by address, in pages, and wakes nobody', async () => {
    await start({}, { maxIdle: 1 });
    for (const name of ['a', 'b', 'c', 'd', 'e']) await scene.room({ name });
    const others = await Promise.all(['x', 'y', 'z'].map((name) => scene.client(name)));
    for (const [i, other] of others.entries()) {
      await scene.enter(other, { room: `d@${SERVICE}` });
      if (i > 0) await scene.enter(other, { room: `b@${SERVICE}` });
    }
    const awake = [...scene.rooms.open()].length;
    assert(awake < 5);
    const pages = async (fields: Fields): Promise<string[]> => {
      const all: string[] = [];
      for (let at: string | undefined = ''; ; ) {
        const answer: Element = await seeker.ask(searchFor(fields, `<max>2</max>${at ? `<after>${at}</after>` : ''}`));
        const page = found(answer);
        if (page.length === 0) return all;
        assert(page.length <= 2);
        all.push(...page);
        at = last(answer);
      }
    };
    assert.deepEqual(await pages({ all: '1' }), ['d=3', 'b=2', 'a', 'c', 'e']);
    assert.deepEqual(await pages({ all: '1', key: BY_USERS }), ['d=3', 'b=2', 'a', 'c', 'e']);
    assert.deepEqual(await pages({ all: '1', key: BY_ADDRESS }), ['a', 'b=2', 'c', 'd=3', 'e']);
    assert.deepEqual(await pages({ all: '1', min_users: '1' }), ['d=3', 'b=2']);
    assert.deepEqual(await pages({ all: '1', min_users: '3', key: BY_ADDRESS }), ['d=3']);
    const counted = await seeker.ask(searchFor({ all: '1' }, '<max>0</max>'));
    assert.deepEqual(found(counted), []);
    assert.equal(counted.getChild('result')!.getChild('set', RSM)!.getChildText('count'), '5');
    assert.equal([...scene.rooms.open()].length, awake);
  });

  it('gives no more than fits into an answer', async () => {
    await start({ maxPage: 3 });
    for (let i = 0; i < 5; i++) await scene.room({ name: `room${i}` });
    assert.equal((await search({ q: 'room' })).length, 3);
    assert.equal((await search({ q: 'room' }, '<max>1000</max>')).length, 3);
  });

  it('says what is wrong with a search', async () => {
    await start();
    assert.equal(await fails({ q: 'word', key: '{urn:x}y' }), 'feature-not-implemented/modify invalid-sort-key');
    assert.equal(await fails({ q: 'a b' }), 'bad-request/modify invalid-search-terms');
    assert.equal(await fails({ q: 'long '.repeat(100) }), 'bad-request/modify invalid-search-terms');
    assert.equal(await fails({ q: 'word', all: 'true' }), 'bad-request/modify conflicting-fields');
    const nowhere = { sinname: '0', sindescription: '0', sinaddr: '0' };
    assert.equal(await fails({ q: 'word', ...nowhere }), 'bad-request/modify conflicting-fields');
    assert.equal(await fails({}), 'bad-request/cancel no-search-conditions');
    assert.equal(await fails({ q: '', all: 'false' }), 'bad-request/cancel no-search-conditions');
    assert.equal(await fails({ q: 'word', FORM_TYPE: 'urn:another' }), 'bad-request/modify undefined');
    assert.equal(await fails({ q: 'word', min_users: 'many' }), 'bad-request/modify undefined');
    assert.equal(await fails({ q: 'word' }, '<max>-1</max>'), 'bad-request/modify undefined');
    assert.equal(await fails({ q: 'word' }, '<before/>'), 'feature-not-implemented/cancel undefined');
    for (const place of ['x', '99999999999999 a@b', '1  ', '; drop table rooms']) {
      assert.equal(await fails({ q: 'word' }, `<after>${place}</after>`), 'item-not-found/cancel undefined', place);
    }
  });

  it('gives the whole list only where it may', async () => {
    await start({ all: false });
    await verona();
    assert.equal(await fails({ all: 'true' }), 'not-allowed/cancel full-set-retrieval-rejected');
    assert.deepEqual(await search({ q: 'tomb' }), ['crypt']);
  });

  it('is done for nobody too often at once', async () => {
    await start({ maxPerAccount: 2, maxAtOnce: 3 });
    await verona();
    const clients = await Promise.all([1, 2, 3, 4].map((i) => scene.client('seeker', `r${i}`)));
    const answers = await Promise.all(clients.map((client) => client.ask(searchFor({ q: 'tomb' }))));
    const refused = answers.map(problem).filter((each) => each === 'resource-constraint/wait rate-limit');
    assert.equal(refused.length, 2);
    const others = await Promise.all(['a', 'b', 'c', 'd', 'e'].map((name) => scene.client(name)));
    const all = await Promise.all(others.map((client) => client.ask(searchFor({ q: 'tomb' }))));
    assert.equal(all.filter((answer) => answer.attrs['type'] === 'error').length, 2);
    await settle();
    assert.deepEqual(await search({ q: 'tomb' }), ['crypt'], 'afterwards it is as ever');
  });
});

describe('a search among a hundred thousand rooms', () => {
  const rows = Array.from({ length: 100_000 }, (_, i) => {
    const address = `room${String(i).padStart(6, '0')}@${SERVICE}`;
    const description = i % 50_000 === 49_999 ? 'The needle' : `Hay of the year ${i}`;
    return [address, { name: `Stack ${i}`, description, lang: '', isOpen: true }] as const;
  });
  const source = {
    rooms: {
      open: () => [],
      listed: async (after = '', max = 1000) => {
        const at = after === '' ? 0 : Number(/\d+/.exec(after)![0]) + 1;
        return rows.slice(at, at + max);
      },
    },
    turns: new Turns(),
  };
  const search: Search = {
    terms: ['needle'],
    inName: true,
    inDescription: true,
    inAddress: true,
    minUsers: 0,
    byUsers: false,
    wantsRooms: true,
  };

  it('lets others have their turns', async () => {
    let turns = 0;
    let isDone = false;
    const tick = (): void => {
      turns++;
      if (!isDone) setImmediate(tick);
    };
    setImmediate(tick);
    const collect = async (): Promise<string[]> => {
      const addresses: string[] = [];
      for await (const { address } of find(source, search)) addresses.push(address);
      return addresses;
    };
    const results = await Promise.all([collect(), collect(), collect()]);
    isDone = true;
    for (const addresses of results) assert.deepEqual(addresses, [rows[49_999]![0], rows[99_999]![0]]);
    assert(turns > 10, `${turns} turns`);
  });
});
