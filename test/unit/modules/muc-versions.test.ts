// XEP-0463: whoever comes in is told what has changed of the affiliations since it was here last.
import assert from 'node:assert/strict';
import type { Element } from 'ltx';
import type { Affiliation, Room } from '../../../modules/muc/index.ts';
import { type Probe, settle } from '../../support/probe.ts';
import { change, codesIn, errorIn, LOUNGE, RoomScene, say, USER } from '../../support/room-scene.ts';

const MAV = 'urn:xmpp:muc:affiliations:0';

describe('muc: versions of affiliations', () => {
  let scene: RoomScene;
  let room: Room;
  let keeper: Probe;
  let nurse: Probe;

  beforeEach(async () => {
    scene = await RoomScene.start();
    room = await scene.room({
      settings: { whois: 'anyone', isMembersOnly: true },
      people: { nurse: 'member', mallory: 'outcast' },
    });
    keeper = await scene.client('keeper');
    nurse = await scene.client('nurse');
  });
  afterEach(() => scene.stop());

  const mark = (since?: string): string => `<mav xmlns='${MAV}'${since === undefined ? '' : ` since='${since}'`}/>`;
  const markOf = (stanza: Element | undefined): Record<string, string> =>
    (stanza?.getChild('x', USER)?.getChild('mav', MAV)?.attrs ?? {}) as Record<string, string>;
  const itemsOf = (stanza: Element): string[] =>
    (stanza.getChild('x', USER)?.getChildren('item') ?? []).map(({ attrs }) => `${attrs['jid']} ${attrs['affiliation']}`);
  const own = (told: readonly Element[]): Element => told.find((stanza) => codesIn(stanza).includes('110'))!;
  const affiliate = (who: string, affiliation: Affiliation): Promise<void> =>
    scene.rooms.affiliate(room, undefined, [
      { jid: scene.host.jid(who.includes('.') ? who : `${who}@example.org`), affiliation },
    ]);

  interface Told {
    /** What was told of all, before any presence. */
    readonly items: readonly string[];
    readonly since: string | undefined;
    /** The version of the self-presence. */
    readonly until: string | undefined;
    readonly messages: readonly Element[];
    readonly error: string | undefined;
  }

  /** Comes in, hears, and goes. */
  async function visit(probe: Probe, since?: string, isAsking = true): Promise<Told> {
    const told = await scene.enter(probe, { x: isAsking ? mark(since) : '' });
    const first = told.findIndex(({ name }) => name === 'presence');
    const before = told.slice(0, first);
    const messages = before.filter((stanza) => stanza.getChild('x', USER));
    for (const message of messages) {
      assert.equal(markOf(message)['until'], markOf(own(told))['until'], 'what is told ends where the presence does');
    }
    for (const presence of told.filter(({ name }) => name === 'presence' && name !== undefined)) {
      if (presence !== own(told)) assert.deepEqual(markOf(presence), {});
    }
    probe.send(`<presence type='unavailable' to='${LOUNGE}/x'/>`);
    await scene.hush(probe);
    return {
      items: messages.flatMap(itemsOf),
      since: markOf(messages[0])['since'],
      until: markOf(own(told))['until'],
      messages,
      error: before.map(errorIn).find(Boolean),
    };
  }

  it('are announced by rooms (section 4)', async () => {
    const info = await nurse.ask(`<iq type='get' to='${LOUNGE}'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>`);
    assert.match(String(info), /urn:xmpp:muc:affiliations:0/);
  });

  it('are told in full to who asks for the first time (section 5.2.1)', async () => {
    const { items, since, until, messages } = await visit(keeper);
    assert.equal(messages.length, 1);
    assert.equal(since, undefined);
    assert.match(until ?? '', /./);
    assert(items.includes('keeper@example.org owner'));
    assert(items.includes('nurse@example.org member'));
    assert(items.includes('mallory@example.org outcast'));
    assert.equal(items.length, 3);
  });

  it('are not told to who does not ask', async () => {
    const { messages, until } = await visit(keeper, undefined, false);
    assert.deepEqual([messages, until], [[], undefined]);
  });

  it('are told from where one left off, each account once with what it is now', async () => {
    const { until } = await visit(nurse);
    await affiliate('nurse', 'admin');
    await affiliate('juliet', 'member');
    await affiliate('juliet', 'none');
    await affiliate('romeo', 'member');
    await affiliate('romeo', 'owner');
    const told = await visit(nurse, until);
    assert.equal(told.since, until);
    assert.notEqual(told.until, until);
    assert.deepEqual([...told.items].sort(), ['juliet@example.org none', 'nurse@example.org admin', 'romeo@example.org owner']);
  });

  it('are not told when nothing has changed: the presence says so (section 5.2.1)', async () => {
    const { until } = await visit(nurse);
    const told = await visit(nurse, until);
    assert.deepEqual([told.messages, told.until, told.error], [[], until, undefined]);
  });

  it('are told in full for a version that the room does not know', async () => {
    const full = (await visit(nurse)).items;
    for (const since of [
      '999999',
      '-1',
      'abc',
      '',
      '1.5',
      '1e3',
      '0x1',
      '00000000000000000000',
      '9'.repeat(500),
      '&lt;x/&gt;',
      '__proto__',
    ]) {
      const told = await visit(nurse, since);
      assert.equal(told.since, undefined, since);
      assert.deepEqual(told.items, full, since);
    }
  });

  it('are told in full for one that was too long ago', async () => {
    const { until } = await visit(nurse);
    for (let i = 0; i < 250; i++) await affiliate(`guest${i % 7}@far.example`, i % 2 ? 'member' : 'none');
    const told = await visit(nurse, until);
    assert.equal(told.since, undefined);
    assert.equal(told.items.length >= 2, true);
    // And in part for one that is not.
    await affiliate('last', 'member');
    assert.deepEqual((await visit(nurse, told.until)).items, ['last@example.org member']);
  });

  it('are told in several messages when they are many, which match each other', async () => {
    const changes = Array.from({ length: 350 }, (_, i) => ({
      jid: scene.host.jid(`guest${i}@far.example`),
      affiliation: 'member' as const,
    }));
    await scene.rooms.affiliate(room, undefined, changes);
    const { items, messages } = await visit(keeper);
    assert(messages.length > 1);
    assert.equal(new Set(items).size, 353);
    assert.equal(items.length, 353);
  });

  it('are kept while the room sleeps, and over a change of everything else', async () => {
    const { until } = await visit(nurse);
    await affiliate('juliet', 'member');
    await scene.rooms.configure(room, { ...room.settings, name: 'Cave' });
    const told = await visit(nurse, until);
    assert.deepEqual(told.items, ['juliet@example.org member']);
  });

  it('are refused to those who may not read the lists, who come in all the same (section 5.3)', async () => {
    await scene.rooms.configure(room, { ...room.settings, whois: 'moderators' });
    for (const since of [undefined, '1', '0', 'abc']) {
      const told = await visit(nurse, since);
      assert.equal(told.error, 'forbidden/auth');
      assert.deepEqual(told.messages, []);
    }
    assert.equal((await visit(keeper)).error, undefined);
  });

  it('are nobody else’s business: what a client asks for is not shown to others (section 5.1)', async () => {
    await scene.enter(keeper);
    await visit(nurse, '1');
    assert.doesNotMatch(
      keeper
        .take()
        .map(String)
        .filter((stanza) => stanza.includes('type="unavailable"') === false)
        .join(''),
      /mav[^>]*since/,
    );
    await scene.enter(nurse, { x: mark('1') });
    nurse.send(
      `<presence to='${LOUNGE}/nurse'>${mark('1')}<x xmlns='http://jabber.org/protocol/muc'>${mark('1')}</x></presence>`,
    );
    await settle();
    for (const stanza of keeper.take()) assert.equal(stanza.getChild('x', 'http://jabber.org/protocol/muc'), undefined);
  });

  it('go with each change: of who is here in the presence, of others in a message (section 5.2.2)', async () => {
    const romeo = await scene.client('romeo');
    await affiliate('romeo', 'member');
    for (const probe of [keeper, nurse, romeo]) await scene.enter(probe, { x: mark() });
    await scene.hush(keeper, nurse, romeo);
    let version = String(room.version);
    const follow = async (item: string): Promise<void> => {
      assert.equal(errorIn(await keeper.ask(change(item))), undefined);
      await settle();
      const [heard] = nurse.take().filter((stanza) => stanza.getChild('x', USER));
      assert.deepEqual(markOf(heard), { since: version, until: String(room.version), xmlns: MAV }, item);
      assert.notEqual(String(room.version), version);
      version = String(room.version);
      await scene.hush(keeper, romeo);
    };
    await follow("<item jid='romeo@example.org' affiliation='admin'/>");
    await follow("<item jid='romeo@example.org' affiliation='member'/>");
    await follow("<item jid='absent@example.org' affiliation='member'/>");
    await follow("<item jid='absent@example.org' affiliation='owner'/>");
    await follow("<item jid='absent@example.org' affiliation='none'/>");
  });

  it('are not changed by what changes no affiliation', async () => {
    await scene.enter(keeper);
    await scene.enter(nurse);
    const before = room.version;
    keeper.send(say('Hail'));
    await keeper.ask(change("<item nick='nurse' role='visitor'/>"));
    await keeper.ask(change("<item nick='nurse' role='none'/>"));
    await settle();
    assert.equal(room.version, before);
  });
});
