import assert from 'node:assert/strict';
import { conditionOf } from '../../support/answers.ts';
import {
  ask,
  client,
  conference,
  items,
  native,
  OLD,
  OTHER_ROOM,
  PUBSUB,
  publication,
  publish,
  ROOM,
  readNode,
  readPrivate,
  resultOf,
  retract,
  seenByOthers,
  seenNatively,
  startBookmarks,
  told,
  writeNode,
  writePrivate,
} from '../../support/bookmark-scene.ts';
import type { Probe } from '../../support/probe.ts';
import type { TestHost } from '../../support/start-host.ts';

describe('bookmarks: one truth', () => {
  let host: TestHost;
  /** A client of an account, which others of it need not care about. */
  let juliet: Probe;
  beforeEach(async () => {
    host = await startBookmarks();
    juliet = await host.online('juliet', 'balcony');
  });
  afterEach(() => host.stop());

  const written = { private: writePrivate, node: writeNode };

  it('shows what is published natively to clients that know the older specifications', async () => {
    await publish(juliet, ROOM, native("name='The Play' autojoin='1'", '<nick>JC</nick><password>secret</password>'));
    await publish(juliet, OTHER_ROOM);
    assert.deepEqual(await seenByOthers(juliet), [OTHER_ROOM, `${ROOM} The Play autojoin nick=JC password=secret`]);
    const [first] = await readPrivate(juliet);
    assert.equal(first!.attrs['autojoin'], 'true');
    await retract(juliet, ROOM);
    assert.deepEqual(await seenByOthers(juliet), [OTHER_ROOM]);
    resultOf(await ask(juliet, 'set', "<purge node='urn:xmpp:bookmarks:1'/>", { at: '#owner' }));
    assert.deepEqual(await seenByOthers(juliet), []);
  });

  for (const [way, write] of Object.entries(written)) {
    it(`makes items of a list that is written to the ${way}`, async () => {
      const [a, b] = [
        conference(ROOM, "name='The Play' autojoin='true'", '<nick>JC</nick><password>x</password>'),
        conference(OTHER_ROOM),
      ];
      await write(juliet, a, b);
      assert.deepEqual(await seenNatively(juliet), [OTHER_ROOM, `${ROOM} The Play autojoin nick=JC password=x`]);
      const found = await items(juliet);
      assert.equal(found.get(ROOM)!.attrs['jid'], undefined);
      assert.equal(found.get(OTHER_ROOM)!.attrs['autojoin'], undefined);
      await write(juliet, b);
      assert.deepEqual(await seenNatively(juliet), [OTHER_ROOM]);
      await write(juliet);
      assert.deepEqual([await seenNatively(juliet), await seenByOthers(juliet)], [[], []]);
    });

    it(`tells nobody of what is written to the ${way} as it is`, async () => {
      const phone = await client(host, 'juliet/phone', 'urn:xmpp:bookmarks:1');
      const state = "<state xmlns='urn:state' b='2' a='1'>x</state>";
      await publish(juliet, ROOM, native("name='The Play' autojoin='1'", `<nick>JC</nick><extensions>${state}</extensions>`));
      await publish(juliet, OTHER_ROOM, native("autojoin='false'"));
      assert.deepEqual(await told(phone), [`+${ROOM}`, `+${OTHER_ROOM}`]);
      // Whatever order, quotes and prefixes a client writes with.
      const again = `<s:state xmlns:s="urn:state" a="1" b="2">x</s:state>`;
      const [a, b] = [
        conference(ROOM, "autojoin='true' name='The Play'", `<nick>JC</nick><extensions>${again}</extensions>`),
        conference(OTHER_ROOM),
      ];
      await write(juliet, b, a);
      assert.deepEqual(await told(phone), []);
      await write(juliet, b, a.replace('The Play', 'The Game'));
      assert.deepEqual(await told(phone), [`+${ROOM}`]);
      await write(juliet, a.replace('The Play', 'The Game'));
      assert.deepEqual(await told(phone), [`-${OTHER_ROOM}`]);
    });
  }

  it('gives an account that has kept nothing an empty list', async () => {
    assert.deepEqual(await seenByOthers(juliet), []);
    const answer = resultOf(await ask(juliet, 'get', `<items node='${OLD}'/>`));
    assert.equal(answer.getChild('pubsub')!.getChild('items')!.attrs['node'], OLD);
  });

  it('announces that it unites them (XEP-0402 section 6)', async () => {
    const features = async (probe: Probe) => {
      const answer = await probe.ask(
        "<iq type='get' to='juliet@example.org'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>",
      );
      const all = answer
        .getChild('query')!
        .getChildren('feature')
        .map(({ attrs }) => String(attrs['var']));
      return all.filter((feature) => feature.startsWith('urn:xmpp:bookmarks'));
    };
    assert.deepEqual(await features(juliet), ['urn:xmpp:bookmarks:1#compat', 'urn:xmpp:bookmarks:1#compat-pep']);
  });

  describe('extensions', () => {
    const PINNED = "<pinned xmlns='urn:xmpp:bookmarks-pinning:0'/>";
    const NOTIFY = "<notify xmlns='urn:xmpp:notification-settings:1'><never identity-category='client'/><always/></notify>";

    for (const [way, write] of Object.entries(written)) {
      it(`survive a client that does not know them and writes the list to the ${way} (XEP-0469, XEP-0492)`, async () => {
        await publish(juliet, ROOM, native("name='A'", `<extensions>${PINNED}${NOTIFY}</extensions>`));
        await write(juliet, conference(ROOM, "name='B' autojoin='true'", '<nick>JC</nick>'), conference(OTHER_ROOM));
        const found = (await items(juliet)).get(ROOM)!;
        assert.deepEqual([found.attrs['name'], found.attrs['autojoin'], found.getChildText('nick')], ['B', 'true', 'JC']);
        const [pinned, notify, more] = found.getChild('extensions', 'urn:xmpp:bookmarks:1')!.getChildElements();
        assert(pinned!.is('pinned', 'urn:xmpp:bookmarks-pinning:0'));
        assert(notify!.is('notify', 'urn:xmpp:notification-settings:1'));
        assert.deepEqual(
          notify!.getChildElements().map(({ name }) => name),
          ['never', 'always'],
        );
        assert.equal(more, undefined);
      });

      it(`are changed by a client that knows them and writes the list to the ${way}`, async () => {
        await publish(juliet, ROOM, native('', `<extensions>${PINNED}${NOTIFY}</extensions>`));
        await write(juliet, conference(ROOM, '', `<extensions>${NOTIFY}</extensions>`));
        assert.deepEqual(await kinds(), ['notify']);
        await write(juliet, conference(ROOM, '', '<extensions/>'));
        assert.deepEqual(await kinds(), []);
      });
    }

    it('are shown to clients that know the older specifications only', async () => {
      await publish(juliet, ROOM, native('', `<extensions>${PINNED}${NOTIFY}</extensions>`));
      const [found] = await readNode(juliet);
      const extensions = found!.getChild('extensions', OLD)!.getChildElements();
      assert.deepEqual(
        extensions.map((each) => each.getNS()),
        ['urn:xmpp:bookmarks-pinning:0', 'urn:xmpp:notification-settings:1'],
      );
      assert.equal(extensions[1]!.getChild('never', 'urn:xmpp:notification-settings:1')!.attrs['identity-category'], 'client');
    });

    it('stay with what else a bookmark has that no specification knows', async () => {
      const odd = native(
        "name='A' xml:lang='it' colour='red'",
        "<nick>JC</nick><note xmlns='urn:note'>x</note><topic>Love</topic>",
      );
      await publish(juliet, ROOM, odd);
      await writePrivate(juliet, conference(ROOM, "name='B'", '<nick>JC</nick>'));
      const found = (await items(juliet)).get(ROOM)!;
      assert.deepEqual([found.attrs['name'], found.attrs['colour'], found.attrs['xml:lang']], ['B', 'red', 'it']);
      assert.deepEqual([found.getChildText('note', 'urn:note'), found.getChildText('topic')], ['x', 'Love']);
    });

    async function kinds(): Promise<readonly string[]> {
      const found = (await items(juliet)).get(ROOM)!;
      return (
        found
          .getChild('extensions', 'urn:xmpp:bookmarks:1')
          ?.getChildElements()
          .map(({ name }) => name) ?? []
      );
    }
  });

  describe('what only older clients have', () => {
    const URL = "<url name='Works' url='http://the-tech.mit.edu/Shakespeare/'/>";
    const FOREIGN = "<x:folder xmlns:x='urn:folders' name='Plays'><x:in>1</x:in></x:folder>";

    for (const [way, write] of Object.entries(written)) {
      it(`stays in a list that is written to the ${way}, whatever other clients do`, async () => {
        await write(juliet, conference(ROOM), URL, FOREIGN);
        await publish(juliet, OTHER_ROOM);
        await retract(juliet, ROOM);
        const list = await readPrivate(juliet);
        assert.deepEqual((await seenByOthers(juliet)).length, 3);
        assert.deepEqual([list[1]!.attrs['name'], list[1]!.attrs['url']], ['Works', 'http://the-tech.mit.edu/Shakespeare/']);
        assert.equal(list[2]!.getChildText('in', 'urn:folders'), '1');
        assert.deepEqual(await seenNatively(juliet), [OTHER_ROOM]);
        await write(juliet, conference(OTHER_ROOM), FOREIGN);
        assert.deepEqual(
          (await readPrivate(juliet)).map((child) => child.getName()),
          ['conference', 'folder'],
        );
      });
    }

    it('stays in a bookmark that a newer client changes', async () => {
      const print = '<print_status>all</print_status>';
      await writePrivate(juliet, conference(ROOM, "minimize='1' name='A'", `<nick>JC</nick>${print}<x xmlns='urn:x'>1</x>`));
      const mine = (await items(juliet)).get(ROOM)!;
      await publish(juliet, ROOM, String(mine).replace('name="A"', 'name="B"'));
      for (const read of [readPrivate, readNode]) {
        const [found] = await read(juliet);
        assert.deepEqual([found!.attrs['name'], found!.attrs['minimize']], ['B', '1']);
        assert.deepEqual([found!.getChildText('print_status', OLD), found!.getChildText('x', 'urn:x')], ['all', '1']);
        assert.equal(found!.getChild('extensions'), undefined);
      }
      // And is not taken for something else when it is written once more.
      const phone = await client(host, 'juliet/phone', 'urn:xmpp:bookmarks:1');
      await writePrivate(juliet, conference(ROOM, "minimize='1' name='B'", `<nick>JC</nick>${print}<x xmlns='urn:x'>1</x>`));
      assert.deepEqual(await told(phone), []);
      await writePrivate(juliet, conference(ROOM, "minimize='0' name='B'", '<nick>JC</nick>'));
      assert.deepEqual(await told(phone), [`+${ROOM}`]);
    });
  });

  describe('addresses', () => {
    it('are prepared, so that a room has one bookmark however its address is written', async () => {
      await writePrivate(
        juliet,
        conference(ROOM.toUpperCase(), "name='A'"),
        conference(`${ROOM}/nick`, "name='B'"),
        conference(ROOM, "name='C'"),
      );
      assert.deepEqual(await seenNatively(juliet), [`${ROOM} A`]);
      assert.deepEqual(await seenByOthers(juliet), [`${ROOM} A`]);
    });

    it('of items are left as their client has written them', async () => {
      const phone = await client(host, 'juliet/phone', 'urn:xmpp:bookmarks:1');
      const odd = 'ThePlay@Conference.example.org';
      await publish(juliet, odd, native("name='A'"));
      assert.deepEqual(await seenByOthers(juliet), [`${ROOM} A`]);
      await told(phone);
      await writePrivate(juliet, conference(ROOM, "name='A'"));
      assert.deepEqual(await told(phone), []);
      await writePrivate(juliet, conference(ROOM, "name='B'"));
      assert.deepEqual(await told(phone), [`+${odd}`]);
      await writePrivate(juliet);
      assert.deepEqual(await told(phone), [`-${odd}`]);
    });

    it('of several items may be of one room: the last one counts, and they go together', async () => {
      for (const id of [ROOM, `${ROOM}/nick`, ROOM.toUpperCase()]) await publish(juliet, id, native(`name='${id.length}'`));
      assert.equal((await seenByOthers(juliet)).length, 1);
      await writePrivate(juliet, conference(OTHER_ROOM));
      assert.deepEqual(await seenNatively(juliet), [OTHER_ROOM]);
    });

    for (const room of ['日本語@conference.example.org', 'ça va@x', '@@', '', 'a b@conference.example.org', 'irc.example.org']) {
      it(`may be ${room || 'nothing'}`, async () => {
        await writePrivate(juliet, conference(ROOM), conference(room, "name='Ü 🎭 &amp; &lt;b&gt;'", '<nick>Jülia</nick>'));
        const list = await readPrivate(juliet);
        const found = list.find(({ attrs }) => attrs['jid'] === room);
        assert.deepEqual([found?.attrs['name'], found?.getChildText('nick')], ['Ü 🎭 & <b>', 'Jülia']);
        // It is there once, also when it is written again.
        await writePrivate(juliet, ...list.map((each) => String(each)));
        assert.deepEqual((await readPrivate(juliet)).length, 2);
      });
    }

    it('may be missing, and what is no bookmark of a room is kept all the same', async () => {
      await writePrivate(juliet, "<conference name='Nowhere'/>", conference(ROOM));
      assert.deepEqual(await seenByOthers(juliet), ['Nowhere', ROOM]);
      assert.deepEqual(await seenNatively(juliet), [ROOM]);
    });

    it('of items may be none, and items may hold anything: older clients neither see nor remove that', async () => {
      await publish(juliet, '@@');
      await publish(juliet, OTHER_ROOM, "<x xmlns='urn:x'/>");
      await publish(juliet, ROOM);
      assert.deepEqual(await seenByOthers(juliet), [ROOM]);
      await writePrivate(juliet);
      assert.deepEqual([...(await items(juliet)).keys()].sort(), ['@@', OTHER_ROOM]);
      // Unless they bookmark the same room.
      await writePrivate(juliet, conference(OTHER_ROOM, "name='A'"));
      assert.deepEqual(await seenByOthers(juliet), [`${OTHER_ROOM} A`]);
    });

    for (const name of ['__proto__', 'constructor']) {
      it(`and attributes may be ${name}`, async () => {
        await writePrivate(juliet, conference(name, `${name}='x'`, `<${name}>y</${name}>`));
        assert.deepEqual(await seenByOthers(juliet), [`${name.toLowerCase()} ${name}=y`]);
      });
    }
  });

  describe('the node of the older specification', () => {
    it('takes one bookmark as well, and leaves the others alone (XEP-0223)', async () => {
      await publish(juliet, OTHER_ROOM);
      await publish(juliet, ROOM, native("name='A'", "<extensions><x xmlns='urn:x'/></extensions>"));
      const one = `<conference xmlns='${OLD}' jid='${ROOM}' name='B'/>`;
      resultOf(await ask(juliet, 'set', `<publish node='${OLD}'><item>${one}</item></publish>`));
      const found = await items(juliet);
      assert.deepEqual([...found.keys()].sort(), [OTHER_ROOM, ROOM]);
      assert.deepEqual([found.get(ROOM)!.attrs['name'], found.get(ROOM)!.getChild('extensions') !== undefined], ['B', true]);
    });

    it('has one item only', async () => {
      await publish(juliet, ROOM);
      const named = async (id: string) => {
        const answer = resultOf(await ask(juliet, 'get', `<items node='${OLD}'><item id='${id}'/></items>`));
        return answer.getChild('pubsub')!.getChild('items')!.getChildElements().length;
      };
      assert.deepEqual([await named('current'), await named('other')], [1, 0]);
      assert.equal(
        conditionOf(await ask(juliet, 'set', `<retract node='${OLD}'><item id='other'/></retract>`)),
        'item-not-found',
      );
      resultOf(await ask(juliet, 'set', `<retract node='${OLD}'><item id='current'/></retract>`));
      assert.deepEqual(await seenNatively(juliet), []);
    });

    for (const [what, type, request, wanted] of [
      ['nothing published', 'set', `<publish node='${OLD}'/>`, 'bad-request'],
      ['an item without a payload', 'set', `<publish node='${OLD}'><item id='current'/></publish>`, 'bad-request'],
      ['something else', 'set', `<publish node='${OLD}'><item><x xmlns='urn:x'/></item></publish>`, 'bad-request'],
      [
        'a bookmark of nothing',
        'set',
        `<publish node='${OLD}'><item><conference xmlns='${OLD}'/></item></publish>`,
        'bad-request',
      ],
      ['two items', 'set', publication().replace('</publish>', '<item/></publish>'), 'bad-request'],
      ['a retraction of nothing', 'set', `<retract node='${OLD}'/>`, 'bad-request'],
      ['a node that is there already', 'set', `<create node='${OLD}'/>`, 'conflict'],
      ['a subscription', 'set', `<subscribe node='${OLD}' jid='juliet@example.org'/>`, 'feature-not-implemented'],
      ['subscriptions', 'get', `<subscriptions node='${OLD}'/>`, 'feature-not-implemented'],
    ] as const) {
      it(`refuses ${what}`, async () => {
        assert.equal(conditionOf(await ask(juliet, type, request)), wanted);
      });
    }

    it('does not become one that others may read', async () => {
      const field = (name: string, value: string) => `<field var='${name}'><value>${value}</value></field>`;
      const options = (access: string) =>
        `<publish-options><x xmlns='jabber:x:data' type='submit'>${field('FORM_TYPE', `${PUBSUB}#publish-options`)}${field('pubsub#access_model', access)}</x></publish-options>`;
      assert.equal(conditionOf(await ask(juliet, 'set', publication(conference(ROOM)) + options('open'))), 'conflict');
      assert.deepEqual(await seenNatively(juliet), []);
      resultOf(await ask(juliet, 'set', publication(conference(ROOM)) + options('whitelist')));
      assert.deepEqual(await seenNatively(juliet), [ROOM]);
    });
  });

  it('takes other things from private storage together with bookmarks', async () => {
    const both = `<a xmlns='urn:a'>1</a><storage xmlns='${OLD}'>${conference(ROOM)}</storage>`;
    resultOf(await juliet.ask(`<iq type='set'><query xmlns='jabber:iq:private'>${both}</query></iq>`));
    const answer = resultOf(await juliet.ask("<iq type='get'><query xmlns='jabber:iq:private'><a xmlns='urn:a'/></query></iq>"));
    assert.equal(answer.getChild('query')!.getChildText('a', 'urn:a'), '1');
    assert.deepEqual(await seenNatively(juliet), [ROOM]);
    // All of it or nothing.
    const wrong = `<storage xmlns='${OLD}'/><b xmlns='jabber:x'/>`;
    const refused = await juliet.ask(`<iq type='set'><query xmlns='jabber:iq:private'>${wrong}</query></iq>`);
    assert.equal(conditionOf(refused), 'not-acceptable');
    assert.deepEqual(await seenNatively(juliet), [ROOM]);
  });
});
