import assert from 'node:assert/strict';
import fc from 'fast-check';
import { TAG } from '../../../modules/mam/tag.ts';
import { timeOf } from '../../../src/ids.ts';
import { StanzaError } from '../../../src/stanza/errors.ts';
import type { ArchiveItem } from '../../../src/storage/storage.ts';
import { type Answer, ArchiveScene, EPOCH, type Kept } from '../../support/archive-scene.ts';

type Item = Required<ArchiveItem>;
const ids = (items: readonly { readonly id: string }[]): readonly string[] => items.map(({ id }) => id);

describe('mam: pages (XEP-0313 section 4.3)', () => {
  let scene: ArchiveScene;
  let all: readonly string[];
  beforeEach(async () => {
    scene = await ArchiveScene.open({ maxPage: 4 });
    all = ids(await scene.keep(Array.from({ length: 10 }, (_, i) => ({ with: i % 2 ? 'a@example.net' : 'b@example.net' }))));
  });
  afterEach(() => scene.host.stop());

  const page = ({ ids: found, complete, first, last, count }: Answer) => ({ found, complete, first, last, count });
  const of = (found: readonly string[], complete?: 'true') => ({
    found,
    complete,
    first: found[0],
    last: found.at(-1),
    count: undefined,
  });

  it('begin at the start and are as long as the server allows', async () => {
    for (const rsm of ['', '<max>4</max>', '<max>2147483647</max>', '<after/>']) {
      assert.deepEqual(page(await scene.ask({}, rsm)), of(all.slice(0, 4)), rsm);
    }
  });

  it('are as short as the client wants', async () => {
    assert.deepEqual(page(await scene.ask({}, '<max>1</max>')), of(all.slice(0, 1)));
  });

  it('go on after an id', async () => {
    assert.deepEqual(page(await scene.ask({}, `<after>${all[3]}</after>`)), of(all.slice(4, 8)));
    assert.deepEqual(page(await scene.ask({}, `<after>${all[7]}</after>`)), of(all.slice(8), 'true'));
    assert.deepEqual(page(await scene.ask({}, `<max>2</max><after>${all[7]}</after>`)), of(all.slice(8), 'true'));
    assert.deepEqual(page(await scene.ask({}, `<after>${all[9]}</after>`)), of([], 'true'));
  });

  it('go back before an id', async () => {
    assert.deepEqual(page(await scene.ask({}, `<before>${all[6]}</before>`)), of(all.slice(2, 6)));
    assert.deepEqual(page(await scene.ask({}, `<before>${all[3]}</before>`)), of(all.slice(0, 3), 'true'));
    assert.deepEqual(page(await scene.ask({}, `<before>${all[0]}</before>`)), of([], 'true'));
  });

  it('begin at the end for who asks for the last one', async () => {
    assert.deepEqual(page(await scene.ask({}, '<before/>')), of(all.slice(6)));
    assert.deepEqual(page(await scene.ask({}, '<max>2</max><before/>')), of(all.slice(8)));
    assert.deepEqual(page(await scene.ask({ 'after-id': [all[7]!] }, '<before/>')), of(all.slice(8), 'true'));
  });

  it('lie between two ids, at the end of what is there', async () => {
    const between = `<after>${all[1]}</after><before>${all[8]}</before>`;
    assert.deepEqual(page(await scene.ask({}, between)), of(all.slice(4, 8)));
    assert.deepEqual(
      page(await scene.ask({}, `<after>${all[1]}</after><before>${all[4]}</before>`)),
      of(all.slice(2, 4), 'true'),
    );
    assert.deepEqual(page(await scene.ask({}, `<after>${all[4]}</after><before>${all[4]}</before>`)), of([], 'true'));
  });

  it('keep within what the form asks for, whatever ids they name', async () => {
    const range = { 'after-id': [all[2]!], 'before-id': [all[7]!] };
    assert.deepEqual(page(await scene.ask(range, `<after>${all[0]}</after>`)), of(all.slice(3, 7), 'true'));
    assert.deepEqual(page(await scene.ask(range, `<before>${all[9]}</before>`)), of(all.slice(3, 7), 'true'));
    assert.deepEqual(page(await scene.ask(range, `<before>${all[5]}</before>`)), of(all.slice(3, 5), 'true'));
    // An id that is in the archive, though not in the set.
    assert.deepEqual(
      page(await scene.ask({ with: ['a@example.net'] }, `<after>${all[6]}</after>`)),
      of([all[7]!, all[9]!], 'true'),
    );
  });

  it('are sent from their end when they are flipped, and are the same pages (section 4.3.4)', async () => {
    const flip = { inner: '<flip-page/>' };
    for (const [rsm, wanted] of [
      ['', all.slice(0, 4)],
      ['<before/>', all.slice(6)],
      [`<after>${all[7]}</after>`, all.slice(8)],
    ] as const) {
      const answer = await scene.ask({}, rsm, flip);
      assert.deepEqual(answer.ids, wanted.toReversed());
      assert.deepEqual([answer.first, answer.last], [wanted[0], wanted.at(-1)]);
    }
  });

  it('tell how many results there are to who wants none (XEP-0059 section 2.7)', async () => {
    const counted = (count: string, complete?: string) => ({ ...of([]), count, complete });
    assert.deepEqual(page(await scene.ask({}, '<max>0</max>')), counted('10'));
    assert.deepEqual(page(await scene.ask({ with: ['a@example.net'] }, '<max>0</max>')), counted('5'));
    assert.deepEqual(page(await scene.ask({ with: ['c@example.net'] }, '<max>0</max>')), counted('0', 'true'));
    // The number is of the whole set; whether there is more after the page is another question.
    assert.deepEqual(page(await scene.ask({}, `<max>0</max><after>${all[3]}</after>`)), counted('10'));
    assert.deepEqual(page(await scene.ask({}, `<max>0</max><after>${all[9]}</after>`)), counted('10', 'true'));
    assert.deepEqual(page(await scene.ask({}, `<max>0</max><before>${all[0]}</before>`)), counted('10', 'true'));
  });

  it('are announced before they are sent, with whether they reach the end of the archive', async () => {
    const reaches = async (...request: Parameters<ArchiveScene['ask']>) => {
      scene.pages.length = 0;
      const answer = await scene.ask(...request);
      const [told] = scene.pages;
      assert.deepEqual([told!.owner, told!.origin, told!.ids], ['juliet', scene.juliet.session, answer.ids]);
      return told!.reachedEnd;
    };
    assert.equal(await reaches(), false);
    assert.equal(await reaches({}, `<after>${all[5]}</after>`), true);
    assert.equal(await reaches({}, `<after>${all[9]}</after>`), true);
    assert.equal(await reaches({}, '<before/>'), true);
    assert.equal(await reaches({}, `<after>${all[0]}</after><before/>`), true);
    assert.equal(await reaches({}, '<before/><max>0</max>'), false);
    assert.equal(await reaches({ start: [new Date(EPOCH).toISOString()] }, '<before/>'), true);
    assert.equal(await reaches({ 'after-id': [all[8]!] }), true);
    assert.equal(await reaches({ with: ['a@example.net'] }, '<before/>'), false);
    assert.equal(await reaches({ end: ['2099-01-01T00:00:00Z'] }, '<before/>'), false);
    assert.equal(await reaches({ 'before-id': [all[3]!] }), false);
    assert.equal(await reaches({ ids: [all[9]!] }), false);
    assert.equal(await reaches({ '{urn:xmpp:fulltext:0}fulltext': ['hail'] }, '<before/>'), false);
    assert.equal(await reaches({}, `<before>${all[3]}</before>`), false);
    await scene.store.remove('juliet', {});
    assert.equal(await reaches(), true);
    assert.equal(await reaches({}, '<before/><max>0</max>'), true);
  });
});

