// Who may do what: the tables of XEP-0045 sections 5.1.1 and 5.2.1, tried by everybody in every kind of room.
import assert from 'node:assert/strict';
import type { Element } from 'ltx';
import { settle } from '../../support/probe.ts';
import {
  answersTo,
  change,
  configure,
  errorIn,
  itemIn,
  join,
  list,
  OWNER,
  RoomScene,
  SERVICE,
  say,
  USER,
} from '../../support/room-scene.ts';
import { arrange, COLUMNS, type Column, type Kind, OUTCOMES, type Place, tidy } from '../../support/room-standings.ts';

type Attempt = (place: Place) => Promise<string>;

const outcomeOf = (answer: Element | undefined): string => errorIn(answer) ?? 'allowed';
const ask =
  (write: (place: Place) => string): Attempt =>
  async (place) =>
    outcomeOf(await place.actor.ask(write(place)));
const role = (nick: string, to: string): Attempt => ask(({ address }) => change(`<item nick='${nick}' role='${to}'/>`, address));
const affiliation = (to: string): Attempt =>
  ask(({ address }) => change(`<item jid='target@example.org' affiliation='${to}'/>`, address));
const query = (xmlns: string, type: string, inner = ''): Attempt =>
  ask(({ address }) => `<iq type='${type}' to='${address}'><query xmlns='${xmlns}'>${inner}</query></iq>`);
const lists = (attrs: string): Attempt => ask(({ address }) => list(attrs, address));

/** Sends a message; `allowed` once this client has got what it looks for, and the error otherwise. */
const send =
  (write: (place: Place) => string, arrives: (place: Place) => Promise<boolean> | boolean): Attempt =>
  async (place) => {
    const error = (await answersTo(place.actor, write(place))).map(errorIn).find(Boolean);
    const hasCome = await arrives(place);
    if (error) assert.equal(hasCome, false, 'what was refused has come all the same');
    return error ?? (hasCome ? 'allowed' : 'nothing');
  };

const comesToTarget = ({ target }: Place): boolean => target.take().some(({ name }) => name === 'message');

const enter =
  (x = ''): Attempt =>
  async ({ actor, address }) => {
    const answers = (await answersTo(actor, join(`${address}/Newcomer`, x))).filter(({ name }) => name === 'presence');
    return errorIn(answers[0]) ?? itemIn(answers.at(-1))['role'] ?? 'nothing';
  };

const changeNick: Attempt = async ({ actor, address }) => {
  const own = (await answersTo(actor, `<presence to='${address}/Another'/>`)).at(-1);
  return errorIn(own) ?? (own?.attrs['from'] === `${address}/Another` ? 'allowed' : 'nothing');
};

const ATTEMPTS = {
  enters: enter(),
  'enters with the password': enter('<password>open sesame</password>'),
  'enters with a wrong password': enter('<password>open barley</password>'),
  'changes its nick': changeNick,
  speaks: send(({ address }) => say('Hail', { room: address }), comesToTarget),
  'sets the subject': send(
    ({ address }) => `<message type='groupchat' to='${address}'><subject>Spells</subject></message>`,
    comesToTarget,
  ),
  'writes to one': send(
    ({ address }) => `<message type='chat' to='${address}/target'><body>Psst</body></message>`,
    comesToTarget,
  ),
  invites: send(
    ({ address }) => `<message to='${address}'><x xmlns='${USER}'><invite to='keeper@example.org'/></x></message>`,
    ({ keeper }) => keeper.take().some((stanza) => stanza.getChild('x', USER)?.getChild('invite') !== undefined),
  ),
  pings: ask(
    ({ address, actor }) => `<iq type='get' to='${address}/${actor.session.jid.local}'><ping xmlns='urn:xmpp:ping'/></iq>`,
  ),
  'sees a participant out': role('target', 'none'),
  'takes voice': role('target', 'visitor'),
  'gives voice': async (place) => {
    place.room.occupants.named('target')[0]!.role = 'visitor';
    return role('target', 'participant')(place);
  },
  'makes a moderator': role('target', 'moderator'),
  'reads the voice list': lists("role='participant'"),
  'reads the moderator list': lists("role='moderator'"),
  'reads the ban list': lists("affiliation='outcast'"),
  'reads the member list': lists("affiliation='member'"),
  'reads the admin list': lists("affiliation='admin'"),
  'reads the owner list': lists("affiliation='owner'"),
  bans: affiliation('outcast'),
  'makes a member': affiliation('member'),
  'takes membership': affiliation('none'),
  'makes an admin': affiliation('admin'),
  'makes an owner': affiliation('owner'),
  'reads the configuration': query(OWNER, 'get'),
  configures: ask(({ address }) => configure({ roomname: 'Cave' }, { room: address })),
  'destroys it': query(OWNER, 'set', '<destroy/>'),
  'asks to register': query('jabber:iq:register', 'get'),
  'reads the archive': query('urn:xmpp:mam:2', 'set'),
  'asks what the room is': query('http://jabber.org/protocol/disco#info', 'get'),
  'asks for its own nick': ask(
    ({ address }) =>
      `<iq type='get' to='${address}'><query xmlns='http://jabber.org/protocol/disco#info' node='x-roomuser-item'/></iq>`,
  ),
  'asks who is in it': async ({ actor, address }) => {
    const answer = await actor.ask(`<iq type='get' to='${address}'><query xmlns='http://jabber.org/protocol/disco#items'/></iq>`);
    const shown = answer.getChild('query')?.getChildren('item').length ?? 0;
    return errorIn(answer) ?? (shown > 0 ? 'allowed' : 'nothing');
  },
} satisfies Record<string, Attempt>;

