// What is kept: how much, for how long, under which names, and how it is read.
import assert from 'node:assert/strict';
import { mock } from 'node:test';
import fc from 'fast-check';
import pubsub from '../../../modules/pubsub/index.ts';
import type { Probe } from '../../support/probe.ts';
import {
  ask,
  configure,
  create,
  get,
  idsOf,
  news,
  PUBSUB,
  PubSubScene,
  page,
  publication,
  publish,
  refusalOf,
  set,
  subscribe,
} from '../../support/pubsub-scene.ts';

const quote = (text: string): string => text.replace(/[&<>'"\t]/g, (char) => `&#${char.codePointAt(0)};`);

describe('pubsub: items', () => {
  let scene: PubSubScene;
  let owner: Probe;
  let reader: Probe;

  beforeEach(async () => {
    scene = await PubSubScene.open();
    [owner, reader] = (await scene.clients('owner', 'reader')) as [Probe, Probe];
  });
  afterEach(() => scene.stop());

  describe('a thousand', () => {
    const all = Array.from({ length: 1000 }, (_, i) => `i${i}`);
    beforeEach(async () => {
      await create(owner, 'news', { max_items: 'max' });
      const { place, counter } = scene.host.modules.api(pubsub)!;
      await counter.publish(
        place,
        'news',
        all.map((id) => ({ id, value: '' })),
      );
    });

    it('are read in pages, from the first one on', async () => {
      for (const max of [1000, 100, 64]) {
        const found: string[] = [];
        for (let rsm = `<max>${max}</max>`; ; rsm = `<max>${max}</max><after>${found.at(-1)}</after>`) {
          const { ids, first, last, count } = await page(reader, 'news', rsm);
          assert.equal(count, 1000);
          assert.deepEqual([first, last], [ids[0], ids.at(-1)]);
          if (ids.length === 0) break;
          found.push(...ids);
        }
        assert.deepEqual(found, all);
      }
    });

    it('and from the last one back', async () => {
      const found: string[] = [];
      for (let rsm = '<max>70</max><before/>'; ; rsm = `<max>70</max><before>${found[0]}</before>`) {
        const { ids } = await page(reader, 'news', rsm);
        if (ids.length === 0) break;
        found.unshift(...ids);
      }
      assert.deepEqual(found, all);
    });

    it('are more than is sent at once: the last ones are, and it is said how many there are', async () => {
      assert.deepEqual(await page(reader, 'news'), { ids: all.slice(-100), first: 'i900', last: 'i999', count: 1000 });
      assert.deepEqual(await page(reader, 'news', undefined, "max_items='500'"), {
        ids: all.slice(-100),
        first: 'i900',
        last: 'i999',
        count: 1000,
      });
      assert.deepEqual(await page(reader, 'news', undefined, "max_items='3'"), {
        ids: all.slice(-3),
        first: undefined,
        last: undefined,
        count: undefined,
      });
      assert.deepEqual((await page(reader, 'news', '<max>50</max><before/>', "max_items='3'")).ids, all.slice(-3));
    });

    it('are asked for by their ids, as many as are sent at once', async () => {
      const wanted = ['i7', ...all.slice(0, 150), 'i7', 'nothing'].map((id) => `<item id='${id}'/>`).join('');
      const payload = (await get(reader, `<items node='news'>${wanted}</items>`)).getChild('pubsub')!;
      assert.equal(payload.getChild('items')!.getChildren('item').length, 100);
      assert.equal(payload.getChild('set', 'http://jabber.org/protocol/rsm')!.getChildText('count'), '151');
    });

    it('become fewer when fewer are kept', async () => {
      await configure(owner, 'news', { max_items: '10' });
      assert.deepEqual(await idsOf(reader, 'news'), all.slice(-10));
      await publish(owner, 'news', 'new');
      assert.deepEqual(await idsOf(reader, 'news'), [...all.slice(-9), 'new']);
      await configure(owner, 'news', { max_items: '0' });
      assert.deepEqual(await idsOf(reader, 'news'), []);
      await publish(owner, 'news', 'newer');
      assert.deepEqual(await idsOf(reader, 'news'), []);
      await configure(owner, 'news', { persist_items: '0', max_items: '10' });
      await publish(owner, 'news', 'newest');
      assert.deepEqual(await idsOf(reader, 'news'), ['newest']);
    });
  });

  it('are not sent all at once when they are big', async () => {
    await create(owner, 'pictures', { max_payload_size: '262144' });
    const all = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i'];
    const payload = `<e xmlns='urn:example'>${'x'.repeat(200_000)}</e>`;
    for (const id of all) await set(owner, publication('pictures', id, payload));
    // Five have more than a megabyte together, and what the client does not read in time would close it.
    assert.deepEqual(await page(reader, 'pictures', '<max>100</max>'), { ids: all.slice(0, 5), first: 'a', last: 'e', count: 9 });
    assert.deepEqual((await page(reader, 'pictures', '<max>100</max><after>e</after>')).ids, all.slice(5));
    assert.deepEqual((await page(reader, 'pictures', '<max>100</max><before/>')).ids, all.slice(4));
    assert.deepEqual((await page(reader, 'pictures', '<max>100</max><before>e</before>')).ids, all.slice(0, 4));
    assert.equal((await page(reader, 'pictures')).count, 9);
  });

  it('are refused when they are too big', async () => {
    const of = (bytes: number) => `<e xmlns='urn:example'>${'x'.repeat(bytes - "<e xmlns='urn:example'></e>".length)}</e>`;
    await create(owner, 'news', { max_payload_size: '1000' });
    await set(owner, publication('news', 'i1', of(1000)));
    assert.equal(refusalOf(await ask(owner, 'set', publication('news', 'i2', of(1001)))), 'not-acceptable, payload-too-big');
    // In bytes, not in characters.
    assert.equal(
      refusalOf(await ask(owner, 'set', publication('news', 'i2', of(900).replace('x', 'é'.repeat(60))))),
      'not-acceptable, payload-too-big',
    );
    assert.deepEqual(await idsOf(reader, 'news'), ['i1']);
  });

  it('and nodes have any names of up to 1023 bytes', async () => {
    const names = [
      '\u{1f600}',
      'a b',
      ' ',
      'é',
      'e\u0301',
      'Ⅷ',
      '__proto__',
      '../../etc/passwd',
      "' OR 1=1 --",
      '%',
      '\u202e',
      '&<>"\'',
      'ß',
      'x'.repeat(1023),
      'é'.repeat(511),
      '\t',
    ];
    const raw = names.map(quote);
    for (const name of raw) await create(owner, name, { max_items: 'max' });
    for (const name of raw) assert.equal(refusalOf(await ask(owner, 'set', `<create node='${name}'/>`)), 'conflict');
    for (const id of raw) await publish(owner, raw[0]!, id);
    assert.deepEqual(await idsOf(reader, raw[0]!), names);
    for (const [i, id] of raw.entries()) {
      assert.deepEqual((await page(reader, raw[0]!, `<max>1</max><after>${id}</after>`)).ids, names.slice(i + 1, i + 2));
      assert.deepEqual(await idsOf(reader, raw[i]!), i === 0 ? names : []);
    }
    for (const name of ['x'.repeat(1024), 'é'.repeat(512)]) {
      assert.equal(refusalOf(await ask(owner, 'set', `<create node='${name}'/>`)), 'not-acceptable');
      assert.equal(refusalOf(await ask(owner, 'set', publication('n', name))), 'not-acceptable');
      assert.equal(refusalOf(await ask(owner, 'set', publication(name, 'i'))), 'not-acceptable');
    }
    assert.equal(refusalOf(await ask(owner, 'get', "<items node='n'/>")), 'item-not-found', 'what was refused makes no node');
  });

  it('come out as they went in', async () => {
    await create(owner, 'news', {});
    await subscribe(reader, 'news');
    const payloads = [
      `<a:e xmlns:a='urn:a'><a:f b='1' a:c='2'/></a:e>`,
      `<e xmlns='urn:e'><f xmlns=''/><g xmlns='urn:g'/></e>`,
      `<e xmlns='urn:e'>&lt;script&gt; &amp; ]]&gt; é \u{1f600}</e>`,
      `<item xmlns='${PUBSUB}' id='other'/>`,
      `<e xmlns='urn:e' xml:lang='de'>  two  spaces  </e>`,
    ];
    for (const payload of payloads) {
      await set(owner, publication('news', 'i', payload));
      const expected = (await get(reader, "<items node='news'/>")).getChild('pubsub')!.getChild('items')!.getChildElements()[0]!;
      const [message] = reader.take();
      const told = message!.getChild('event')!.getChild('items')!.getChildElements()[0]!;
      assert.equal(told.getChildElements()[0]!.toString(), expected.getChildElements()[0]!.toString());
      assert.equal(told.attrs['id'], 'i');
      assert.equal(expected.getChildElements().length, 1);
      assert.equal(expected.getChildElements()[0]!.getNS(), /xmlns(?::a)?='([^']*)'/.exec(payload)![1]);
    }
  });

  it('survive any text that XML has', async () => {
    await create(owner, 'news', { max_items: '1' });
    const char = fc
      .integer({ min: 0x20, max: 0x10_ffff })
      .filter((code) => (code < 0xd800 || code > 0xdfff) && code !== 0xfffe && code !== 0xffff);
    const text = fc.array(char, { minLength: 1, maxLength: 20 }).map((codes) => String.fromCodePoint(...codes));
    await fc.assert(
      fc.asyncProperty(text, text, async (id, content) => {
        await set(owner, publication('news', quote(id), `<e xmlns='urn:example'>${quote(content)}</e>`));
        const item = (await get(reader, "<items node='news'/>")).getChild('pubsub')!.getChild('items')!.getChildElements()[0]!;
        assert.equal(item.attrs['id'], id);
        assert.equal(item.getChildElements()[0]!.getText(), content);
      }),
      { numRuns: 50 },
    );
  });

  describe('that are kept for a while', () => {
    beforeEach(() => mock.timers.enable({ apis: ['Date'], now: Date.now() }));
    afterEach(() => mock.timers.reset());

    it('are gone when it is over, for all who ask', async () => {
      await create(owner, 'news', { item_expire: '60' });
      await publish(owner, 'news', 'i1', 'i2');
      mock.timers.tick(59_000);
      assert.deepEqual(await idsOf(reader, 'news'), ['i1', 'i2']);
      mock.timers.tick(2000);
      assert.deepEqual(await idsOf(reader, 'news'), []);
      assert.equal((await page(reader, 'news', '<max>0</max>')).count, 0);
      assert.deepEqual(
        (await get(reader, "<items node='news'><item id='i1'/></items>"))
          .getChild('pubsub')!
          .getChild('items')!
          .getChildElements(),
        [],
      );
      assert.equal(refusalOf(await ask(owner, 'set', "<retract node='news'><item id='i1'/></retract>")), 'item-not-found');
      // Nobody new is sent what is too old.
      await subscribe(reader, 'news');
      assert.deepEqual(await news(reader), []);
    });

    it('take no room when it is over', async () => {
      await create(owner, 'news', { item_expire: '60', max_items: '2', publish_node_full: 'reject' });
      await publish(owner, 'news', 'i1', 'i2');
      assert.equal(refusalOf(await ask(owner, 'set', publication('news', 'i3'))), 'conflict, node-full');
      mock.timers.tick(61_000);
      await publish(owner, 'news', 'i3');
    });

    it('are thrown away now and then', async () => {
      await create(owner, 'short', { item_expire: '60' });
      await create(owner, 'long', { item_expire: 'max' });
      await publish(owner, 'short', 'i1');
      await publish(owner, 'long', 'i1');
      mock.timers.tick(61_000);
      const { counter } = scene.host.modules.api(pubsub)!;
      await counter.expire(new AbortController().signal);
      await configure(owner, 'short', { item_expire: 'max' });
      assert.deepEqual(await idsOf(reader, 'short'), []);
      assert.deepEqual(await idsOf(reader, 'long'), ['i1']);
    });

    it('are kept for as long as anybody may say', async () => {
      await create(owner, 'news', { item_expire: '999999999999999' });
      await publish(owner, 'news', 'i1');
      assert.deepEqual(await idsOf(reader, 'news'), ['i1']);
    });
  });
});
