import assert from 'node:assert/strict';
import { FASTEN, ModerationScene, moderate, RETRACT, retract } from '../../support/moderation-scene.ts';
import type { Probe } from '../../support/probe.ts';
import { bodies, errorIn, join, LOUNGE, say } from '../../support/room-scene.ts';

describe('muc-moderation: retraction by the author', () => {
  let scene: ModerationScene;
  let romeo: Probe;
  let juliet: Probe;

  beforeEach(async () => {
    scene = await ModerationScene.start();
    romeo = await scene.enter('romeo');
    juliet = await scene.enter('juliet');
    await scene.scene.hush(romeo);
  });
  afterEach(() => scene.stop());

  const texts = async () =>
    (await scene.archive()).map((message) => message.getChildText('body') ?? message.children.map(String).join(''));

  it('puts a tombstone in the place of a message that is named by its stanza-id', async () => {
    const id = await scene.say(romeo, 'secret', 'm1');
    await scene.scene.hush(juliet);
    romeo.send(retract(id));
    const told = await juliet.receive('message');
    assert.equal(told.getChild('retract', RETRACT)?.attrs['id'], id);
    const [tombstone, retraction] = await scene.archive();
    assert.equal(tombstone!.attrs['id'], 'm1');
    assert.equal(tombstone!.attrs['from'], `${LOUNGE}/romeo`);
    assert.deepEqual(
      tombstone!.getChildElements().map(({ name }) => name),
      // The last is for moderators: the real address.
      ['occupant-id', 'retracted', 'x'],
    );
    const retracted = tombstone!.getChild('retracted', RETRACT)!;
    assert.equal(retracted.attrs['id'], 'retraction');
    assert.match(String(retracted.attrs['stamp']), /^\d{4}-\d\d-\d\dT/);
    assert.equal(tombstone!.getChild('occupant-id')?.attrs['id'], told.getChild('occupant-id')?.attrs['id']);
    assert.equal(retraction!.getChild('retract', RETRACT)?.attrs['id'], id);
  });

  it('also of one that is named by its own id, the newest of its author', async () => {
    await scene.say(romeo, 'old', 'same');
    await scene.say(juliet, 'not mine', 'same');
    await scene.say(romeo, 'new', 'same');
    romeo.send(retract('same'));
    await romeo.receive('message');
    const found = await texts();
    assert.deepEqual([found[0], found[1]], ['old', 'not mine']);
    assert.match(found[2]!, /<retracted/);
  });

  it('also as older clients ask for it', async () => {
    const id = await scene.say(romeo, 'secret');
    const apply = `<apply-to xmlns='${FASTEN}' id='${id}'><retract xmlns='urn:xmpp:message-retract:0'/></apply-to>`;
    romeo.send(`<message type='groupchat' to='${LOUNGE}' id='r1'>${apply}</message>`);
    await romeo.receive('message');
    assert.match((await texts())[0]!, /<retracted/);
  });

  it('also with another nick, or from another client of the same account', async () => {
    const id = await scene.say(romeo, 'secret');
    const other = await scene.scene.client('romeo', 'phone');
    other.send(join(`${LOUNGE}/montague`));
    await scene.scene.hush(other);
    other.send(retract(id));
    await other.receive('message');
    assert.match((await texts())[0]!, /<retracted/);
  });

  it('is not shown to those who come later', async () => {
    const id = await scene.say(romeo, 'secret');
    await scene.say(romeo, 'public');
    romeo.send(retract(id));
    await scene.scene.hush(romeo);
    const nurse = await scene.scene.client('nurse');
    assert.deepEqual(bodies(await scene.scene.enter(nurse)), ['public']);
  });

  it('is refused to others, also to moderators', async () => {
    const id = await scene.say(romeo, 'mine');
    await scene.scene.hush(juliet, scene.keeper);
    for (const probe of [juliet, scene.keeper]) {
      probe.send(retract(id));
      assert.equal(errorIn(await probe.receive('message')), 'forbidden/auth');
    }
    await romeo.quiet();
    assert.deepEqual(await texts(), ['mine']);
  });

  it('does nothing to what somebody else has said under the same id', async () => {
    await scene.say(romeo, 'mine', 'm1');
    await scene.scene.hush(juliet);
    juliet.send(retract('m1'));
    await juliet.receive('message');
    assert.deepEqual((await texts()).slice(0, 1), ['mine']);
  });

  it('does nothing to another room', async () => {
    const id = await scene.say(romeo, 'here');
    await scene.scene.room({ name: 'cellar' });
    const cellar = 'cellar@conference.example.org';
    await scene.scene.enter(romeo, { room: cellar });
    romeo.send(retract(id).replaceAll(LOUNGE, cellar));
    await romeo.receive('message');
    assert.deepEqual(await texts(), ['here']);
  });

  it('does not retract retractions, nor tombstones again', async () => {
    const id = await scene.say(romeo, 'secret');
    romeo.send(retract(id));
    const told = await romeo.receive('message');
    const own = told.getChild('stanza-id')!.attrs['id'] as string;
    romeo.send(retract(own).replace("id='retraction'", "id='r2'"));
    romeo.send(retract(id).replace("id='retraction'", "id='r3'"));
    await scene.scene.hush(romeo);
    const archive = await scene.archive();
    assert.equal(archive[0]!.getChild('retracted')?.attrs['id'], 'retraction');
    assert(archive.slice(1).every((message) => message.getChild('retract')));
  });

  it('needs the voice that speaking needs', async () => {
    const id = await scene.say(romeo, 'secret');
    scene.scene.assign(scene.room, 'romeo', 'visitor');
    await scene.scene.hush(romeo);
    romeo.send(retract(id));
    assert.equal(errorIn(await romeo.receive('message')), 'forbidden/auth');
  });

  it('takes whatever else stands there for an id of no message', async () => {
    await scene.say(romeo, 'hello');
    for (const id of ['', '0', '../../x', '&apos; or 1=1', '\u{1F600}', 'x'.repeat(4000)]) {
      romeo.send(retract(id));
      assert.equal((await romeo.receive('message')).attrs['type'], 'groupchat', id);
    }
    assert.equal((await texts())[0], 'hello');
  });

  describe('forged', () => {
    const tombstone = `<retracted xmlns='${RETRACT}' id='x' stamp='2024-01-01T00:00:00Z'/>`;
    const moderated = `<moderated xmlns='urn:xmpp:message-moderate:1' by='${LOUNGE}/keeper'/>`;
    const older = `<moderated xmlns='urn:xmpp:message-moderate:0' by='${LOUNGE}/keeper'><retract xmlns='urn:xmpp:message-retract:0'/></moderated>`;
    const forgeries: readonly (readonly [string, string])[] = [
      ['tombstones', tombstone],
      ['moderation as the room tells it', `<retract xmlns='${RETRACT}' id='ID'>${moderated}</retract>`],
      [
        'moderation under a prefix',
        `<r:retract xmlns:r='${RETRACT}' id='ID'><m:moderated xmlns:m='urn:xmpp:message-moderate:1'/></r:retract>`,
      ],
      [
        'moderation behind a retraction',
        `<retract xmlns='${RETRACT}' id='own'/><retract xmlns='${RETRACT}' id='ID'>${moderated}</retract>`,
      ],
      ['moderation in the older form', `<apply-to xmlns='${FASTEN}' id='ID'>${older}</apply-to>`],
      ['moderation by itself', moderated],
      ['older moderation by itself', older],
    ];
    for (const [what, xml] of forgeries) {
      it(`${what} are refused in a room and in private messages`, async () => {
        const id = await scene.say(romeo, 'mine');
        await scene.scene.hush(juliet);
        const forged = xml.replace('ID', id);
        juliet.send(say('see', { more: forged }));
        assert.equal(errorIn(await juliet.receive('message')), 'forbidden/auth');
        juliet.send(`<message type='chat' to='${LOUNGE}/romeo'>${forged}</message>`);
        assert.equal(errorIn(await juliet.receive('message')), 'forbidden/auth');
        await romeo.quiet();
        assert.deepEqual(await texts(), ['mine']);
      });
    }

    it('retractions of several messages at once are refused', async () => {
      const id = await scene.say(romeo, 'mine');
      await scene.scene.hush(juliet);
      const both = `<retract xmlns='${RETRACT}' id='own'/><retract xmlns='${RETRACT}' id='${id}'/>`;
      juliet.send(say('see', { more: both }));
      assert.equal(errorIn(await juliet.receive('message')), 'bad-request/modify');
    });
  });

  it('and by a moderator at the same time leave one tombstone', async () => {
    const id = await scene.say(romeo, 'secret');
    romeo.send(retract(id));
    await scene.keeper.ask(moderate(id));
    await scene.scene.hush(romeo);
    const [first] = await scene.archive();
    assert.equal(first!.getChildren('retracted').length, 1);
    assert.equal(first!.getChild('body'), undefined);
  });
});
