// Stanzas of the wrong kind, at the wrong place or with the wrong things in them (XEP-0045 sections 7.4, 7.5, 8.1, 11.1, 17.2 to 17.4 and 18.3).
import assert from 'node:assert/strict';
import type { Room } from '../../../modules/muc/index.ts';
import type { Probe } from '../../support/probe.ts';
import { answersTo, codesIn, errorIn, itemIn, LOUNGE, meet, type RoomScene, say } from '../../support/room-scene.ts';

const STANZAS = 'urn:ietf:params:xml:ns:xmpp-stanzas';
const NOBODY = `${LOUNGE}/nobody`;

describe('muc: odd stanzas', () => {
  let scene: RoomScene;
  let room: Room;
  let carol: Probe;
  let mallory: Probe;
  let outside: Probe;

  beforeEach(async () => {
    ({ scene, room, carol, mallory, outside } = await meet());
  });
  afterEach(() => scene.stop());

  const here = (): string[] => [...room.occupants].map(({ nick }) => nick).sort();

  describe('what is said to all', () => {
    const subject = '<subject>Spells</subject>';
    for (const [name, inner, isSubject] of [
      ['a subject', subject, true],
      ['an empty subject', '<subject/>', true],
      ['subjects in two languages', `${subject}<subject xml:lang='de'>Zauber</subject>`, true],
      ['a subject with something else', `${subject}<x xmlns='urn:example:x'/>`, true],
      ['a subject and a body', `${subject}<body>Hail</body>`, false],
      ['a subject and an empty body', `${subject}<body/>`, false],
      ['a subject and a thread', `${subject}<thread>t1</thread>`, false],
      ['a body', '<body>Hail</body>', false],
      ['an empty body', '<body/>', false],
      ['a chat state', "<composing xmlns='http://jabber.org/protocol/chatstates'/>", false],
      ['a subject of another namespace', "<subject xmlns='urn:example:x'>Spells</subject>", false],
      ['nothing', '', false],
    ] as const) {
      it(`changes the subject only when it is that and nothing more (section 8.1): ${name}`, async () => {
        const stanza = `<message type='groupchat' to='${LOUNGE}'>${inner}</message>`;
        const refused = await answersTo(mallory, stanza);
        if (isSubject) {
          assert.deepEqual(refused.map(errorIn), ['forbidden/auth']);
          await carol.quiet();
        } else {
          assert.deepEqual(refused.map(errorIn), [undefined]);
          assert.equal(carol.take().length, 1);
        }
        scene.assign(room, 'mallory', 'moderator');
        scene.assign(room, 'carol', 'visitor');
        await scene.hush(carol, mallory);
        await answersTo(mallory, stanza);
        assert.equal(carol.take().length, 1);
        const expected = isSubject ? (name === 'an empty subject' ? '' : 'Spells') : undefined;
        assert.equal(room.subject?.text, expected);
        // Whoever has no voice says nothing by any of it.
        assert.deepEqual((await answersTo(carol, stanza)).map(errorIn), ['forbidden/auth']);
        await mallory.quiet();
        // Who comes in is told the subject, last of all and once, and it is not in the history (section 7.2.15).
        const told = (await scene.enter(outside)).filter((each) => each.name === 'message');
        assert.equal(told.at(-1)?.getChildText('subject'), expected ?? '');
        assert.equal(told.at(-1)?.getChild('body'), undefined);
        assert.equal(
          told.filter((each) => each.getChild('subject') && !each.getChild('body') && !each.getChild('thread')).length,
          1,
        );
      });
    }

    it('comes from nobody who is not in the room, by whatever address (section 7.4)', async () => {
      for (const inner of ['<body>Hail</body>', subject, '<body/>']) {
        const refused = await answersTo(outside, `<message type='groupchat' to='${LOUNGE}'>${inner}</message>`);
        assert.deepEqual(refused.map(errorIn), ['not-acceptable/modify']);
      }
      // Another client of somebody who is.
      const phone = await scene.client('mallory', 'phone');
      assert.deepEqual((await answersTo(phone, say('Hail'))).map(errorIn), ['not-acceptable/modify']);
      await carol.quiet();
    });

    it('is for rooms that are there', async () => {
      for (const type of ['groupchat', 'chat', 'normal', 'headline']) {
        const refused = await answersTo(
          mallory,
          `<message type='${type}' to='nowhere@conference.example.org'><body>Hail</body></message>`,
        );
        assert.deepEqual(refused.map(errorIn), ['item-not-found/cancel'], type);
      }
      const refused = await answersTo(
        mallory,
        `<message type='groupchat' to='conference.example.org'><body>Hail</body></message>`,
      );
      assert.deepEqual(refused.map(errorIn), ['service-unavailable/cancel']);
    });

    it('is of the type groupchat (section 17.2)', async () => {
      for (const type of ["type='chat'", "type='normal'", "type='headline'", '']) {
        const refused = await answersTo(mallory, `<message ${type} to='${LOUNGE}'><body>Hail</body></message>`);
        assert.deepEqual(refused.map(errorIn), ['bad-request/modify'], type);
      }
      await carol.quiet();
    });
  });

  describe('what is said to one', () => {
    it('is not of the type groupchat (section 7.5)', async () => {
      for (const nick of ['carol', 'mallory', 'nobody']) {
        const refused = await answersTo(mallory, `<message type='groupchat' to='${LOUNGE}/${nick}'><body>Hail</body></message>`);
        assert.deepEqual(refused.map(errorIn), ['bad-request/modify'], nick);
      }
      await carol.quiet();
    });

    it('is of any other type, and comes from the nick', async () => {
      for (const type of ["type='chat'", "type='normal'", '']) {
        assert.deepEqual(
          await answersTo(mallory, `<message ${type} to='${LOUNGE}/carol' id='p1'><body>Psst</body></message>`),
          [],
        );
        const [whisper] = carol.take();
        assert.deepEqual(
          [whisper?.attrs['from'], whisper?.attrs['to'], whisper?.attrs['id']],
          [`${LOUNGE}/mallory`, carol.jid, 'p1'],
        );
        assert.doesNotMatch(String(whisper), /mallory@/);
      }
    });

    it('may be said to oneself', async () => {
      const [whisper, ...more] = await answersTo(
        mallory,
        `<message type='chat' to='${LOUNGE}/mallory'><body>Note</body></message>`,
      );
      assert.deepEqual([whisper?.attrs['from'], whisper?.getChildText('body')], [`${LOUNGE}/mallory`, 'Note']);
      assert.deepEqual(more, []);
      await carol.quiet();
    });

    it('finds nobody where there is nobody', async () => {
      const refused = await answersTo(mallory, `<message type='chat' to='${NOBODY}'><body>Psst</body></message>`);
      assert.deepEqual(refused.map(errorIn), ['item-not-found/cancel']);
    });

    it('comes from nobody who is not in the room', async () => {
      for (const nick of ['carol', 'nobody']) {
        const refused = await answersTo(outside, `<message type='chat' to='${LOUNGE}/${nick}'><body>Psst</body></message>`);
        assert.deepEqual(refused.map(errorIn), ['not-acceptable/modify'], nick);
      }
      await carol.quiet();
    });

    it('is not in the archive of the room (XEP-0313 section 6.2), nor in its history', async () => {
      await answersTo(mallory, `<message type='chat' to='${LOUNGE}/carol'><body>Psst</body></message>`);
      const told = await scene.enter(outside);
      assert.doesNotMatch(told.join(''), /Psst/);
      await outside.ask(`<iq type='set' to='${LOUNGE}'><query xmlns='urn:xmpp:mam:2'/></iq>`);
      assert.deepEqual(outside.take().map(String), []);
    });
  });

  const error = (condition: string, type = 'cancel'): string =>
    `<error type='${type}'><${condition} xmlns='${STANZAS}'/></error>`;

  describe('errors', () => {
    for (const condition of [
      'gone',
      'item-not-found',
      'recipient-unavailable',
      'redirect',
      'remote-server-not-found',
      'remote-server-timeout',
    ]) {
      it(`of messages show that a client is not there (section 18.3): ${condition}`, async () => {
        assert.equal((await answersTo(mallory, `<message type='error' to='${LOUNGE}'>${error(condition)}</message>`)).length, 1);
        assert.deepEqual(here(), ['carol']);
        const [gone] = carol.take();
        assert.equal(gone?.attrs['type'], 'unavailable');
        assert.equal(codesIn(gone).includes('333'), true);
      });
    }

    it('of other kinds change nothing, and are answered by nobody', async () => {
      for (const condition of [
        'not-acceptable',
        'policy-violation',
        'forbidden',
        'undefined-condition',
        'feature-not-implemented',
      ]) {
        for (const to of [LOUNGE, NOBODY]) {
          assert.deepEqual(await answersTo(mallory, `<message type='error' to='${to}'>${error(condition)}</message>`), []);
          assert.deepEqual(
            await answersTo(mallory, `<presence type='error' to='${to}'>${error(condition)}</presence>`),
            [],
            condition,
          );
        }
      }
      for (const inner of ['', '<error/>', "<error type='cancel'/>", '<gone/>', `<error><gone xmlns='urn:example:x'/></error>`]) {
        assert.deepEqual(await answersTo(mallory, `<message type='error' to='${LOUNGE}'>${inner}</message>`), [], inner);
      }
      assert.deepEqual(here(), ['carol', 'mallory']);
      await carol.quiet();
    });

    it('from outside concern nobody', async () => {
      for (const to of [LOUNGE, `${LOUNGE}/carol`, NOBODY, 'nowhere@conference.example.org', 'conference.example.org']) {
        for (const name of ['message', 'presence', 'iq']) {
          const id = name === 'iq' ? "id='e1'" : '';
          assert.deepEqual(
            await answersTo(outside, `<${name} ${id} type='error' to='${to}'>${error('gone')}</${name}>`),
            [],
            `${name} ${to}`,
          );
        }
      }
      await carol.quiet();
      await mallory.quiet();
    });
  });

  describe('presence of odd types', () => {
    for (const type of ['probe', 'subscribe', 'subscribed', 'unsubscribe', 'unsubscribed']) {
      it(`neither enters nor leaves (section 17.3): ${type}`, async () => {
        for (const to of [LOUNGE, `${LOUNGE}/outside`, `${LOUNGE}/carol`]) {
          for (const probe of [outside, mallory]) {
            const x = "<x xmlns='http://jabber.org/protocol/muc'/>";
            const back = await answersTo(probe, `<presence type='${type}' to='${to}'>${x}</presence>`);
            for (const stanza of back) assert.notEqual(itemIn(stanza)['role'], 'participant', String(stanza));
          }
        }
        assert.deepEqual(here(), ['carol', 'mallory']);
        await carol.quiet();
      });
    }

    it('is no way to enter without a nick (section 7.2.1)', async () => {
      const refused = await answersTo(outside, `<presence to='${LOUNGE}'><x xmlns='http://jabber.org/protocol/muc'/></presence>`);
      assert.deepEqual(refused.map(errorIn), ['jid-malformed/modify']);
    });

    it('without what it takes is no way to enter, but says that one is out (section 7.2.16)', async () => {
      for (const to of [`${LOUNGE}/outside`, `${LOUNGE}/carol`, 'nowhere@conference.example.org/outside']) {
        const [kick, ...more] = await answersTo(outside, `<presence to='${to}'><show>away</show></presence>`);
        assert.deepEqual([kick?.attrs['type'], kick?.attrs['from']], ['unavailable', to]);
        for (const code of ['110', '307', '333']) assert(codesIn(kick).includes(code));
        assert.deepEqual(more, []);
      }
      assert.deepEqual(here(), ['carol', 'mallory']);
      assert.equal(await scene.rooms.find(scene.host.jid('nowhere@conference.example.org')), undefined);
      await carol.quiet();
    });

    it('unavailable from outside is nothing (section 17.3)', async () => {
      for (const to of [LOUNGE, `${LOUNGE}/carol`, NOBODY, 'nowhere@conference.example.org/x', 'conference.example.org']) {
        assert.deepEqual(await answersTo(outside, `<presence type='unavailable' to='${to}'/>`), []);
      }
      assert.deepEqual(here(), ['carol', 'mallory']);
      await carol.quiet();
    });

    it('unavailable ends the stay of who sends it, whosever nick it names (section 7.14)', async () => {
      const own = await answersTo(mallory, `<presence type='unavailable' to='${LOUNGE}/carol'><status>Bye</status></presence>`);
      assert.deepEqual(here(), ['carol']);
      assert.equal(own[0]?.attrs['from'], `${LOUNGE}/mallory`);
      assert.deepEqual(codesIn(own[0]), ['110']);
      const [gone] = carol.take();
      assert.deepEqual([gone?.attrs['from'], gone?.getChildText('status')], [`${LOUNGE}/mallory`, 'Bye']);
      assert.equal(itemIn(gone)['role'], 'none');
    });
  });
});