type Privilege = keyof typeof ATTEMPTS;

/** One row: a privilege in a kind of room, and what is to come of it for each of COLUMNS (see OUTCOMES). */
// biome-ignore format: it reads as a table.
const TABLE: readonly (readonly [Privilege, Kind, string])[] = [
  // Sections 7.2.1 to 7.2.8, with the roles of section 5.1.2.
  //                                                          out str vis par mod mem mem+ memM adm adm+ own own+ hst hst+
  ['enters', 'open', '                                        f   P   -   -   -   P   -    -    M   -    M   -    M   -'],
  ['enters', 'hidden', '                                      f   P   -   -   -   P   -    -    M   -    M   -    M   -'],
  ['enters', 'non-anonymous', '                               f   P   -   -   -   P   -    -    M   -    M   -    M   -'],
  ['enters', 'moderated', '                                   f   V   -   -   -   P   -    -    M   -    M   -    M   -'],
  ['enters', 'members', '                                     f   r   -   -   -   P   -    -    M   -    M   -    M   -'],
  ['enters', 'password', '                                    f   w   -   -   -   w   -    -    w   -    .   -    .   -'],
  ['enters with a wrong password', 'password', '              f   w   -   -   -   w   -    -    w   -    .   -    .   -'],
  ['enters with the password', 'password', '                  f   P   -   -   -   P   -    -    M   -    M   -    M   -'],
  // Section 7.4: whoever is not in the room does not speak there; 7.5, 7.6.
  ['speaks', 'open', '                                        a   a   f   +   +   a   +    +    a   +    a   +    a   +'],
  ['speaks', 'moderated', '                                   a   a   f   +   +   a   +    +    a   +    a   +    a   +'],
  ['speaks', 'members', '                                     a   a   -   -   -   a   +    +    a   +    a   +    a   +'],
  ['speaks', 'hidden', '                                      a   a   f   +   +   a   +    +    a   +    a   +    a   +'],
  ['writes to one', 'open', '                                 a   a   +   +   +   a   +    +    a   +    a   +    a   +'],
  ['writes to one', 'moderated', '                            a   a   +   +   +   a   +    +    a   +    a   +    a   +'],
  ['writes to one', 'members', '                              a   a   -   -   -   a   +    +    a   +    a   +    a   +'],
  ['changes its nick', 'open', '                              -   -   +   +   +   -   +    +    -   +    -   +    -   +'],
  ['changes its nick', 'moderated', '                         -   -   +   +   +   -   +    +    -   +    -   +    -   +'],
  ['pings', 'open', '                                         c   c   +   +   +   c   +    +    c   +    c   +    c   +'],
  // Section 8.1.
  ['sets the subject', 'open', '                              a   a   f   f   +   a   f    +    a   +    a   +    a   +'],
  ['sets the subject', 'with a free subject', '               a   a   f   +   +   a   +    +    a   +    a   +    a   +'],
  ['sets the subject', 'moderated', '                         a   a   f   f   +   a   f    +    a   +    a   +    a   +'],
  // Sections 7.8.2 and 9.5.
  ['invites', 'open', '                                       f   f   +   +   +   f   +    +    .   +    .   +    .   +'],
  ['invites', 'hidden', '                                     f   f   +   +   +   f   +    +    .   +    .   +    .   +'],
  ['invites', 'members', '                                    f   f   -   -   -   f   f    f    .   +    .   +    .   +'],
  ['invites', 'members with invitations', '                   f   f   -   -   -   f   +    +    .   +    .   +    .   +'],
  // Sections 8.2 to 8.5: moderators, who are in the room.
  ['sees a participant out', 'open', '                        f   f   f   f   +   f   f    +    f   +    f   +    f   +'],
  ['sees a participant out', 'members', '                     f   f   -   -   -   f   f    +    f   +    f   +    f   +'],
  ['takes voice', 'open', '                                   f   f   f   f   +   f   f    +    f   +    f   +    f   +'],
  ['takes voice', 'moderated', '                              f   f   f   f   +   f   f    +    f   +    f   +    f   +'],
  ['gives voice', 'moderated', '                              f   f   f   f   +   f   f    +    f   +    f   +    f   +'],
  ['reads the voice list', 'open', '                          f   f   f   f   +   f   f    +    f   +    f   +    f   +'],
  // Sections 9.6 to 9.8: admins.
  ['makes a moderator', 'open', '                             f   f   f   f   f   f   f    f    .   +    .   +    .   +'],
  ['makes a moderator', 'members', '                          f   f   -   -   -   f   f    f    .   +    .   +    .   +'],
  ['reads the moderator list', 'open', '                      f   f   f   f   f   f   f    f    +   +    +   +    +   +'],
  // Sections 9.1 to 9.5: admins, wherever they are; the member list also members of non-anonymous rooms.
  ['reads the ban list', 'open', '                            f   f   f   f   f   f   f    f    +   +    +   +    +   +'],
  ['reads the ban list', 'non-anonymous', '                   f   f   f   f   f   f   f    f    +   +    +   +    +   +'],
  ['reads the member list', 'open', '                         f   f   f   f   .   f   f    .    +   +    +   +    +   +'],
  ['reads the member list', 'members', '                      f   f   -   -   -   f   f    .    +   +    +   +    +   +'],
  ['reads the member list', 'non-anonymous', '                f   f   f   .   .   +   +    +    +   +    +   +    +   +'],
  ['reads the member list', 'members, non-anonymous', '       f   f   -   -   -   +   +    +    +   +    +   +    +   +'],
  ['bans', 'open', '                                          f   f   f   f   f   f   f    f    +   +    +   +    +   +'],
  ['bans', 'members', '                                       f   f   -   -   -   f   f    f    +   +    +   +    +   +'],
  ['makes a member', 'open', '                                f   f   f   f   f   f   f    f    +   +    +   +    +   +'],
  ['makes a member', 'non-anonymous', '                       f   f   f   f   f   f   f    f    +   +    +   +    +   +'],
  ['takes membership', 'members', '                           f   f   -   -   -   f   f    f    +   +    +   +    +   +'],
  // Sections 10.3 to 10.8: owners.
  ['reads the admin list', 'open', '                          f   f   f   f   f   f   f    f    f   f    +   +    +   +'],
  ['reads the admin list', 'members', '                       f   f   -   -   -   f   f    f    f   f    +   +    +   +'],
  ['reads the owner list', 'open', '                          f   f   f   f   f   f   f    f    f   f    +   +    +   +'],
  ['reads the owner list', 'hidden', '                        f   f   f   f   f   f   f    f    f   f    +   +    +   +'],
  ['makes an admin', 'open', '                                f   f   f   f   f   f   f    f    f   f    +   +    +   +'],
  ['makes an owner', 'open', '                                f   f   f   f   f   f   f    f    f   f    +   +    +   +'],
  ['makes an owner', 'members', '                             f   f   -   -   -   f   f    f    f   f    +   +    +   +'],
  // Sections 10.1, 10.2 and 10.9.
  ['reads the configuration', 'open', '                       f   f   f   f   f   f   f    f    f   f    +   +    +   +'],
  ['configures', 'open', '                                    f   f   f   f   f   f   f    f    f   f    +   +    +   +'],
  ['configures', 'password', '                                f   f   f   f   f   f   f    f    f   f    +   +    +   +'],
  ['destroys it', 'open', '                                   f   f   f   f   f   f   f    f    f   f    +   +    +   +'],
  ['destroys it', 'members', '                                f   f   -   -   -   f   f    f    f   f    +   +    +   +'],
  // Sections 7.10 and 7.12.
  ['asks to register', 'open', '                              n   +   +   +   +   +   +    +    +   +    +   +    +   +'],
  ['asks to register', 'members', '                           n   +   -   -   -   +   +    +    +   +    +   +    +   +'],
  ['asks for its own nick', 'open', '                         .   +   +   +   +   +   +    +    +   +    +   +    +   +'],
  // XEP-0313 section 6.2: those who may enter.
  ['reads the archive', 'open', '                             f   +   +   +   +   +   +    +    +   +    +   +    +   +'],
  ['reads the archive', 'members', '                          f   f   -   -   -   +   +    +    +   +    +   +    +   +'],
  ['reads the archive', 'password', '                         f   f   +   +   +   .   +    +    .   +    +   +    +   +'],
  // Section 6.4: anybody; section 6.5: who is there is for those who are there, and for members.
  ['asks what the room is', 'open', '                         +   +   +   +   +   +   +    +    +   +    +   +    +   +'],
  ['asks what the room is', 'hidden', '                       +   +   +   +   +   +   +    +    +   +    +   +    +   +'],
  ['asks who is in it', 'open', '                             0   0   +   +   +   +   +    +    +   +    +   +    +   +'],
  ['asks who is in it', 'members', '                          0   0   -   -   -   .   +    +    .   +    .   +    .   +'],
  ['asks who is in it', 'hidden', '                           0   0   +   +   +   .   +    +    .   +    .   +    .   +'],
];

