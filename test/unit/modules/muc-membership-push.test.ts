import assert from 'node:assert/strict';
import type { Element } from 'ltx';
import commands from '../../../modules/commands/index.ts';
import type { Room } from '../../../modules/muc/index.ts';
import mucMembership from '../../../modules/muc-membership/index.ts';
import privateStorage from '../../../modules/private/index.ts';
import push from '../../../modules/push/index.ts';
import sm from '../../../modules/sm/index.ts';
import { payloadOf } from '../../support/answers.ts';
import { type Probe, settle } from '../../support/probe.ts';
import { AppServer, assertResult, disable, enable, nodeOf, summaryOf } from '../../support/push-scene.ts';
import { change, configure, errorIn, join, LOUNGE, RoomScene, say } from '../../support/room-scene.ts';
import { SmClient } from '../../support/sm-client.ts';

const COMMANDS = 'http://jabber.org/protocol/commands';
const NODE = 'parlance:membership:1#notifications';
const NOTIFY = 'urn:xmpp:notification-settings:1';
const JULIET = 'juliet@example.org';

describe('muc-membership: notifications', () => {
  let scene: RoomScene;
  let app: AppServer;
  let room: Room;
  let romeo: Probe;
  let markers = 0;

  async function open(settings: Room['settings'] | object, section: object = {}): Promise<void> {
    scene = await RoomScene.start({
      more: [commands, privateStorage, sm, push, mucMembership],
      modules: { push: { interval: 0, lookEvery: '10ms', includeSender: true, includeBody: true }, 'muc-membership': section },
    });
    app = new AppServer(scene.host, 'push.example.org');
    room = await scene.room({ settings, people: { romeo: 'member', juliet: 'member' } });
    romeo = await scene.client('romeo');
    await scene.enter(romeo);
  }
  const everything = () => open({ isMembersOnly: true });
  const mentions = () => open({});
  afterEach(() => scene.stop());

  /** A client that has asked to be notified, and is gone. */
  async function away(username: string, node = username): Promise<void> {
    const probe = await scene.host.online(username, 'phone');
    assertResult(await probe.ask(enable(node)));
    probe.leave();
    await settle();
  }

  async function speak(body: string, more = ''): Promise<void> {
    romeo.send(say(body, { more }));
    await settle();
  }

  /** Nodes that were notified because of something. */
  async function woken(does: () => Promise<unknown>, expected: number): Promise<string[]> {
    await does();
    const nodes: string[] = [];
    for (let i = 0; i < expected; i++) nodes.push(String(nodeOf(await app.receive())));
    await app.quiet();
    return nodes.sort();
  }

  async function hears(body: string, more = ''): Promise<void> {
    assert.deepEqual(await woken(() => speak(body, more), 1), ['juliet'], body);
  }

  async function hearsNothing(does: () => Promise<unknown>): Promise<void> {
    assert.deepEqual(await woken(does, 0), []);
  }

  /** It was looked for lost lines after this was called, and nobody but this client, whose line broke only then, was notified. */
  async function looked(): Promise<void> {
    const marker = await SmClient.online(scene.host, `marker${markers++}`);
    assertResult(await marker.ask(enable('marker')));
    marker.ack();
    romeo.send(`<message type='chat' to='${marker.jid}'><body>Look</body></message>`);
    await settle();
    marker.cut();
    assert.equal(nodeOf(await app.receive()), 'marker');
    await app.quiet();
  }

  /** A client of juliet's, which is online and in no room. */
  const juliet = () => scene.client('juliet', 'laptop');

  /** What juliet is told when she chooses. */
  async function choose(value: string, probe?: Probe): Promise<Element> {
    const client = probe ?? (await juliet());
    const begin = `<iq type='set' to='${LOUNGE}'><command xmlns='${COMMANDS}' node='${NODE}' action='execute'/></iq>`;
    const first = payloadOf(await client.ask(begin));
    const field = `<field var='notify'><value>${value}</value></field>`;
    const form = `<x xmlns='jabber:x:data' type='submit'>${field}</x>`;
    const { sessionid } = first.attrs;
    return client.ask(
      `<iq type='set' to='${LOUNGE}'><command xmlns='${COMMANDS}' node='${NODE}' sessionid='${sessionid}'>${form}</command></iq>`,
    );
  }

  /** Keeps bookmarks with this for the lounge. */
  async function bookmark(inner: string, jid = LOUNGE): Promise<void> {
    const storage = `<storage xmlns='storage:bookmarks'><conference jid='${jid}' autojoin='true'>${inner}</conference></storage>`;
    assertResult(await (await juliet()).ask(`<iq type='set'><query xmlns='jabber:iq:private'>${storage}</query></iq>`));
    await settle();
  }
  const notify = (inner: string, xmlns = NOTIFY) => `<notify xmlns='${xmlns}'>${inner}</notify>`;

  describe('in a room for members only', () => {
    beforeEach(everything);

    it('are sent to members who are away, of all that is said', async () => {
      await away('juliet');
      await speak('What light?');
      const summary = summaryOf(await app.receive());
      assert.deepEqual(summary, {
        'last-message-sender': `${LOUNGE}/romeo`,
        'last-message-body': 'What light?',
        'message-count': '1',
      });
    });

    it('are sent to those who have registered, and nobody else', async () => {
      await hearsNothing(() => speak('one'));
      // The room has looked already who there is.
      await away('juliet');
      await away('tybalt');
      await hears('two');
      const probe = await juliet();
      assertResult(await probe.ask(disable('juliet')));
      await hearsNothing(() => speak('three'));
    });

    it('are not sent to whoever has said it', async () => {
      await away('romeo');
      await hearsNothing(() => speak('one'));
    });

    it('are not sent to those who are in the room with some client, until it leaves', async () => {
      await away('juliet');
      const laptop = await juliet();
      await scene.enter(laptop);
      await hearsNothing(() => speak('one'));
      laptop.send(`<presence to='${LOUNGE}/juliet' type='unavailable'/>`);
      await settle();
      await hears('two');
    });

    it('are sent to a client whose line is broken, though its session is still in the room', async () => {
      await away('juliet');
      const tablet = await SmClient.online(scene.host, 'juliet', { resource: 'tablet' });
      tablet.send(join(`${LOUNGE}/juliet`));
      await settle();
      await hearsNothing(() => speak('one'));
      tablet.ack();
      await settle();
      tablet.cut();
      await settle();
      await hears('two');
      assert.equal((await tablet.resume()).name, 'resumed');
      assert.deepEqual((await tablet.bodies()).filter(Boolean), ['one', 'two']);
      await hearsNothing(() => speak('three'));
    });

    it('are sent of what was written to a line that was dead, once that is found', async () => {
      await away('juliet');
      const tablet = await SmClient.online(scene.host, 'juliet', { resource: 'tablet' });
      tablet.send(join(`${LOUNGE}/juliet`));
      await settle();
      tablet.ack();
      tablet.send(say('What man art thou?'));
      await settle();
      romeo.send(`<message type='groupchat' to='${LOUNGE}'><composing xmlns='http://jabber.org/protocol/chatstates'/></message>`);
      await hearsNothing(async () => {
        await speak('By a name');
        await speak('I know not how');
      });
      tablet.cut();
      const notification = await app.receive();
      assert.equal(nodeOf(notification), 'juliet');
      assert.equal(summaryOf(notification)['last-message-body'], 'I know not how');
      await hears('to tell thee');
      assert.equal((await tablet.resume()).name, 'resumed');
      tablet.ack();
      tablet.cut();
      await looked();
    });

    it('are not sent of it to those who are there with another client, or are told of what is said to them only', async () => {
      await away('juliet');
      const tablet = await SmClient.online(scene.host, 'juliet', { resource: 'tablet' });
      tablet.send(join(`${LOUNGE}/juliet`));
      const laptop = await juliet();
      await scene.enter(laptop);
      await settle();
      tablet.ack();
      await speak('one');
      tablet.cut();
      await looked();
      laptop.send(`<presence to='${LOUNGE}/juliet' type='unavailable'/>`);
      await settle();
      await tablet.resume();
      tablet.ack();
      await choose('on-mention');
      await settle();
      await speak('two');
      tablet.cut();
      await looked();
      await tablet.resume();
      await speak('three, Juliet');
      await speak('four');
      tablet.leave();
      assert.equal(summaryOf(await app.receive())['last-message-body'], 'three, Juliet');
      await app.quiet();
    });

    it('are not sent of it to somebody who has been thrown out meanwhile, nor of what no room has said', async () => {
      await away('juliet');
      const tablet = await SmClient.online(scene.host, 'juliet', { resource: 'tablet' });
      tablet.send(join(`${LOUNGE}/juliet`));
      await settle();
      tablet.ack();
      await speak('one');
      romeo.send(`<message type='groupchat' to='${tablet.jid}'><body>Juliet!</body></message>`);
      await settle();
      await scene.rooms.affiliate(room, undefined, [{ jid: scene.host.jid(JULIET), affiliation: 'outcast' }]);
      await settle();
      tablet.leave();
      await looked();
    });

    it('are not sent of what is no message to people', async () => {
      await away('juliet');
      await hearsNothing(async () => {
        const to = `type='groupchat' to='${LOUNGE}'`;
        romeo.send(`<message ${to}><composing xmlns='http://jabber.org/protocol/chatstates'/></message>`);
        romeo.send(`<message ${to}><displayed xmlns='urn:xmpp:chat-markers:0' id='x'/></message>`);
        romeo.send(`<message ${to}><reactions xmlns='urn:xmpp:reactions:0' id='x'><reaction>+</reaction></reactions></message>`);
        romeo.send(`<message ${to}><subject>Love</subject></message>`);
        romeo.send(`<message ${to}><body>+</body><no-store xmlns='urn:xmpp:hints'/></message>`);
        await settle();
      });
    });

    it('are sent of calls, and where the room keeps no archive', async () => {
      await away('juliet');
      romeo.send(`<message type='groupchat' to='${LOUNGE}'><invite xmlns='urn:xmpp:call-invites:0' id='c'/></message>`);
      assert.equal(nodeOf(await app.receive()), 'juliet');
      await scene.rooms.configure(room, { ...room.settings, isArchived: false });
      await hears('two');
    });

    it('follow affiliations', async () => {
      await away('juliet');
      await away('nurse');
      await hears('one');
      const keeper = await scene.client('keeper');
      await keeper.ask(change(`<item jid='nurse@example.org' affiliation='member'/>`));
      assert.deepEqual(await woken(() => speak('two'), 2), ['juliet', 'nurse']);
      await keeper.ask(change(`<item jid='nurse@example.org' affiliation='outcast'/><item jid='${JULIET}' affiliation='none'/>`));
      await hearsNothing(() => speak('three'));
      await keeper.ask(change(`<item jid='${JULIET}' affiliation='admin'/>`));
      await hears('four');
    });

    it('end with the account, whoever gets its name', async () => {
      await away('juliet');
      await hears('one');
      await scene.host.host.accounts.delete('juliet');
      await settle();
      await away('juliet');
      await hearsNothing(() => speak('two'));
    });

    it('are as the owners say for those who have not chosen', async () => {
      await away('juliet');
      await hears('one');
      const keeper = await scene.client('keeper');
      assertResult(await keeper.ask(configure({ '{parlance:rooms:1}notify': 'never' })));
      await hearsNothing(() => speak('two'));
      assertResult(await keeper.ask(configure({ '{parlance:rooms:1}notify': 'usual', membersonly: '0' })));
      await hearsNothing(() => speak('three'));
      await hears('juliet: four');
      assert.equal(errorIn(await keeper.ask(configure({ '{parlance:rooms:1}notify': 'sometimes' }))), 'not-acceptable/modify');
    });
  });

  describe('in a room for everybody', () => {
    beforeEach(mentions);

    it('are sent of what is said to the member itself', async () => {
      await away('juliet');
      await hearsNothing(() => speak('Anybody?'));
      await hears('O, speak again, Juliet!');
      await hearsNothing(() => speak('julietta and juliet1 are others'));
      const reference = `<reference xmlns='urn:xmpp:reference:0' type='mention' uri='xmpp:${JULIET}'/>`;
      await hears('She speaks', reference);
    });

    it('know a member by the nick it has registered, has bookmarked, or has had last', async () => {
      await away('juliet');
      await bookmark('<nick>Jule</nick>');
      await hears('Jule?');
      const laptop = await juliet();
      await scene.enter(laptop, { nick: 'Sun' });
      laptop.send(`<presence to='${LOUNGE}/Sun' type='unavailable'/>`);
      await settle();
      laptop.take();
      await hears('Arise, fair sun');
      await hearsNothing(() => speak('Jule?'));
      await scene.rooms.affiliate(room, undefined, [{ jid: scene.host.jid(JULIET), affiliation: 'member', nick: 'Capulet' }]);
      await hears('capulet!');
      await hearsNothing(() => speak('sun'));
    });

    it('are sent of everything, or nothing, where the server says so', async () => {
      await scene.stop();
      await open({}, { public: 'always' });
      await away('juliet');
      await hears('one');
      await scene.stop();
      await open({}, { public: 'never' });
      await away('juliet');
      await hearsNothing(() => speak('juliet'));
    });
  });

  describe('as chosen by the command', () => {
    beforeEach(mentions);

    it('which members are offered at the room', async () => {
      const items = `<iq type='get' to='${LOUNGE}'><query xmlns='http://jabber.org/protocol/disco#items' node='${COMMANDS}'/></iq>`;
      assert.match(String(await (await juliet()).ask(items)), /name="Notifications"/);
      const tybalt = await scene.client('tybalt');
      assert.doesNotMatch(String(await tybalt.ask(items)), /Notifications/);
      const begin = `<iq type='set' to='${LOUNGE}'><command xmlns='${COMMANDS}' node='${NODE}'/></iq>`;
      assert.equal(errorIn(await tybalt.ask(begin)), 'forbidden/cancel');
    });

    it('hold from then on, and after the room has slept', async () => {
      await away('juliet');
      assert.match(String(await choose('always')), /Saved\. You are notified of: All messages\./);
      await settle();
      await hears('one');
      await choose('never');
      await settle();
      await hearsNothing(() => speak('juliet'));
      assert.match(String(await choose('usual')), /Only when I am mentioned/);
      await settle();
      await hears('juliet');
    });

    it('cannot be anything else', async () => {
      for (const value of ['', 'sometimes', '__proto__']) {
        assert.equal(errorIn(await choose(value)), 'bad-request/modify');
      }
    });

    it('show what holds', async () => {
      const begin = `<iq type='set' to='${LOUNGE}'><command xmlns='${COMMANDS}' node='${NODE}'/></iq>`;
      const value = async () =>
        payloadOf(await (await juliet()).ask(begin))
          .getChild('x', 'jabber:x:data')
          ?.getChildren('field')[1]
          ?.getChildText('value');
      assert.equal(await value(), 'usual');
      await bookmark(notify('<never/>'));
      assert.equal(await value(), 'never');
      await choose('always');
      assert.equal(await value(), 'always');
    });

    it('win over bookmarks until those change (XEP-0492)', async () => {
      await away('juliet');
      await bookmark(notify('<never/>'));
      await hearsNothing(() => speak('juliet'));
      await choose('always');
      await settle();
      await hears('one');
      // The same bookmark once more, with another nick: nothing about notifications has changed.
      await bookmark(`<nick>Jule</nick>${notify('<never/>')}`);
      await hears('two');
      await bookmark(notify('<on-mention/>'));
      await hearsNothing(() => speak('three'));
      // What was chosen does not come back.
      await bookmark(notify('<never/>'));
      await hearsNothing(() => speak('juliet'));
    });
  });

  describe('as bookmarked (XEP-0492)', () => {
    beforeEach(everything);

    const cases: readonly (readonly [title: string, inner: string, outcome: 'always' | 'on-mention' | 'never'])[] = [
      ['never', notify('<never/>'), 'never'],
      ['on mention', notify('<on-mention/>'), 'on-mention'],
      ['always', notify('<always/>'), 'always'],
      ['by an extension as in XEP-0402', `<extensions xmlns='urn:xmpp:bookmarks:1'>${notify('<never/>')}</extensions>`, 'never'],
      [
        'by the most specific to a telephone',
        notify("<always/><never identity-category='client' identity-type='phone'/>"),
        'never',
      ],
      [
        'by category before the fallback, whatever comes first',
        notify("<on-mention identity-category='client'/><never/>"),
        'on-mention',
      ],
      ['not by what is for others', notify("<never identity-category='client' identity-type='pc'/><on-mention/>"), 'on-mention'],
      ['not by a type without a category', notify("<never identity-type='phone'/>"), 'always'],
      ['by the version before', notify('<never/>', 'urn:xmpp:notification-settings:0'), 'never'],
      ['not by what nobody knows', notify('<sometimes/>'), 'always'],
      ['not by an element of another namespace', notify("<never xmlns='urn:other'/>"), 'always'],
      [
        'with advanced settings, which are passed over',
        notify("<never><advanced><x xmlns='urn:x'/></advanced></never>"),
        'never',
      ],
    ];
    for (const [title, inner, outcome] of cases) {
      it(title, async () => {
        await away('juliet');
        await bookmark(inner);
        if (outcome === 'always') await hears('one');
        else await hearsNothing(() => speak('one'));
        if (outcome === 'never') await hearsNothing(() => speak('juliet'));
        else await hears('juliet');
      });
    }

    it('elsewhere mean nothing here, and what is no address is passed over', async () => {
      await away('juliet');
      await bookmark(notify('<never/>'), 'other@conference.example.org');
      await hears('one');
      await bookmark(notify('<never/>'), '@@');
      await hears('two');
      await bookmark(notify('<never/>'), LOUNGE.toUpperCase());
      await hearsNothing(() => speak('three'));
    });
  });
});

describe('muc-membership: who is looked at in a large room', () => {
  it('are those who have registered, and it is known once', async () => {
    const scene = await RoomScene.start({
      more: [commands, privateStorage, push, mucMembership],
      modules: { push: { interval: 0 } },
    });
    const app = new AppServer(scene.host, 'push.example.org');
    const people = Object.fromEntries(Array.from({ length: 2000 }, (_, i) => [`m${i}`, 'member'] as const));
    const room = await scene.room({ settings: { isMembersOnly: true }, people: { ...people, romeo: 'member' } });
    await settle();
    const romeo = await scene.client('romeo');
    await scene.enter(romeo);
    const phone = await scene.host.online('m1500', 'phone');
    assertResult(await phone.ask(enable('node')));
    phone.leave();
    await settle();
    romeo.send(say('one'));
    assert.equal(nodeOf(await app.receive()), 'node');
    let looked = 0;
    const here = room.occupants.ofAccount.bind(room.occupants);
    room.occupants.ofAccount = (bare) => {
      looked++;
      return here(bare);
    };
    romeo.send(say('two'));
    assert.equal(nodeOf(await app.receive()), 'node');
    assert.equal(looked, 1);
    await app.quiet();
    await scene.stop();
  });
});
