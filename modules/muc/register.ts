// XEP-0045 sections 7.10 and 9.9: people become members of a room, and have their nick kept for them.
import { type Element, Jid, readForm, Stanza, StanzaError, sortableId, writeForm, xml } from '#core';
import { affiliate } from './affiliating.ts';
import { NS_MUC } from './announce.ts';
import { REGISTER_FIELD } from './fields.ts';
import { checkNickname } from './nick.ts';
import { isAffiliated } from './ranks.ts';
import type { Room } from './room.ts';

/** The namespace of XEP-0077. */
export const NS_REGISTER = 'jabber:iq:register';
const NS_FORM = `${NS_MUC}#register`;
const NS_DATA = 'jabber:x:data';
const NICK = 'muc#register_roomnick';
/** Requests of one room that may wait for an answer. */
const MAX_WAITING = 100;

/** What is to be filled in, or under which nick somebody is known. Throws StanzaError `not-allowed` for who may not ask. */
export function showRegistration(room: Room, from: Jid): Element {
  const known = room.members.get(from.bare);
  checkMay(room, from);
  const registered = known?.nick === undefined ? [] : [xml('registered'), xml('username', {}, known.nick)];
  const nick = known?.nick ?? room.occupants.of(from)?.nick;
  const form = writeForm(
    'form',
    NS_FORM,
    [
      {
        name: NICK,
        type: 'text-single',
        label: 'Your nick in the room',
        isRequired: true,
        values: nick === undefined ? [] : [nick],
      },
    ],
    { title: `Become a member of ${room.settings.name || room.jid.local}` },
  );
  return xml('query', NS_REGISTER, ...registered, form);
}

/** Makes somebody a member, keeps their nick, or forgets both. Throws StanzaError. */
export async function register(room: Room, from: Jid, query: Element): Promise<void> {
  checkMay(room, from);
  const before = room.affiliationOf(from);
  if (query.getChild('remove', NS_REGISTER)) {
    const affiliation = before === 'member' ? 'none' : before;
    return affiliate(room, undefined, [{ jid: from.bareJid, affiliation, nick: '' }]);
  }
  const nick = readNick(query);
  checkNickname(nick);
  const owner = room.ownerOf(nick);
  const isTaken = room.occupants.named(nick).some(({ real }) => real.bare !== from.bare);
  if (isTaken || (owner !== undefined && owner !== from.bare)) throw new StanzaError('conflict', { text: 'This nick is taken' });
  const isMember = isAffiliated(before, 'member');
  if (!isMember && needsApproval(room)) return askForApproval(room, from, nick);
  await affiliate(room, undefined, [{ jid: from.bareJid, affiliation: isMember ? before : 'member', nick }]);
}

/** Takes the answer of an admin (section 9.9). */
export async function answerRegistration(room: Room, from: Jid, form: Element): Promise<void> {
  if (!isAffiliated(room.affiliationOf(from), 'admin')) throw new StanzaError('forbidden');
  const fields = readForm(form);
  const nick = fields.get(NICK)?.[0] ?? '';
  const asker = [...room.requests].find(([, wanted]) => wanted === nick)?.[0];
  if (asker === undefined) throw new StanzaError('item-not-found', { text: 'Nobody of this nick waits' });
  room.requests.delete(asker);
  if (!['1', 'true'].includes(fields.get('muc#register_allow')?.[0] ?? '')) return;
  await affiliate(room, from, [{ jid: Jid.parse(asker), affiliation: 'member', nick }]);
}

/** Whether a form is such an answer. */
export function isRegistrationAnswer(form: Element): boolean {
  const fields = readForm(form);
  return fields.get('FORM_TYPE')?.[0] === NS_FORM && fields.has('muc#register_allow');
}

function checkMay(room: Room, from: Jid): void {
  const affiliation = room.affiliationOf(from);
  const isClosed = room.parts.fields.valuesOf(room.settings, REGISTER_FIELD)[0] === 'closed';
  if (affiliation === 'outcast' || (isClosed && !isAffiliated(affiliation, 'member'))) {
    throw new StanzaError('not-allowed', { text: 'This room takes no registrations' });
  }
}

function needsApproval(room: Room): boolean {
  return room.settings.isMembersOnly || room.parts.fields.valuesOf(room.settings, REGISTER_FIELD)[0] === 'approval';
}

function readNick(query: Element): string {
  const form = query.getChild('x', NS_DATA);
  if (form?.attrs['type'] !== 'submit') throw new StanzaError('bad-request', { text: 'The form is to be submitted' });
  const fields = readForm(form);
  const type = fields.get('FORM_TYPE')?.[0];
  if (type !== undefined && type !== NS_FORM) throw new StanzaError('bad-request', { text: `The FORM_TYPE is ${NS_FORM}` });
  const nick = fields.get(NICK)?.[0];
  if (!nick) throw new StanzaError('not-acceptable', { text: 'A nick is missing' });
  return nick;
}

/** To the admins who are here; and to all of them where none is, who find it later. */
function askForApproval(room: Room, from: Jid, nick: string): void {
  const others = [...room.requests].filter(([bare]) => bare !== from.bare);
  if (others.length >= MAX_WAITING) throw new StanzaError('resource-constraint', { text: 'Too many wait for an answer' });
  if (others.some(([, wanted]) => wanted === nick)) throw new StanzaError('conflict', { text: 'This nick is taken' });
  room.requests.set(from.bare, nick);
  const form = writeForm(
    'form',
    NS_FORM,
    [
      { name: NICK, type: 'text-single', label: 'Nick', values: [nick] },
      { name: '{parlance:rooms:1}address', type: 'jid-single', label: 'Address', values: [from.bare] },
      { name: 'muc#register_allow', type: 'boolean', label: 'Allow this person to register with the room?', values: ['0'] },
    ],
    { title: 'Registration request', instructions: 'To approve this request, tick the box and submit.' },
  );
  const message = Stanza.of(xml('message', { id: sortableId() }, form));
  const here = room.addressesOf(({ real }) => isAffiliated(room.affiliationOf(real), 'admin'));
  const absent = [...room.affiliated('owner'), ...room.affiliated('admin')].map(([bare]) => Jid.parse(bare));
  void room.sendAll(message, room.jid, here.length > 0 ? here : absent);
}
