// XEP-0045 sections 7.8 and 7.13: what people ask a room to do by messages: to invite somebody, and to give them voice.
import {
  type Element,
  Envelope,
  Jid,
  type Maybe,
  nobody,
  type Router,
  readForm,
  Stanza,
  StanzaError,
  sortableId,
  writeForm,
  xml,
} from '#core';
import { affiliate, changeRoles } from './affiliating.ts';
import { NS_MUC, NS_USER } from './announce.ts';
import type { Occupant } from './occupant.ts';
import { hasRole, isAffiliated } from './ranks.ts';
import { answerRegistration, isRegistrationAnswer } from './register.ts';
import type { Room } from './room.ts';

const NS_DATA = 'jabber:x:data';
const NS_CONFERENCE = 'jabber:x:conference';
const NS_REQUEST = `${NS_MUC}#request`;
/** People that one message may invite. */
const MAX_INVITED = 20;

/** Takes a message to the room that is not for everybody in it. Throws or rejects with StanzaError for what it cannot be. */
export function takeRequest(room: Room, env: Envelope, router: Router): Maybe<void> {
  const { stanza } = env;
  const x = stanza.child('x', NS_USER);
  const invites = x?.getChildren('invite', NS_USER) ?? [];
  if (invites.length > 0) return invite(room, env, invites, router);
  const decline = x?.getChild('decline', NS_USER);
  if (decline) return passDecline(room, env, decline);
  const form = stanza.child('x', NS_DATA);
  if (form && isRegistrationAnswer(form)) return answerRegistration(room, env.from, form);
  if (form && readForm(form).get('FORM_TYPE')?.[0] === NS_REQUEST) return takeVoiceForm(room, env, form);
  if (stanza.type === 'error') return;
  throw new StanzaError('bad-request', { text: 'What is for everybody in the room is of type groupchat' });
}

/** Section 7.8.2. In a room for members whoever is invited becomes one (section 9.5). */
async function invite(room: Room, env: Envelope, invites: readonly Element[], router: Router): Promise<void> {
  const { from } = env;
  const occupant = room.occupants.of(from);
  const affiliation = room.affiliationOf(from);
  if (!occupant && !isAffiliated(affiliation, 'admin')) throw new StanzaError('forbidden', { text: 'You are not in this room' });
  if (invites.length > MAX_INVITED) throw new StanzaError('policy-violation', { text: `At most ${MAX_INVITED} at once` });
  checkInviter(room, from);
  const invited = invites.map((element) => ({ element, to: readInvited(element) }));
  if (await room.parts.events.hooks.inviting.run({ room, from, invited: invited.map(({ to }) => to), env })) return;
  await env.stored;
  const { isMembersOnly } = room.settings;
  const added = invited.filter(({ to }) => isMembersOnly && room.affiliationOf(to) === 'none');
  for (const { to } of invited) {
    if (room.affiliationOf(to) === 'outcast')
      throw new StanzaError('not-allowed', { text: `${to.bare} is banned from this room` });
  }
  if (added.length > 0) {
    // By right of the inviter, which has been looked at.
    await affiliate(
      room,
      undefined,
      added.map(({ to }) => ({ jid: to.bareJid, affiliation: 'member' as const })),
    );
  }
  const sent = invited.map(({ element, to }) => router.route(envelope(room, { element, from, to })));
  await Promise.all(sent);
}

function checkInviter(room: Room, from: Jid): void {
  const { affiliation, role } = room.standingOf(from);
  const { isMembersOnly, mayMembersInvite } = room.settings;
  if (isAffiliated(affiliation, 'admin') || (role === 'moderator' && !isMembersOnly)) return;
  const isEnough = isMembersOnly ? isAffiliated(affiliation, 'member') : hasRole(role, 'visitor');
  // Into an open room anybody may come; whoever is in it may say so (section 5.1.1), unless the room keeps that to itself.
  if (isEnough && (mayMembersInvite || !isMembersOnly)) return;
  throw new StanzaError('forbidden', { text: 'You may not invite anybody to this room' });
}

function readInvited(element: Element): Jid {
  const to: unknown = element.attrs['to'];
  const jid = typeof to === 'string' ? Jid.tryParse(to) : undefined;
  if (!jid || jid.local === '') throw new StanzaError('jid-malformed', { text: 'Nobody is named who is to be invited' });
  return jid;
}

function envelope(room: Room, { element, from, to }: { element: Element; from: Jid; to: Jid }): Envelope {
  const thread: unknown = element.getChild('continue', NS_USER)?.attrs['thread'];
  const goesOn =
    element.getChild('continue', NS_USER) && xml('continue', { thread: typeof thread === 'string' ? thread : undefined });
  const message = inviteTo(room, { by: from, reason: element.getChildText('reason', NS_USER) ?? undefined, goesOn });
  return new Envelope(message.addressed(room.jid.full, to.full), room.jid, to, nobody);
}

