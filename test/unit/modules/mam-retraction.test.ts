import assert from 'node:assert/strict';
import { NS_RETRACT, RETRACTION_FEATURES, Retractions, readRetraction } from '../../../modules/mam/retraction.ts';
import { TAG } from '../../../modules/mam/tag.ts';
import { makeIdSource } from '../../../src/ids.ts';
import { Jid } from '../../../src/jid.ts';
import { silent } from '../../../src/log.ts';
import { openStorage } from '../../../src/storage/open.ts';
import { type ArchiveFilter, type ArchiveStore, archiveStore, type Storage } from '../../../src/storage/storage.ts';
import { readStanza, writeStanza } from '../../../src/xml/text.ts';

const ROMEO = 'romeo@example.net';
const JULIET = 'juliet@example.org';
const TIME = Date.parse('2026-03-01T12:00:00.000Z');

const retract = (id: string) => `<retract xmlns='${NS_RETRACT}' id='${id}'/>`;
const fasten = (id: string) =>
  `<apply-to xmlns='urn:xmpp:fasten:0' id='${id}'><retract xmlns='urn:xmpp:message-retract:0'/></apply-to>`;
const originId = (id: string) => `<origin-id xmlns='urn:xmpp:sid:0' id='${id}'/>`;
const MUC = "<x xmlns='http://jabber.org/protocol/muc#user'/>";
const occupant = (id: string) => `<occupant-id xmlns='urn:xmpp:occupant-id:0' id='${id}'/>`;

/** What is put into an archive: a message of romeo's to juliet unless it says otherwise. */
interface Written {
  readonly from?: string;
  readonly to?: string;
  readonly id?: string;
  readonly type?: string;
  readonly inner?: string;
  readonly with?: string;
  readonly tag?: number;
}