describe('mam: pages of any size', () => {
  let scene: ArchiveScene;
  before(async () => {
    scene = await ArchiveScene.open({ maxPage: 7 });
  });
  after(() => scene.host.stop());

  const WITH = ['romeo@example.net', 'nurse@example.org', 'juliet@example.org'] as const;
  const WORDS = ['hail', 'Ŵitch', 'STRASSE', 'thee'] as const;

  const kept = fc.record({
    with: fc.constantFrom(...WITH),
    resource: fc.constantFrom('', 'orchard', 'garden'),
    tag: fc.integer({ min: 0, max: 15 }),
    step: fc.constantFrom(0, 0, 1, 1000),
    body: fc.array(fc.constantFrom(...WORDS), { maxLength: 3 }).map((words) => words.join(' ')),
  });

  const place = fc.integer({ min: 0, max: 59 });
  const wish = fc.record(
    {
      with: fc.constantFrom(...WITH, `${WITH[0]}/orchard`, 'nobody@example.org'),
      start: place,
      end: place,
      before: place,
      after: place,
      ids: fc.array(place, { minLength: 1, maxLength: 20 }),
      includesGroupchat: fc.boolean(),
      text: fc.constantFrom('hail', 'witch', 'straße THEE', 'nothing'),
    },
    { requiredKeys: [] },
  );
  type Wish = typeof wish extends fc.Arbitrary<infer T> ? T : never;

  const at = (items: readonly Item[], i: number): Item => items[i % items.length]!;

  /** What a plain look at every item finds. */
  function expected(items: readonly Item[], bodies: ReadonlyMap<string, string>, wanted: Wish): readonly string[] {
    const { start, end, before, after, ids: some, text } = wanted;
    const chosen = some && new Set(some.map((i) => at(items, i).id));
    const folded = (body: string) => body.replace('Ŵ', 'W').replaceAll('ß', 'ss').toLowerCase();
    return ids(
      items.filter(({ id, with: other, resource, tag }) => {
        if (wanted.with !== undefined && wanted.with !== other && wanted.with !== `${other}/${resource}`) return false;
        if (start !== undefined && timeOf(id)! < timeOf(at(items, start).id)!) return false;
        if (end !== undefined && timeOf(id)! > timeOf(at(items, end).id)!) return false;
        if (before !== undefined && id >= at(items, before).id) return false;
        if (after !== undefined && id <= at(items, after).id) return false;
        if (wanted.includesGroupchat === false && tag & TAG.groupchat) return false;
        if (
          text &&
          !folded(text)
            .split(' ')
            .every((word) => folded(bodies.get(id)!).replaceAll('ŵ', 'w').includes(word))
        )
          return false;
        return chosen?.has(id) ?? true;
      }),
    );
  }

  function toFields(items: readonly Item[], wanted: Wish): Record<string, readonly string[]> {
    const fields: Record<string, readonly string[]> = {};
    const time = (i: number) => [new Date(timeOf(at(items, i).id)!).toISOString()];
    if (wanted.with !== undefined) fields['with'] = [wanted.with];
    if (wanted.start !== undefined) fields['start'] = time(wanted.start);
    if (wanted.end !== undefined) fields['end'] = time(wanted.end);
    if (wanted.before !== undefined) fields['before-id'] = [at(items, wanted.before).id];
    if (wanted.after !== undefined) fields['after-id'] = [at(items, wanted.after).id];
    if (wanted.ids !== undefined) fields['ids'] = wanted.ids.map((i) => at(items, i).id);
    if (wanted.includesGroupchat !== undefined) fields['include-groupchat'] = [String(wanted.includesGroupchat)];
    if (wanted.text !== undefined) fields['{urn:xmpp:fulltext:0}fulltext'] = [wanted.text];
    return fields;
  }

  /** All results, page by page. */
  async function readAll(
    fields: Record<string, readonly string[]>,
    max: number,
    how: { isBackward: boolean; isFlipped: boolean },
  ) {
    const pages: (readonly string[])[] = [];
    let cursor = how.isBackward ? '<before/>' : '';
    for (;;) {
      const answer = await scene.ask(fields, `<max>${max}</max>${cursor}`, how.isFlipped ? { inner: '<flip-page/>' } : {});
      assert.equal(answer.error, undefined);
      const found = how.isFlipped ? answer.ids.toReversed() : answer.ids;
      assert(found.length <= Math.min(max, 7), 'a page is too long');
      assert.deepEqual([answer.first, answer.last], [found[0], found.at(-1)]);
      pages.push(found);
      if (answer.complete === 'true') break;
      assert(found.length > 0, 'an empty page that is not the last');
      cursor = how.isBackward ? `<before>${answer.first}</before>` : `<after>${answer.last}</after>`;
    }
    return how.isBackward ? pages.toReversed() : pages;
  }

  it('give the same, forwards, backwards and flipped, as a look at every item', async () => {
    const how = fc.record({ isBackward: fc.boolean(), isFlipped: fc.boolean() });
    const many = fc.array(kept, { minLength: 1, maxLength: 60 });
    await fc.assert(
      fc.asyncProperty(many, wish, fc.integer({ min: 1, max: 9 }), how, async (messages, wanted, max, way) => {
        await scene.store.remove('juliet', {});
        let time = EPOCH;
        const items = await scene.keep(messages.map(({ step, ...rest }): Kept => ({ ...rest, time: (time += step) })));
        const bodies = new Map(items.map(({ id }, i) => [id, messages[i]!.body]));
        const wantedIds = expected(items, bodies, wanted);
        const pages = await readAll(toFields(items, wanted), max, way);
        assert.deepEqual(pages.flat(), wantedIds);
        // No page more than it takes: the last one says that it is the last.
        assert.equal(pages.length, Math.max(1, Math.ceil(wantedIds.length / Math.min(max, 7))));
        const { count } = await scene.ask(toFields(items, wanted), '<max>0</max>');
        assert.equal(count, wanted.text === undefined ? String(wantedIds.length) : undefined);
      }),
      { numRuns: 200 },
    );
  });
});

