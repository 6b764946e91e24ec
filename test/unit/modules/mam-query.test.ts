import assert from 'node:assert/strict';
import { TAG } from '../../../modules/mam/tag.ts';
import { firstIdAt } from '../../../src/ids.ts';
import { conditionOf, payloadOf } from '../../support/answers.ts';
import { ArchiveScene, EPOCH } from '../../support/archive-scene.ts';

const NS = 'urn:xmpp:mam:2';
const ids = (items: readonly { readonly id: string }[]): readonly string[] => items.map(({ id }) => id);

describe('mam: queries (XEP-0313)', () => {
  let scene: ArchiveScene;
  beforeEach(async () => {
    scene = await ArchiveScene.open();
  });
  afterEach(() => scene.host.stop());

  it('are answered with the messages as they were kept, then with the result (section 4.2)', async () => {
    const stanza =
      "<message xmlns='jabber:client' from='romeo@example.net/orchard' to='juliet@example.org' id='a' type='chat'><body>Ĝis &amp; ☃ 😀</body></message>";
    const [item] = await scene.keep([{ time: EPOCH + 5, stanza }]);
    scene.juliet.send(`<iq type='set' id='juliet1'><query xmlns='${NS}' queryid='f27'/></iq>`);
    const message = await scene.juliet.receive('message');
    assert.deepEqual(
      [message.attrs['from'], message.attrs['to'], message.attrs['type'], typeof message.attrs['id']],
      ['juliet@example.org', 'juliet@example.org/balcony', undefined, 'string'],
    );
    assert.equal(message.getChildElements().length, 1);
    const result = message.getChild('result', NS)!;
    assert.deepEqual([result.attrs['queryid'], result.attrs['id']], ['f27', item!.id]);
    const forwarded = result.getChild('forwarded', 'urn:xmpp:forward:0')!;
    assert.equal(forwarded.getChild('delay', 'urn:xmpp:delay')?.attrs['stamp'], '2024-01-01T00:00:00.005Z');
    const original = forwarded.getChild('message', 'jabber:client')!;
    assert.deepEqual(original.attrs, {
      xmlns: 'jabber:client',
      from: 'romeo@example.net/orchard',
      to: 'juliet@example.org',
      id: 'a',
      type: 'chat',
    });
    assert.equal(original.getChildText('body'), 'Ĝis & ☃ 😀');
    const iq = await scene.juliet.receive('iq');
    assert.deepEqual([iq.attrs['type'], iq.attrs['id']], ['result', 'juliet1']);
    const fin = iq.getChild('fin', NS)!;
    assert.equal(fin.attrs['complete'], 'true');
    assert.equal(
      String(fin.getChild('set', 'http://jabber.org/protocol/rsm')),
      `<set xmlns="http://jabber.org/protocol/rsm"><first>${item!.id}</first><last>${item!.id}</last></set>`,
    );
  });

  it('leave out queryid where there was none, and write what needs care with care', async () => {
    await scene.keep([{}]);
    assert.equal((await scene.send('')).results[0]!.attrs['queryid'], undefined);
    const odd = await scene.send('', "queryid='&quot;&apos;&lt;&#10;ü☃'");
    assert.equal(odd.results[0]!.attrs['queryid'], '"\'<\nü☃');
  });

  it('find nothing in an empty archive, which is no error', async () => {
    const answer = await scene.ask();
    assert.deepEqual(answer, {
      ids: [],
      results: [],
      error: undefined,
      complete: 'true',
      first: undefined,
      last: undefined,
      count: undefined,
    });
  });

  it('show nobody the archive of another account', async () => {
    await scene.keep([{}], 'romeo');
    assert.deepEqual((await scene.ask()).ids, []);
  });

  it('tell the fields there are (section 4.1.5)', async () => {
    const form = payloadOf(await scene.juliet.ask(`<iq type='get'><query xmlns='${NS}'/></iq>`)).getChild('x', 'jabber:x:data')!;
    assert.equal(form.attrs['type'], 'form');
    assert.deepEqual(
      form.getChildren('field').map(({ attrs }) => [attrs['var'], attrs['type']]),
      [
        ['FORM_TYPE', 'hidden'],
        ['with', 'jid-single'],
        ['start', 'text-single'],
        ['end', 'text-single'],
        ['before-id', 'text-single'],
        ['after-id', 'text-single'],
        ['ids', 'list-multi'],
        ['include-groupchat', 'boolean'],
        ['{urn:xmpp:fulltext:0}fulltext', 'text-single'],
      ],
    );
    const validate = form.getChildren('field')[6]!.getChild('validate', 'http://jabber.org/protocol/xdata-validate')!;
    assert.deepEqual([validate.attrs['datatype'], validate.getChildElements().map(({ name }) => name)], ['xs:string', ['open']]);
    assert.equal(form.getChildren('field')[0]!.getChildText('value'), NS);
  });

  it('tell where an archive begins and ends (section 5)', async () => {
    const ask = async () => payloadOf(await scene.juliet.ask(`<iq type='get'><metadata xmlns='${NS}'/></iq>`));
    assert.equal(String(await ask()), `<metadata xmlns="${NS}"/>`);
    const [first, , last] = await scene.keep([{ time: EPOCH }, {}, {}]);
    assert.deepEqual((await ask()).getChildElements().map(String), [
      `<start id="${first!.id}" timestamp="2024-01-01T00:00:00.000Z"/>`,
      `<end id="${last!.id}" timestamp="2024-01-01T00:00:02.000Z"/>`,
    ]);
  });
});

