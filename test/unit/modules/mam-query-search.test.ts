import assert from 'node:assert/strict';
import { Words } from '../../../modules/mam/query/words.ts';
import { silent } from '../../../src/log.ts';
import { escapeXml } from '../../../src/xml/escape.ts';
import { ArchiveScene, type SceneOptions, writeSubmission } from '../../support/archive-scene.ts';
import { settle } from '../../support/probe.ts';

const ids = (items: readonly { readonly id: string }[]): readonly string[] => items.map(({ id }) => id);
const FULLTEXT = '{urn:xmpp:fulltext:0}fulltext';

describe('mam: words', () => {
  const message = (inner: string) => `<message xmlns='jabber:client' type='chat'>${inner}</message>`;
  const finds = (text: string, stanza: string): boolean => {
    const words = Words.read(text)!;
    const isFound = words.areIn(stanza);
    assert(!isFound || words.mayBeIn(stanza), 'what is there is not even looked at');
    return isFound;
  };

  for (const [text, body, wanted] of [
    ['hail', 'Hail to thee', true],
    ['HAIL', 'hail', true],
    ['thee hail', 'Hail to thee', true],
    ['ai', 'Hail to thee', true],
    ['hail macbeth', 'Hail to thee', false],
    ['  hail \n\t thee ', 'Hail to thee', true],
    ['hail to thee', 'thee, to\nhail', true],
    ['cafe', 'Café', true],
    ['café', 'CAFE', true],
    ['cafe\u0301', 'caf\u00e9', true],
    ['strasse', 'Straße', true],
    ['STRAẞE', 'strasse', true],
    ['ΟΔΟΣ', 'οδος', true],
    ['οδοσ', 'ΟΔΟΣ και', true],
    ['istanbul', 'İstanbul', true],
    ['fi', 'ﬁsh', true],
    ['abc１', 'ＡＢＣ1', true],
    ['привет', 'ПРИВЕТ', true],
    ['ё', 'е', true],
    ['한글', '안녕 한글', true],
    ['中文', '这是中文', true],
    ['😀', 'ha 😀', true],
    ['😁', 'ha 😀', false],
    ['a\u00a0b', 'b a', true],
    ['<b>', 'a <b> c', true],
    ['&', 'you & me', true],
    ['&amp;', 'you & me', false],
    ["it's", "It's", true],
    ['a<b', 'xa<by', true],
    ['＆', 'you & me', true],
    ['%', '100%', true],
    ['_', 'snake_case', true],
    ['.*', 'anything', false],
    ['body', 'no such word', false],
    ['message', 'no such word', false],
    ['chat', 'no such word', false],
    ['jabber:client', 'no such word', false],
  ] as const) {
    it(`${JSON.stringify(text)} ${wanted ? 'is' : 'is not'} in ${JSON.stringify(body)}`, () => {
      assert.equal(finds(text, message(`<body>${escapeXml(body)}</body>`)), wanted);
    });
  }

  it('are found however a character is written', () => {
    assert.equal(finds('cafe', message('<body>c&#97;f&#xe9;</body>')), true);
    assert.equal(finds('a&b', message('<body>a&#38;b</body>')), true);
  });

  it('are found in subjects and in every language, together', () => {
    const both = message("<subject>Balcony</subject><body>Hail</body><body xml:lang='de'>Heil</body>");
    for (const text of ['balcony', 'heil', 'balcony heil', 'hail heil']) assert.equal(finds(text, both), true, text);
    assert.equal(finds('hailheil', both), false);
  });

  it('are found nowhere else', () => {
    const stanza = message(
      "<thread>hail</thread><x xmlns='urn:x'><body>hail</body></x><body xmlns='urn:y'>hail</body><body>no</body>",
    );
    assert.equal(finds('hail', stanza), false);
    assert.equal(finds('hail', message('')), false);
  });

  it('are none in an empty text, or one of nothing but marks', () => {
    for (const text of ['', ' \n', '\u0301']) assert.equal(Words.read(text), undefined);
  });
});