describe('mam: pages of few among many', () => {
  for (const isBackward of [false, true]) {
    it(`end where enough was looked at, and go on from there, ${isBackward ? 'backwards' : 'forwards'}`, async () => {
      const scene = await ArchiveScene.open({ searchLimit: 50 });
      const kept = Array.from(
        { length: 230 },
        (_, i): Kept => ({ resource: i % 100 === 7 ? 'orchard' : 'garden', tag: TAG.groupchat }),
      );
      const items = await scene.keep(kept);
      for (const [fields, wanted] of [
        [{ with: ['romeo@example.net/orchard'] }, ids([items[7]!, items[107]!, items[207]!])],
        [{ 'include-groupchat': ['false'] }, []],
      ] as const) {
        const found: string[] = [];
        let cursor = isBackward ? '<before/>' : '';
        let pages = 1;
        for (; ; pages++) {
          assert(pages < 10, 'it never ends');
          const answer = await scene.ask(fields, cursor);
          if (isBackward) found.unshift(...answer.ids);
          else found.push(...answer.ids);
          if (answer.complete === 'true') break;
          cursor = isBackward ? `<before>${answer.first}</before>` : `<after>${answer.last}</after>`;
        }
        assert.deepEqual([found, pages], [wanted, 5]);
      }
      await scene.host.stop();
    });
  }
});

