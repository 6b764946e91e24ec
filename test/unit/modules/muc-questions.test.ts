// IQs that go through a room from occupant to occupant (XEP-0045 section 17.4), and pings to oneself (XEP-0410).
import assert from 'node:assert/strict';
import type { Element } from 'ltx';
import type { Room } from '../../../modules/muc/index.ts';
import vcard from '../../../modules/vcard/index.ts';
import type { Probe } from '../../support/probe.ts';
import { answersTo, errorIn, LOUNGE, meet, type RoomScene } from '../../support/room-scene.ts';

const VERSION = 'jabber:iq:version';
const version = (nick: string, type = 'get', id = 'q1'): string =>
  `<iq type='${type}' to='${LOUNGE}/${nick}' id='${id}'><query xmlns='${VERSION}'/></iq>`;

describe('muc: questions to occupants', () => {
  let scene: RoomScene;
  let room: Room;
  let carol: Probe;
  let mallory: Probe;
  let outside: Probe;

  beforeEach(async () => {
    ({ scene, room, carol, mallory, outside } = await meet({ more: [vcard] }));
  });
  afterEach(() => scene.stop());

  const answer = (question: Element, more = ''): string =>
    `<iq type='result' to='${question.attrs['from']}' id='${question.attrs['id']}'><query xmlns='${VERSION}'><name>Psi</name></query>${more}</iq>`;

  it('reach the client, and the answer whoever has asked; neither learns who the other is', async () => {
    for (const type of ['get', 'set']) {
      assert.deepEqual(await answersTo(mallory, version('carol', type)), []);
      const [question, ...more] = carol.take();
      assert.deepEqual(more, []);
      assert.deepEqual(
        [question?.attrs['from'], question?.attrs['to'], question?.attrs['type']],
        [`${LOUNGE}/mallory`, carol.jid, type],
      );
      assert.doesNotMatch(String(question), /mallory@/);
      assert.notEqual(question?.attrs['id'], 'q1', 'an id that the asker could have chosen to collide with another');
      assert.deepEqual(await answersTo(carol, answer(question!)), []);
      const [result] = mallory.take();
      assert.deepEqual([result?.attrs['from'], result?.attrs['id'], result?.attrs['type']], [`${LOUNGE}/carol`, 'q1', 'result']);
      assert.equal(result?.getChild('query')?.getChildText('name'), 'Psi');
      assert.doesNotMatch(String(result), /carol@/);
    }
  });

  it('are answered once: a second answer goes nowhere', async () => {
    await answersTo(mallory, version('carol'));
    const [question] = carol.take();
    await answersTo(carol, answer(question!));
    assert.equal(mallory.take().length, 1);
    assert.deepEqual(await answersTo(carol, answer(question!)), []);
    await mallory.quiet();
  });

  it('are answered by nobody else, though they know the id', async () => {
    await answersTo(mallory, version('carol'));
    const [question] = carol.take();
    for (const probe of [outside, mallory, await scene.client('keeper')]) {
      for (const to of [LOUNGE, `${LOUNGE}/mallory`, `${LOUNGE}/carol`]) {
        const forged = answer(question!).replace(/to='[^']*'/, `to='${to}'`);
        assert.deepEqual(await answersTo(probe, forged), [], to);
        assert.deepEqual(await answersTo(probe, forged.replace("type='result'", "type='error'")), [], to);
      }
    }
    await mallory.quiet();
    await answersTo(carol, answer(question!));
    assert.equal(mallory.take().length, 1);
  });

  it('are answered by no guess', async () => {
    await answersTo(mallory, version('carol', 'get', 'q1'));
    const [question] = carol.take();
    for (const id of ['q1', '', '0', '1', `${question!.attrs['id']}x`, String(question!.attrs['id']).slice(1), '__proto__']) {
      const guess = `<iq type='result' to='${LOUNGE}/mallory' id='${id}'/>`;
      assert.deepEqual(await answersTo(carol, guess), [], id);
    }
    await mallory.quiet();
  });

  it('have different ids, and answers may come in any order', async () => {
    for (const id of ['a', 'b', 'a']) await answersTo(mallory, version('carol', 'get', id));
    const questions = carol.take();
    assert.equal(new Set(questions.map(({ attrs }) => attrs['id'])).size, 3);
    for (const question of questions.toReversed()) await answersTo(carol, answer(question));
    assert.deepEqual(
      mallory.take().map(({ attrs }) => attrs['id']),
      ['a', 'b', 'a'],
    );
  });

  it('come back as an error when the client says so, and when it is not there', async () => {
    await answersTo(mallory, version('carol'));
    const [question] = carol.take();
    const error = "<error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>";
    await answersTo(carol, `<iq type='error' to='${LOUNGE}/mallory' id='${question!.attrs['id']}'>${error}</iq>`);
    const [result] = mallory.take();
    assert.deepEqual(
      [errorIn(result), result?.attrs['from'], result?.attrs['id']],
      ['service-unavailable/cancel', `${LOUNGE}/carol`, 'q1'],
    );
    assert.deepEqual((await answersTo(mallory, version('nobody'))).map(errorIn), ['item-not-found/cancel']);
  });

  it('are for occupants (section 17.4)', async () => {
    for (const nick of ['carol', 'nobody', 'outside']) {
      const [refusal, ...more] = await answersTo(outside, version(nick));
      assert.match(errorIn(refusal) ?? '', /^(not-acceptable|item-not-found)/);
      assert.deepEqual(more, []);
    }
    await carol.quiet();
  });

  it('for a vCard are answered by the account, and nobody learns which it is', async () => {
    await carol.ask(`<iq type='set'><vCard xmlns='vcard-temp'><FN>Carol C.</FN></vCard></iq>`);
    const [card] = await answersTo(mallory, `<iq type='get' to='${LOUNGE}/carol' id='v1'><vCard xmlns='vcard-temp'/></iq>`);
    assert.deepEqual([card?.attrs['from'], card?.attrs['id'], card?.attrs['type']], [`${LOUNGE}/carol`, 'v1', 'result']);
    assert.equal(card?.getChild('vCard')?.getChildText('FN'), 'Carol C.');
    assert.doesNotMatch(String(card), /carol@/);
    await carol.quiet();
    // Nobody changes that of somebody else through a room.
    const change = `<iq type='set' to='${LOUNGE}/carol' id='v2'><vCard xmlns='vcard-temp'><FN>Mallory M.</FN></vCard></iq>`;
    const [refused] = await answersTo(mallory, change);
    assert.equal(refused?.attrs['type'], 'error');
    assert.match(String(await carol.ask(`<iq type='get'><vCard xmlns='vcard-temp'/></iq>`)), /Carol C\./);
  });

  it('are passed on when they are malformed no more than elsewhere', async () => {
    for (const stanza of [
      `<iq type='get' to='${LOUNGE}/carol'><query xmlns='${VERSION}'/></iq>`,
      `<iq to='${LOUNGE}/carol' id='m1'><query xmlns='${VERSION}'/></iq>`,
      `<iq type='fetch' to='${LOUNGE}/carol' id='m2'><query xmlns='${VERSION}'/></iq>`,
      `<iq type='get' to='${LOUNGE}/carol' id='m3'/>`,
      `<iq type='get' to='${LOUNGE}/carol' id='m4'><a xmlns='urn:a'/><b xmlns='urn:b'/></iq>`,
      `<iq type='get' to='${LOUNGE}' id='m5'/>`,
      `<iq type='get' to='${LOUNGE}' id='m6'><a xmlns='urn:a'/><b xmlns='urn:b'/></iq>`,
    ]) {
      for (const back of await answersTo(mallory, stanza)) assert.equal(back.attrs['type'], 'error', stanza);
      await carol.quiet();
    }
  });

  it('to the room that it does not know are refused', async () => {
    for (const type of ['get', 'set']) {
      const refused = await mallory.ask(`<iq type='${type}' to='${LOUNGE}'><query xmlns='urn:example:unknown'/></iq>`);
      assert.equal(errorIn(refused), 'service-unavailable/cancel');
      const nowhere = await mallory.ask(
        `<iq type='${type}' to='nowhere@conference.example.org'><query xmlns='urn:example:unknown'/></iq>`,
      );
      assert.match(errorIn(nowhere) ?? '', /^(item-not-found|service-unavailable)\/cancel$/);
    }
  });

  describe('XEP-0410', () => {
    const ping = (nick: string): string => `<iq type='get' to='${LOUNGE}/${nick}'><ping xmlns='urn:xmpp:ping'/></iq>`;

    it('answers an occupant for its own nick without asking anybody', async () => {
      assert.equal((await mallory.ask(ping('mallory'))).attrs['type'], 'result');
      await mallory.quiet();
    });

    it('tells who is not there that they are not, whatever the nick', async () => {
      for (const nick of ['outside', 'carol', 'nobody']) {
        assert.equal(errorIn(await outside.ask(ping(nick))), 'not-acceptable/cancel', nick);
      }
      await carol.quiet();
    });

    it('is no answer for another client of the same account', async () => {
      const phone = await scene.client('mallory', 'phone');
      assert.equal(errorIn(await phone.ask(ping('mallory'))), 'not-acceptable/cancel');
      await scene.enter(phone);
      await scene.hush(mallory, carol);
      assert.equal((await phone.ask(ping('mallory'))).attrs['type'], 'result');
      mallory.send(`<presence type='unavailable' to='${LOUNGE}/mallory'/>`);
      await scene.hush(mallory);
      assert.equal(errorIn(await mallory.ask(ping('mallory'))), 'not-acceptable/cancel');
      assert.equal((await phone.ask(ping('mallory'))).attrs['type'], 'result');
    });

    it('under a nick that one has no more says that nobody is there', async () => {
      mallory.send(`<presence to='${LOUNGE}/malcolm'/>`);
      await scene.hush(mallory);
      assert.equal(errorIn(await mallory.ask(ping('mallory'))), 'item-not-found/cancel');
      assert.equal((await mallory.ask(ping('malcolm'))).attrs['type'], 'result');
    });

    it('tells who was shown out', async () => {
      scene.assign(room, 'mallory', 'visitor');
      await scene.rooms.affiliate(room, undefined, [{ jid: scene.host.jid('mallory@example.org'), affiliation: 'outcast' }]);
      await scene.hush(mallory);
      assert.equal(errorIn(await mallory.ask(ping('mallory'))), 'not-acceptable/cancel');
    });

    it('is announced (section 4)', async () => {
      for (const to of [LOUNGE, 'conference.example.org']) {
        const info = await outside.ask(`<iq type='get' to='${to}'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>`);
        assert.match(String(info), /muc#self-ping-optimization/);
      }
    });
  });
});