describe('mam: full-text search (XEP-0431)', () => {
  let scene: ArchiveScene;
  const open = async (options: SceneOptions = {}) => {
    scene = await ArchiveScene.open(options);
  };
  afterEach(() => scene.host.stop());
  const search = (text: string, rsm = '', fields = {}) => scene.ask({ [FULLTEXT]: [text], ...fields }, rsm);

  it('goes with the other filters', async () => {
    await open();
    const items = await scene.keep([
      { body: 'Hail', with: 'witch@example.net' },
      { body: 'Hail' },
      { body: 'Farewell', with: 'witch@example.net' },
      { body: 'All hail', with: 'witch@example.net' },
    ]);
    assert.deepEqual((await search('hail')).ids, ids([items[0]!, items[1]!, items[3]!]));
    assert.deepEqual((await search('hail', '', { with: ['witch@example.net'] })).ids, ids([items[0]!, items[3]!]));
    assert.deepEqual((await search('hail', '', { 'after-id': [items[0]!.id] })).ids, ids([items[1]!, items[3]!]));
    assert.equal((await search('hail', `<after>${items[0]!.id}0</after>`)).error, 'item-not-found');
  });

  it('finds nothing where nothing is, and says so', async () => {
    await open();
    assert.deepEqual([(await search('hail')).complete, (await search('hail')).first], ['true', undefined]);
    await scene.keep(Array.from({ length: 250 }, () => ({})));
    const { ids: found, complete, first } = await search('macbeth');
    assert.deepEqual([found, complete, first], [[], 'true', undefined]);
  });

  it('says that a page is the last one only when nothing else can be found', async () => {
    await open();
    const items = await scene.keep(Array.from({ length: 300 }, (_, i) => ({ body: i % 100 === 50 ? 'needle' : 'hay' })));
    const [a, b, c] = ids([items[50]!, items[150]!, items[250]!]);
    const page = async (rsm: string) => {
      const { ids: found, complete } = await search('needle', rsm);
      return [found, complete];
    };
    assert.deepEqual(await page('<max>2</max>'), [[a, b], undefined]);
    assert.deepEqual(await page(`<max>2</max><after>${b}</after>`), [[c], 'true']);
    assert.deepEqual(await page('<max>3</max>'), [[a, b, c], 'true']);
    assert.deepEqual(await page('<max>2</max><before/>'), [[b, c], undefined]);
    assert.deepEqual(await page(`<max>2</max><before>${b}</before>`), [[a], 'true']);
    assert.deepEqual(await page('<max>0</max>'), [[], undefined]);
  });

  for (const isBackward of [false, true]) {
    it(`looks at no more messages at once than it may, and goes on where it ended, ${isBackward ? 'backwards' : 'forwards'}`, async () => {
      await open({ searchLimit: 40 });
      const items = await scene.keep(
        Array.from({ length: 230 }, (_, i) => ({ body: i === 5 || i === 130 || i === 131 ? 'needle' : 'hay' })),
      );
      const found: string[] = [];
      let cursor = isBackward ? '<before/>' : '';
      let pages = 0;
      for (; ; pages++) {
        assert(pages < 20, 'it never ends');
        const answer = await search('needle', cursor);
        if (isBackward) found.unshift(...answer.ids);
        else found.push(...answer.ids);
        if (answer.complete === 'true') break;
        assert(answer.first !== undefined && answer.last !== undefined && answer.first <= answer.last);
        cursor = isBackward ? `<before>${answer.first}</before>` : `<after>${answer.last}</after>`;
      }
      assert.deepEqual(found, ids([items[5]!, items[130]!, items[131]!]));
      assert.equal(pages, 5);
    });
  }

  it('takes long messages for several', async () => {
    await open({ searchLimit: 40 });
    const items = await scene.keep(Array.from({ length: 10 }, () => ({ body: 'x'.repeat(100_000) })));
    const { complete, last } = await search('y');
    assert.deepEqual([complete, last], [undefined, items[1]!.id]);
  });

  it('sends no more at once than any other query', async () => {
    await open();
    await scene.keep(Array.from({ length: 7 }, () => ({ body: `hail ${'x'.repeat(200_000)}` })));
    assert.deepEqual([(await search('hail')).ids.length, (await search('hail')).complete], [2, undefined]);
  });

  it('passes over what cannot be read', async () => {
    const faults: string[] = [];
    const log = { ...silent, error: (text: string) => void faults.push(text), child: () => log };
    await open({ host: { log } });
    const [, good] = await scene.keep([{ stanza: '<message><body>hail' }, { body: 'hail' }]);
    assert.deepEqual((await search('hail')).ids, [good!.id]);
    assert.deepEqual(faults, ['a message in an archive cannot be read']);
  });

  it('is done for one client of an account after the other', async () => {
    await open();
    await scene.keep(Array.from({ length: 150 }, () => ({})));
    const other = await scene.host.login('juliet', 'chamber');
    const form = writeSubmission({ [FULLTEXT]: ['hail'] });
    const [first, second] = await Promise.all([scene.send(form), scene.send(form, '', other)]);
    assert.deepEqual([first.ids.length, second.ids.length], [150, 150]);
    const again = await search('hail');
    assert.equal(again.ids.length, 150);
  });

  it('is given up when its client goes, and then does not look at anything', async () => {
    await open();
    await scene.keep([{ body: 'hail' }]);
    const { store } = scene;
    const query = store.query.bind(store);
    let looks = 0;
    store.query = (...request) => {
      looks++;
      return query(...request);
    };
    const other = await scene.host.login('juliet', 'chamber');
    other.send(`<iq type='set' id='1'><query xmlns='urn:xmpp:mam:2'>${writeSubmission({ [FULLTEXT]: ['hail'] })}</query></iq>`);
    other.drop();
    await settle();
    assert.equal(looks, 0);
    assert.equal((await search('hail')).ids.length, 1);
  });

  it('is given up when the server stops', async () => {
    await open();
    // Words that are in the XML of each message, so that all have to be read.
    await scene.keep(Array.from({ length: 2000 }, () => ({ body: 'message' })));
    const form = writeSubmission({ [FULLTEXT]: ['chat client'] });
    scene.juliet.send(`<iq type='set' id='1'><query xmlns='urn:xmpp:mam:2'>${form}</query></iq>`);
    await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(scene.juliet.take(), []);
  });

  it('leaves turns to others', async () => {
    await open();
    await scene.keep(Array.from({ length: 2000 }, () => ({ body: 'message' })));
    const nurse = await scene.host.login('nurse', 'hall');
    const searching = search('chat client');
    const answer = await scene.send('', '', nurse);
    assert.deepEqual([answer.complete, scene.juliet.take()], ['true', []]);
    assert.deepEqual([(await searching).ids, (await searching).complete], [[], 'true']);
  });
});