describe('mam: long pages', () => {
  it('are shorter than was asked for when the messages are long, and go on from there', async () => {
    const scene = await ArchiveScene.open();
    const body = 'x'.repeat(200_000);
    const all = ids(await scene.keep(Array.from({ length: 7 }, () => ({ body }))));
    for (const isBackward of [false, true]) {
      const found: string[] = [];
      let cursor = isBackward ? '<before/>' : '';
      for (let pages = 0; ; pages++) {
        assert(pages < 10);
        const answer = await scene.ask({}, cursor);
        assert(answer.ids.length >= 1 && answer.ids.length <= 2, `${answer.ids.length} results`);
        if (isBackward) found.unshift(...answer.ids);
        else found.push(...answer.ids);
        if (answer.complete === 'true') break;
        cursor = isBackward ? `<before>${answer.first}</before>` : `<after>${answer.last}</after>`;
      }
      assert.deepEqual(found, all);
    }
    await scene.host.stop();
  });

  it('hold one message at least', async () => {
    const scene = await ArchiveScene.open();
    const [first] = ids(await scene.keep([{ body: 'x'.repeat(600_000) }, {}]));
    const answer = await scene.ask();
    assert.deepEqual([answer.ids, answer.complete, answer.last], [[first], undefined, first]);
    await scene.host.stop();
  });

  it('are put together from several looks at the store', async () => {
    const scene = await ArchiveScene.open();
    const all = ids(await scene.keep(Array.from({ length: 260 }, () => ({}))));
    assert.deepEqual((await scene.ask()).ids, all.slice(0, 250));
    assert.deepEqual((await scene.ask({}, '<before/>')).ids, all.slice(10));
    assert.deepEqual((await scene.ask({}, '<max>101</max>')).ids, all.slice(0, 101));
    const rest = await scene.ask({}, `<after>${all[159]}</after>`);
    assert.deepEqual([rest.ids, rest.complete], [all.slice(160), 'true']);
    await scene.host.stop();
  });

  it('show what the archive makes of a message', async () => {
    const transform = ({ id }: { id: string }) => `<message xmlns='jabber:client' id='${id}'/>`;
    const scene = await ArchiveScene.open({ transform });
    const [item] = await scene.keep([{}]);
    const { results } = await scene.ask();
    assert.equal(
      String(results[0]!.getChild('forwarded')!.getChild('message')),
      `<message xmlns="jabber:client" id="${item!.id}"/>`,
    );
    await scene.host.stop();
  });

  it('are not sent before whoever is told of them has dealt with it', async () => {
    let settle: () => void = () => {};
    const told = new Promise<void>((resolve) => {
      settle = resolve;
    });
    const scene = await ArchiveScene.open({ onPage: () => told });
    const [item] = await scene.keep([{}]);
    scene.juliet.send("<iq type='set' id='1'><query xmlns='urn:xmpp:mam:2'/></iq>");
    await scene.juliet.quiet();
    settle();
    assert.equal((await scene.juliet.receive('message')).getChild('result')?.attrs['id'], item!.id);
    await scene.host.stop();
  });

  it('are not sent at all when that fails', async () => {
    const scene = await ArchiveScene.open({ onPage: () => Promise.reject(new StanzaError('resource-constraint')) });
    await scene.keep([{}]);
    const answer = await scene.ask();
    assert.deepEqual([answer.error, answer.ids], ['resource-constraint', []]);
    await scene.host.stop();
  });
});