/** Who invites, and why; `goesOn` when a talk between two goes on in the room (section 7.9). */
export interface Invitation {
  readonly by: Jid;
  readonly reason?: string | undefined;
  readonly goesOn?: Element | undefined;
}

/** An invitation into a room, in the room's name. */
export function inviteTo(room: Room, { by: from, reason, goesOn }: Invitation): Stanza {
  const { password } = room.settings;
  // Whose real address is not for everybody is named as in the room.
  const inviter = room.settings.whois === 'anyone' ? from.full : (room.occupants.of(from)?.jid.full ?? room.jid.full);
  const mediated = xml('invite', { from: inviter }, reason === undefined ? undefined : xml('reason', {}, reason), goesOn);
  const x = xml('x', NS_USER, mediated, password === undefined ? undefined : xml('password', {}, password));
  // For clients that know only the other kind of invitation (XEP-0249).
  const direct = xml('x', { xmlns: NS_CONFERENCE, jid: room.jid.full, password, reason });
  return Stanza.of(xml('message', { id: sortableId() }, x, direct));
}

/** To the one who has invited, by whatever address the invitation has named (section 7.8.2). */
function passDecline(room: Room, { from }: Envelope, decline: Element): void {
  const to: unknown = decline.attrs['to'];
  const address = typeof to === 'string' ? Jid.tryParse(to) : undefined;
  if (!address) throw new StanzaError('jid-malformed');
  const inviter = address.bare === room.jid.bare ? room.occupants.named(address.resource)[0] : findOccupant(room, address);
  // Whoever is not in the room gets nothing through it: it is no way to write to strangers.
  if (!inviter) throw new StanzaError('item-not-found', { text: 'Whoever has invited you is not in the room' });
  const reason = decline.getChildText('reason', NS_USER) ?? undefined;
  const child = xml('decline', { from: from.bare }, reason === undefined ? undefined : xml('reason', {}, reason));
  room.send(Stanza.of(xml('message', { id: sortableId() }, xml('x', NS_USER, child))), room.jid, inviter.real);
}

function findOccupant(room: Room, address: Jid): Occupant | undefined {
  return room.occupants.of(address) ?? room.occupants.ofAccount(address.bare)[0];
}

/** Sections 7.13 and 8.6: a visitor asks for voice, or a moderator answers. */
function takeVoiceForm(room: Room, { from }: Envelope, form: Element): void {
  const occupant = room.occupants.of(from);
  if (!occupant) throw new StanzaError('not-acceptable', { text: 'You are not in this room' });
  const fields = readForm(form);
  if (fields.has('muc#request_allow')) return answerVoice(room, from, fields);
  const role = fields.get('muc#role')?.[0];
  if (role !== 'participant') throw new StanzaError('not-allowed', { text: 'Only voice can be asked for' });
  if (hasRole(occupant.role, 'participant')) throw new StanzaError('conflict', { text: 'You have voice' });
  const moderators = room.addressesOf((other) => other.role === 'moderator');
  void room.sendAll(writeVoiceRequest(occupant), room.jid, moderators);
}

function writeVoiceRequest({ real, nick }: Occupant): Stanza {
  const form = writeForm(
    'form',
    NS_REQUEST,
    [
      {
        name: 'muc#role',
        type: 'list-single',
        label: 'Requested role',
        values: ['participant'],
        options: [{ value: 'participant', label: 'Participant' }],
      },
      { name: 'muc#jid', type: 'jid-single', label: 'User ID', values: [real.full] },
      { name: 'muc#roomnick', type: 'text-single', label: 'Room nickname', values: [nick] },
      { name: 'muc#request_allow', type: 'boolean', label: 'Grant voice to this person?', values: ['false'] },
    ],
    { title: 'Voice request', instructions: 'To approve this request for voice, tick the box and submit.' },
  );
  return Stanza.of(xml('message', { id: sortableId() }, form));
}

function answerVoice(room: Room, by: Jid, fields: ReadonlyMap<string, readonly string[]>): void {
  if (room.occupants.of(by)?.role !== 'moderator') throw new StanzaError('forbidden');
  const isAllowed = ['1', 'true'].includes(fields.get('muc#request_allow')?.[0] ?? '');
  const nick = fields.get('muc#roomnick')?.[0] ?? '';
  const jid = Jid.tryParse(fields.get('muc#jid')?.[0] ?? '');
  if (!isAllowed) return;
  const visitors = room.occupants.named(nick).filter((each) => each.role === 'visitor' && (!jid || each.real.bare === jid.bare));
  if (visitors.length === 0) throw new StanzaError('item-not-found', { text: 'Nobody of this nick waits for voice' });
  changeRoles(room, by, [{ occupants: visitors, role: 'participant' }]);
}