describe('muc: privileges', () => {
  let scene: RoomScene;

  before(async () => {
    scene = await RoomScene.start({ settings: { admins: ['boss@example.org'] } });
  });
  after(() => scene.stop());

  /** What comes of it; whoever is refused must not have been seen doing anything. */
  async function attempt(privilege: Privilege, kind: Kind, column: Column): Promise<string> {
    const place = await arrange(scene, kind, column);
    if (!place) return '-';
    const before = stateOf(place);
    const outcome = await ATTEMPTS[privilege](place);
    await settle();
    if (outcome.includes('/') && privilege !== 'gives voice') {
      assert.deepEqual(stateOf(place), before, 'what was refused has changed something');
      assert.deepEqual(place.target.take().map(String), [], 'the target has heard of what was refused');
    }
    await tidy(scene, place);
    return outcome;
  }

  const stateOf = ({ room }: Place): unknown => [
    room.settings,
    room.isGone,
    room.subject,
    [...room.members],
    [...room.occupants].map(({ real, nick, role: own }) => [real.full, nick, own]),
  ];

  for (const [privilege, kind, row] of TABLE) {
    it(`${privilege} (${kind})`, async () => {
      const expected = row.trim().split(/\s+/);
      assert.equal(expected.length, COLUMNS.length);
      const wanted: Record<string, string> = {};
      const found: Record<string, string> = {};
      for (const [at, column] of COLUMNS.entries()) {
        const letter = expected[at]!;
        if (letter === '-' || letter === '.') continue;
        wanted[column] = OUTCOMES[letter]!;
        found[column] = await attempt(privilege, kind, column);
      }
      assert.deepEqual(found, wanted);
    });
  }

  it('are none to find a hidden room by (section 6.3), whoever looks', async () => {
    for (const column of COLUMNS) {
      for (const kind of ['open', 'hidden'] as const) {
        const place = (await arrange(scene, kind, column))!;
        const iq = `<iq type='get' to='${SERVICE}'><query xmlns='http://jabber.org/protocol/disco#items'/></iq>`;
        const items = (await place.actor.ask(iq)).getChild('query')!.getChildren('item');
        const isListed = items.some(({ attrs }) => attrs['jid'] === place.address);
        assert.equal(isListed, kind === 'open', `${column}, ${kind}`);
        await tidy(scene, place);
      }
    }
  });

  it('are tried at all', () => {
    const tried = new Set(TABLE.map(([privilege]) => privilege));
    assert.deepEqual(
      Object.keys(ATTEMPTS).filter((privilege) => !tried.has(privilege as Privilege)),
      [],
    );
  });
});