describe('mam: filters (XEP-0313 section 4.1)', () => {
  let scene: ArchiveScene;
  beforeEach(async () => {
    scene = await ArchiveScene.open();
  });
  afterEach(() => scene.host.stop());

  it('choose by address: a bare one with all its resources, a full one alone', async () => {
    const items = await scene.keep([
      { with: 'romeo@example.net', resource: 'orchard' },
      { with: 'nurse@example.org' },
      { with: 'romeo@example.net', resource: 'Garden' },
      { with: 'romeo@example.net' },
      { with: 'juliet@example.org', resource: 'balcony' },
    ]);
    const find = async (jid: string) => (await scene.ask({ with: [jid] })).ids;
    assert.deepEqual(await find('romeo@example.net'), ids([items[0]!, items[2]!, items[3]!]));
    assert.deepEqual(await find('ROMEO@EXAMPLE.NET'), ids([items[0]!, items[2]!, items[3]!]));
    assert.deepEqual(await find('romeo@example.net/Garden'), ids([items[2]!]));
    assert.deepEqual(await find('romeo@example.net/garden'), []);
    assert.deepEqual(await find('example.net'), []);
    // Messages to oneself, and not the whole archive.
    assert.deepEqual(await find('juliet@example.org'), ids([items[4]!]));
  });

  it('choose by time, both ends included', async () => {
    const items = await scene.keep([{ time: EPOCH }, { time: EPOCH + 1 }, { time: EPOCH + 1 }, { time: EPOCH + 2 }]);
    const find = async (fields: Record<string, readonly string[]>) => (await scene.ask(fields)).ids;
    assert.deepEqual(await find({ start: ['2024-01-01T00:00:00.001Z'] }), ids(items.slice(1)));
    assert.deepEqual(await find({ end: ['2024-01-01T00:00:00.001Z'] }), ids(items.slice(0, 3)));
    assert.deepEqual(
      await find({ start: ['2024-01-01T01:00:00.001+01:00'], end: ['2024-01-01T00:00:00.001Z'] }),
      ids(items.slice(1, 3)),
    );
    assert.deepEqual(await find({ start: ['2024-01-01T00:00:00.0011Z'] }), ids(items.slice(3)));
    assert.deepEqual(await find({ end: ['2024-01-01T00:00:00.0019Z'] }), ids(items.slice(0, 3)));
    assert.deepEqual(await find({ start: ['2024-01-01T00:00:00.002Z'], end: ['2024-01-01T00:00:00Z'] }), []);
    assert.deepEqual(await find({ end: ['0001-01-01T00:00:00Z'] }), []);
    assert.deepEqual(await find({ start: ['9999-12-31T23:59:59Z'] }), []);
  });

  it('choose by ids', async () => {
    const items = await scene.keep([{}, {}, {}, {}, {}]);
    const [a, b, c, d, e] = ids(items);
    const find = async (fields: Record<string, readonly string[]>) => (await scene.ask(fields)).ids;
    assert.deepEqual(await find({ 'after-id': [b!] }), [c, d, e]);
    assert.deepEqual(await find({ 'before-id': [d!] }), [a, b, c]);
    assert.deepEqual(await find({ 'after-id': [a!], 'before-id': [d!] }), [b, c]);
    assert.deepEqual(await find({ 'after-id': [d!], 'before-id': [a!] }), []);
    assert.deepEqual(await find({ ids: [e!, b!, b!] }), [b, e]);
    assert.deepEqual(await find({ ids: [a!, e!], 'after-id': [b!] }), [e]);
  });

  it('leave group chats out only for who asks for that', async () => {
    const items = await scene.keep([{ tag: TAG.groupchat }, {}, { tag: TAG.groupchat | TAG.conversation | TAG.outgoing }]);
    const find = async (...values: string[]) => (await scene.ask({ 'include-groupchat': values })).ids;
    for (const value of ['false', '0']) assert.deepEqual(await find(value), ids([items[1]!]));
    for (const value of ['true', '1']) assert.deepEqual(await find(value), ids(items));
    assert.deepEqual(await find(), ids(items));
  });

  it('are not applied where they were left blank', async () => {
    const items = await scene.keep([{}, {}]);
    const blank = ['with', 'start', 'end', 'before-id', 'after-id', 'ids', 'include-groupchat', '{urn:xmpp:fulltext:0}fulltext'];
    for (const values of [[], ['']]) {
      const answer = await scene.ask(Object.fromEntries(blank.map((name) => [name, values])));
      assert.deepEqual(answer.ids, ids(items));
    }
  });

  it('know no ids but those of the archive, and tell nothing about others (sections 4.1.3 and 4.3.2)', async () => {
    const [mine, gone] = await scene.keep([{}, {}]);
    const [foreign] = await scene.keep([{}], 'nurse');
    await scene.store.remove('juliet', { ids: [gone!.id] });
    const strange = [foreign!.id, gone!.id, firstIdAt(EPOCH), mine!.id.toUpperCase(), `${mine!.id} `, 'x', '0', "' OR 1=1"];
    for (const id of strange) {
      for (const fields of [{ 'before-id': [id] }, { 'after-id': [id] }, { ids: [mine!.id, id] }]) {
        const answer = await scene.ask(fields);
        assert.deepEqual([answer.error, answer.results.length], ['item-not-found', 0], `${JSON.stringify(fields)}`);
      }
      const text = id.replace(/'/g, '&apos;');
      for (const rsm of [`<before>${text}</before>`, `<after>${text}</after>`, `<max>0</max><after>${text}</after>`]) {
        assert.equal((await scene.ask({}, rsm)).error, 'item-not-found', rsm);
      }
    }
  });

  it('cope with thousands of ids', async () => {
    const items = await scene.keep(Array.from({ length: 3000 }, () => ({})));
    const first = await scene.ask({ ids: ids(items) });
    assert.deepEqual([first.ids.length, first.complete], [250, undefined]);
    const next = await scene.ask({ ids: ids(items) }, `<after>${first.last}</after>`);
    assert.deepEqual(next.ids, ids(items.slice(250, 500)));
    assert.equal((await scene.ask({ ids: [...ids(items), firstIdAt(EPOCH)] })).error, 'item-not-found');
  });
});

describe('mam: forms that are none (XEP-0313 section 4.1)', () => {
  let scene: ArchiveScene;
  before(async () => {
    scene = await ArchiveScene.open();
    await scene.keep([{}]);
  });
  after(() => scene.host.stop());

  const x = (inner: string, type = "type='submit'") => `<x xmlns='jabber:x:data' ${type}>${inner}</x>`;
  const value = (text: string) => `<value>${text}</value>`;
  const field = (name: string, ...values: string[]) => `<field var='${name}'>${values.map(value).join('')}</field>`;
  const type = field('FORM_TYPE', NS);
  const long = 'a'.repeat(2000);

  for (const [what, inner, condition] of [
    ['no FORM_TYPE', x(field('with', 'a@b')), 'bad-request'],
    ['an empty form', x(''), 'bad-request'],
    ['a blank FORM_TYPE', x(field('FORM_TYPE')), 'bad-request'],
    ['the FORM_TYPE of an older version', x(field('FORM_TYPE', 'urn:xmpp:mam:1')), 'bad-request'],
    ['another FORM_TYPE and fields of it', x(field('FORM_TYPE', 'urn:x') + field('y', 'z')), 'bad-request'],
    ['two values of FORM_TYPE', x(field('FORM_TYPE', NS, NS)), 'bad-request'],
    ['a form to fill in', x(type, "type='form'"), 'bad-request'],
    ['a form that is cancelled', x(type, "type='cancel'"), 'bad-request'],
    ['a form of no type', x(type, ''), 'bad-request'],
    ['two forms', x(type) + x(type), 'bad-request'],
    ['an unknown field', x(type + field('{http://example.com/}free-text-search', 'x')), 'feature-not-implemented'],
    ['an unknown field that is blank', x(type + field('constructor')), 'feature-not-implemented'],
    ['names of the language', x(type + field('__proto__', 'x')), 'feature-not-implemented'],
    ['a field in capitals', x(type + field('WITH', 'a@b')), 'feature-not-implemented'],
    ['a malformed address', x(type + field('with', 'romeo@@example.net')), 'bad-request'],
    ['an address without a domain', x(type + field('with', 'romeo@')), 'bad-request'],
    ['an address with an empty resource', x(type + field('with', 'romeo@example.net/')), 'bad-request'],
    ['an address that is too long', x(type + field('with', `${long}@example.net`)), 'bad-request'],
    ['two addresses', x(type + field('with', 'a@b', 'c@d')), 'bad-request'],
    ['a date in place of a time', x(type + field('start', '2010-06-07')), 'bad-request'],
    ['a time that does not exist', x(type + field('start', '2010-06-31T00:00:00Z')), 'bad-request'],
    ['a time without a zone', x(type + field('end', '2010-06-07T00:00:00')), 'bad-request'],
    ['a number in place of a time', x(type + field('end', '1276000000')), 'bad-request'],
    ['two times', x(type + field('end', '2010-06-07T00:00:00Z', '2010-06-07T00:00:00Z')), 'bad-request'],
    ['two ids in a field for one', x(type + field('before-id', 'a', 'b')), 'bad-request'],
    ['no truth value', x(type + field('include-groupchat', 'yes')), 'bad-request'],
    ['a truth value in capitals', x(type + field('include-groupchat', 'TRUE')), 'bad-request'],
    ['two texts', x(type + field('{urn:xmpp:fulltext:0}fulltext', 'a', 'b')), 'bad-request'],
    ['a text that is too long', x(type + field('{urn:xmpp:fulltext:0}fulltext', long)), 'not-acceptable'],
    ['too many words', x(type + field('{urn:xmpp:fulltext:0}fulltext', 'a b c d e f g h i j k l m n o p q')), 'not-acceptable'],
    ['a limit below nothing', "<set xmlns='http://jabber.org/protocol/rsm'><max>-1</max></set>", 'bad-request'],
    ['a limit beyond all', "<set xmlns='http://jabber.org/protocol/rsm'><max>99999999999</max></set>", 'bad-request'],
    ['a limit that is no number', "<set xmlns='http://jabber.org/protocol/rsm'><max>ten</max></set>", 'bad-request'],
    ['a place in the set', "<set xmlns='http://jabber.org/protocol/rsm'><index>0</index></set>", 'feature-not-implemented'],
  ] as const) {
    it(`are refused: ${what}`, async () => {
      const answer = await scene.send(inner);
      assert.deepEqual([answer.error, answer.results.length], [condition, 0]);
    });
  }

  for (const [what, attrs, condition] of [
    ['a node', "node='princely_musings'", 'feature-not-implemented'],
    ['an empty node', "node=''", 'feature-not-implemented'],
    ['a queryid that would be repeated at length', `queryid='${long}'`, 'bad-request'],
  ] as const) {
    it(`are refused: ${what}`, async () => assert.equal((await scene.send('', attrs)).error, condition));
  }

  for (const [what, inner] of [
    ['no form', ''],
    ['a form with nothing but its type', x(type)],
    ['a form of another namespace', "<x xmlns='urn:x' type='cancel'/>"],
    ['fields without a name', x(`${type}<field type='fixed'>${value('With:')}</field>`)],
    ['times in white space', x(type + field('start', '\n 2010-06-07T00:00:00Z '))],
    ['elements nobody knows', `<flip/>${x(`${type}<title>t</title><reported/>`)}`],
  ] as const) {
    it(`are taken all the same: ${what}`, async () => assert.equal((await scene.send(inner)).results.length, 1));
  }

  it('are refused where there is nothing in the IQ but something else', async () => {
    const iq = await scene.juliet.ask(`<iq type='set'><metadata xmlns='${NS}'/></iq>`);
    assert.equal(conditionOf(iq), 'service-unavailable');
  });
});