describe('mam: retraction (XEP-0424)', () => {
  let storage: Storage;
  let messages: ArchiveStore;
  let retractions: Retractions;
  let next: () => string;

  beforeEach(async () => {
    storage = await openStorage({ type: 'memory' }, silent);
    ({ messages } = await storage.open('example.org', 'mam', { messages: archiveStore() }));
    retractions = new Retractions(messages);
    next = makeIdSource(() => TIME);
  });
  afterEach(() => storage.close());

  function write({ from = `${ROMEO}/orchard`, to = `${JULIET}/balcony`, id = 'm1', type = 'chat', inner }: Written): string {
    return `<message xmlns='jabber:client' from='${from}' to='${to}' type='${type}' id='${id}'>${inner ?? '<body>Hi</body>'}</message>`;
  }

  /** Archives a message for juliet, and gives its item's id. */
  async function keep(message: Written = {}): Promise<string> {
    const id = next();
    const other = message.with ?? Jid.parse(message.from ?? ROMEO).bare;
    await messages.append('juliet', { id, with: other, tag: message.tag ?? TAG.conversation, stanza: write(message) });
    return id;
  }

  /** Archives a message that retracts, and does what it asks for. */
  async function ask(message: Written): Promise<boolean> {
    const stanza = readStanza(write({ id: 'r1', ...message }));
    const other = message.with ?? Jid.parse(message.from ?? ROMEO).bare;
    return retractions.retract('juliet', other, stanza, await keep({ id: 'r1', tag: 0, ...message }));
  }

  async function read(id: string): Promise<{ readonly tag: number; readonly stanza: string }> {
    const [item] = (await messages.query('juliet', { ids: [id] })).items;
    return { tag: item!.tag, stanza: item!.stanza };
  }

  const untouched = async (id: string) => assert.doesNotMatch((await read(id)).stanza, /<retracted/);

  it('is announced, with its tombstones (sections 2 and 4)', () => {
    assert.deepEqual(RETRACTION_FEATURES, ['urn:xmpp:message-retract:1', 'urn:xmpp:message-retract:1#tombstone']);
  });

  it('puts a tombstone in the place of the message, and stays itself (sections 4 and 5)', async () => {
    const thread = '<thread>t1</thread><subject>Secret</subject><body>Have not saints lips?</body>';
    const original = await keep({ inner: thread, tag: TAG.conversation | TAG.outgoing });
    assert.equal(await ask({ inner: retract('m1') }), true);
    assert.deepEqual(await read(original), {
      tag: TAG.tombstone | TAG.outgoing,
      stanza: writeStanza(
        readStanza(write({ inner: `<retracted xmlns='${NS_RETRACT}' id='r1' stamp='2026-03-01T12:00:00.000Z'/>` })),
      ),
    });
    const all = (await messages.query('juliet', {})).items.map(({ stanza }) => readStanza(stanza).id);
    assert.deepEqual(all, ['m1', 'r1']);
  });

  it('keeps what the message’s own tag said, and nothing that it has not', async () => {
    const id = next();
    const stanza = `<message xmlns='jabber:client' from='${ROMEO}/a' id='bare'><body>Hi</body></message>`;
    await messages.append('juliet', { id, with: ROMEO, stanza });
    assert.equal(await ask({ inner: retract('bare') }), true);
    const { attrs } = readStanza((await read(id)).stanza).element;
    assert.deepEqual({ ...attrs }, { xmlns: 'jabber:client', from: `${ROMEO}/a`, id: 'bare' });
  });

  it('may come from another device of the same sender', async () => {
    const id = await keep({ from: `${ROMEO}/orchard` });
    assert.equal(await ask({ from: `${ROMEO}/phone`, inner: retract('m1') }), true);
    assert.match((await read(id)).stanza, /<retracted/);
  });

  it('is for one’s own messages too, in one’s own archive', async () => {
    const id = await keep({ from: `${JULIET}/balcony`, to: ROMEO, with: ROMEO, tag: TAG.outgoing | TAG.conversation });
    assert.equal(await ask({ from: `${JULIET}/phone`, to: ROMEO, with: ROMEO, inner: retract('m1') }), true);
    assert.match((await read(id)).stanza, /<retracted/);
  });

  for (const [what, original, retraction] of [
    ['another sender', {}, { from: `${JULIET}/balcony`, to: ROMEO, with: ROMEO }],
    ['a stranger in a conversation of its own', {}, { from: 'tybalt@example.net/x' }],
    [
      'the sender in another conversation',
      { from: `${JULIET}/b`, with: ROMEO },
      { from: `${JULIET}/b`, with: 'tybalt@example.net' },
    ],
    ['an unknown id', {}, { inner: retract('m2') }],
    ['a part of the id', {}, { inner: retract('m') }],
    ['no id', {}, { inner: retract('') }],
    ['an id in other letters', {}, { inner: retract('M1') }],
    ['an id that only stands in the text', { id: 'other', inner: "<body>id='m1'</body>" }, {}],
    ['an id that is one of a child', { id: 'other', inner: "<thing xmlns='urn:example' id='m1'/>" }, {}],
    ['an origin-id in the new form', { id: 'other', inner: originId('m1') }, {}],
    ['itself', { id: 'other' }, { id: 'm1' }],
    ['a sender that is none', {}, { from: 'romeo@@example.net', with: ROMEO }],
    ['no id of its own', {}, { id: '' }],
    ['an error, which gives back what was sent', {}, { type: 'error' }],
    ['what is said in a room', {}, { type: 'groupchat' }],
  ] as const satisfies readonly (readonly [string, Written, Written])[]) {
    it(`is not done for ${what}`, async () => {
      const id = await keep(original);
      assert.equal(await ask({ inner: retract('m1'), ...retraction }), false);
      await untouched(id);
      assert.equal(await messages.count('juliet', {}), 2);
    });
  }

  for (const [what, original] of [
    ['what was said in a room', { type: 'groupchat' }],
    ['what is tagged so', { tag: TAG.groupchat }],
    ['an error', { type: 'error' }],
    ['another retraction', { inner: retract('m0') }],
    ['another retraction of the older form', { inner: fasten('m0') }],
  ] as const satisfies readonly (readonly [string, Written])[]) {
    it(`is not done to ${what}`, async () => {
      const id = await keep(original);
      assert.equal(await ask({ inner: retract('m1') }), false);
      await untouched(id);
    });
  }

  it('is done once: a tombstone says who was first', async () => {
    const id = await keep();
    assert.equal(await ask({ inner: retract('m1') }), true);
    const { stanza } = await read(id);
    assert.equal(await ask({ id: 'r2', inner: retract('m1') }), false);
    assert.equal((await read(id)).stanza, stanza);
  });

  it('means the last of several messages with the same id, and none that comes after it', async () => {
    const [first, second] = [await keep(), await keep()];
    const stanza = readStanza(write({ id: 'r1', inner: retract('m1') }));
    const retraction = await keep({ id: 'r1', inner: retract('m1') });
    const third = await keep();
    assert.equal(await retractions.retract('juliet', ROMEO, stanza, retraction), true);
    await untouched(first);
    await untouched(third);
    assert.match((await read(second)).stanza, /<retracted/);
  });

  it('looks into the archive of its owner only', async () => {
    const id = next();
    await messages.append('nurse', { id, with: ROMEO, stanza: write({}) });
    assert.equal(await ask({ inner: retract('m1') }), false);
    assert.doesNotMatch((await messages.query('nurse', {})).items[0]!.stanza, /<retracted/);
  });

  it('goes by the occupant where messages come out of a room (section 5)', async () => {
    const room = 'room@muc.example.net';
    for (const [original, retraction, isDone] of [
      [{ from: `${room}/alice`, inner: MUC }, { from: `${room}/bob` }, false],
      [{ from: `${room}/alice`, inner: MUC }, { from: `${room}/alice` }, true],
      [{ from: `${room}/alice` }, { from: `${room}/bob`, inner: `${retract('m1')}${MUC}` }, false],
      [{ from: `${room}/alice`, inner: `${MUC}${occupant('1')}` }, { from: `${room}/alice` }, false],
      [
        { from: `${room}/alice`, inner: `${MUC}${occupant('1')}` },
        { from: `${room}/alice`, inner: `${retract('m1')}${occupant('2')}` },
        false,
      ],
      [
        { from: `${room}/alice`, inner: `${MUC}${occupant('1')}` },
        { from: `${room}/alice`, inner: `${retract('m1')}${occupant('1')}` },
        true,
      ],
      [
        { from: `${JULIET}/a`, with: room, inner: MUC, tag: TAG.outgoing },
        { from: `${JULIET}/b`, with: room, inner: `${retract('m1')}${MUC}` },
        true,
      ],
    ] satisfies readonly (readonly [Written, Written, boolean])[]) {
      await keep(original);
      assert.equal(await ask({ inner: retract('m1'), ...retraction }), isDone, JSON.stringify([original, retraction]));
    }
  });

  it('knows the form of older clients, by origin-id (XEP-0359)', async () => {
    const id = await keep({ inner: `<body>Hi</body>${originId('o1')}` });
    assert.equal(await ask({ inner: fasten('m1') }), false);
    assert.equal(await ask({ inner: fasten('o1') }), true);
    assert.match((await read(id)).stanza, /<retracted xmlns='urn:xmpp:message-retract:1' id='r1'/);
  });

  it('is read from the top of a message only', () => {
    const reference = (inner: string, type = 'chat') => readRetraction(readStanza(write({ inner, type })));
    assert.deepEqual(reference(retract('a')), { id: 'a', by: 'id' });
    assert.deepEqual(reference(fasten('a')), { id: 'a', by: 'origin-id' });
    for (const inner of [
      '<body>retract</body>',
      `<x xmlns='urn:example'>${retract('a')}</x>`,
      `<retract xmlns='${NS_RETRACT}'/>`,
      "<retract xmlns='urn:xmpp:message-retract:0' id='a'/>",
      "<retract xmlns='urn:xmpp:jingle-message:0' id='a'/>",
      "<apply-to xmlns='urn:xmpp:fasten:0' id='a'><other xmlns='urn:example'/></apply-to>",
      "<apply-to xmlns='urn:xmpp:fasten:0'><retract xmlns='urn:xmpp:message-retract:0'/></apply-to>",
    ])
      assert.equal(reference(inner), undefined, inner);
    assert.equal(readRetraction(readStanza(`<iq xmlns='jabber:client' type='set'>${retract('a')}</iq>`)), undefined);
  });

  it('finds an id however it was written', async () => {
    for (const [raw, id] of [
      ['a&lt;b&amp;c', 'a<b&c'],
      ['a&#60;b&#x26;c', 'a<b&c'],
      ['x&gt;y', 'x>y'],
      ['it&apos;s', "it's"],
      ['q &quot;q', 'q "q'],
      ['nom-é😀', 'nom-é😀'],
      ['.*', '.*'],
    ] as const) {
      const item = await keep({ id: raw });
      assert.equal((await retractions.find('juliet', ROMEO, id, ROMEO))?.item.id, item, raw);
    }
    await keep({ id: '&lt;&amp;' });
    assert.equal(await retractions.find('juliet', ROMEO, '<&', ROMEO), undefined);
    assert.equal(await retractions.find('juliet', ROMEO, '', ROMEO), undefined);
  });

  it('steps over what is damaged, or has a sender that is none', async () => {
    const id = await keep();
    for (const stanza of [
      "<message id='m1'",
      "m1 <message from='romeo@example.net' id='m1'/>",
      "<message id='m1'/>",
      write({ from: '@' }),
    ])
      await messages.append('juliet', { id: next(), with: ROMEO, stanza });
    assert.equal((await retractions.find('juliet', ROMEO, 'm1', ROMEO))?.item.id, id);
    assert.equal(await ask({ inner: retract('m1') }), true);
    assert.match((await read(id)).stanza, /<retracted/);
  });

  describe('when the message is far back', () => {
    let asked: (number | undefined)[];
    let turns: number;

    /** Counts what is asked of the archive, and the turns that others have. */
    function watch(): void {
      asked = [];
      turns = 0;
      const query = messages.query.bind(messages);
      messages.query = (owner: string, filter: ArchiveFilter) => {
        asked.push(filter.max);
        setImmediate(() => turns++);
        return query(owner, filter);
      };
    }

    async function fill(count: number): Promise<void> {
      const stanza = write({ id: 'filler' });
      for (let i = 0; i < count; i++) await messages.append('juliet', { id: next(), with: ROMEO, stanza });
    }

    it('looks further back each time, and others have their turn', async () => {
      const id = await keep();
      await fill(1300);
      watch();
      assert.equal((await retractions.find('juliet', ROMEO, 'm1', ROMEO))?.item.id, id);
      assert.deepEqual(asked, [20, 100, 500, 500, 500]);
      assert(turns >= 3, `${turns} turns`);
    });

    it('looks once where it is among the last', async () => {
      await fill(100);
      const id = await keep();
      await fill(5);
      watch();
      assert.equal((await retractions.find('juliet', ROMEO, 'm1', ROMEO))?.item.id, id);
      assert.deepEqual(asked, [20]);
    });

    it('ends with the conversation, whatever others have written', async () => {
      await fill(30);
      watch();
      assert.equal(await retractions.find('juliet', 'tybalt@example.net', 'm1', 'tybalt@example.net'), undefined);
      assert.deepEqual(asked, [20]);
    });

    it('gives up after 20,000', async () => {
      await keep();
      await fill(20_000);
      watch();
      assert.equal(await retractions.find('juliet', ROMEO, 'm1', ROMEO), undefined);
      assert.equal(
        asked.reduce<number>((sum, max) => sum + (max ?? 0), 0),
        20_000,
      );
    });

    it('has the searches of one conversation wait for each other, and refuses a flood of them', async () => {
      const id = await keep();
      await fill(200);
      let open = 0;
      let most = 0;
      const query = messages.query.bind(messages);
      messages.query = async (owner: string, filter: ArchiveFilter) => {
        most = Math.max(most, ++open);
        await new Promise((resolve) => setImmediate(resolve));
        return query(owner, filter).finally(() => open--);
      };
      const found = await Promise.all(Array.from({ length: 60 }, () => retractions.find('juliet', ROMEO, 'm1', ROMEO)));
      assert.deepEqual([found.filter((each) => each?.item.id === id).length, most], [51, 1]);
      const others = ['nurse@example.net', 'tybalt@example.net'];
      await Promise.all([...others, ROMEO].map((other) => retractions.find('juliet', other, 'm1', other)));
      assert.equal(most, 3);
      assert.equal((await retractions.find('juliet', ROMEO, 'm1', ROMEO))?.item.id, id);
    });

    it('goes on after a search that failed', async () => {
      await keep();
      const query = messages.query.bind(messages);
      messages.query = () => {
        messages.query = query;
        return Promise.reject(new Error('no database'));
      };
      const failed = retractions.find('juliet', ROMEO, 'm1', ROMEO);
      const second = retractions.find('juliet', ROMEO, 'm1', ROMEO);
      await assert.rejects(failed, /no database/);
      assert.equal((await second)?.stanza.id, 'm1');
    });

    it('retracts a message once, whoever asks at the same time', async () => {
      const id = await keep();
      const retractOne = async (own: string) => {
        const stanza = readStanza(write({ id: own, inner: retract('m1') }));
        return { stanza, item: await keep({ id: own, inner: retract('m1') }) };
      };
      const all = [await retractOne('r1'), await retractOne('r2')];
      const done = await Promise.all(all.map(({ stanza, item }) => retractions.retract('juliet', ROMEO, stanza, item)));
      assert.deepEqual(done, [true, false]);
      assert.match((await read(id)).stanza, /id='r1'/);
    });

    it('finds the one that is the 20,000th', async () => {
      const id = await keep();
      await fill(19_999);
      assert.equal((await retractions.find('juliet', ROMEO, 'm1', ROMEO))?.item.id, id);
    });
  });
});
