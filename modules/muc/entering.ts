import { timingSafeEqual } from 'node:crypto';
import { type Element, type Envelope, Jid, readDateTime, readStanza, Stanza, StanzaError, timeOf, xml } from '#core';
import { TAG } from '../mam/index.ts';
import { announce, introduce, NS_MUC, STATUS, sendAway } from './announce.ts';
import { fold, Occupant } from './occupant.ts';
import { isAffiliated, roleOnEntry } from './ranks.ts';
import type { Room } from './room.ts';

const NS_DELAY = 'urn:xmpp:delay';
/** Occupants that admins and owners may be more than there is room for (XEP-0045 section 7.2.11). */
const RESERVE = 20;
/** Bytes a nick may have. */
const MAX_NICK = 255;

/** What a service allows in all its rooms. */
export interface EntryLimits {
  readonly maxUsers: number;
  readonly maxHistory: number;
}

/** A client comes into a room, or says again that it is there (XEP-0045 section 7.2). Throws StanzaError for who may not. */
export async function enter(room: Room, env: Envelope, limits: EntryLimits, isNew: boolean): Promise<void> {
  const { stanza, from, to } = env;
  const x = stanza.child('x', NS_MUC);
  const known = room.occupants.of(from);
  if (known && known.nick === to.resource) return x ? repeat(room, known, stanza, limits) : update(room, known, stanza);
  if (known) return rename(room, known, env);
  if (!x) return sendAway(room, to, from, 'You are not in this room');
  checkEntry(room, from, to.resource, { x, limits });
  const occupant = new Occupant({
    real: from,
    jid: to,
    role: roleOnEntry(room.affiliationOf(from.bare), room.settings.isModerated),
    presence: stanza,
    id: room.occupantId(from),
  });
  room.occupants.add(occupant);
  await welcome(room, occupant, { x, limits, codes: isNew ? [STATUS.created] : [] });
}

/** The client has lost track of the room: it gets everything as if it had just come. */
async function repeat(room: Room, occupant: Occupant, presence: Stanza, limits: EntryLimits): Promise<void> {
  occupant.presence = presence;
  await welcome(room, occupant, { x: presence.child('x', NS_MUC)!, limits, codes: [] });
}

function update(room: Room, occupant: Occupant, presence: Stanza): void {
  occupant.presence = presence;
  announce(room, occupant);
}

/** XEP-0045 section 7.6. */
function rename(room: Room, occupant: Occupant, { stanza, from, to }: Envelope): void {
  if (room.settings.areNicksFixed && room.members.get(from.bare)?.nick !== undefined) {
    throw new StanzaError('not-acceptable', { type: 'cancel', text: 'Nicks are fixed in this room' });
  }
  checkNick(room, from, to.resource);
  announce(room, occupant, { nick: to.resource, codes: [STATUS.newNick] });
  room.occupants.rename(occupant, to);
  occupant.presence = stanza;
  announce(room, occupant);
}

function checkEntry(room: Room, from: Jid, nick: string, { x, limits }: { x: Element; limits: EntryLimits }): void {
  const affiliation = room.affiliationOf(from.bare);
  const { settings, occupants } = room;
  if (affiliation === 'outcast') throw new StanzaError('forbidden', { text: 'You are banned from this room' });
  if (room.isLocked && affiliation !== 'owner') throw new StanzaError('item-not-found');
  if (settings.isMembersOnly && !isAffiliated(affiliation, 'member')) {
    throw new StanzaError('registration-required', { text: 'This room is for members only' });
  }
  if (!isAffiliated(affiliation, 'owner') && !isPassword(settings.password, x.getChildText('password', NS_MUC))) {
    throw new StanzaError('not-authorized', { text: 'A password is needed to enter this room' });
  }
  const most = settings.maxUsers > 0 ? Math.min(settings.maxUsers, limits.maxUsers) : limits.maxUsers;
  const reserve = isAffiliated(affiliation, 'admin') ? RESERVE : 0;
  if (occupants.size >= most + reserve) throw new StanzaError('service-unavailable', { type: 'wait', text: 'This room is full' });
  checkNick(room, from, nick);
}

function isPassword(password: string | undefined, given: string | null): boolean {
  if (password === undefined) return true;
  const [wanted, found] = [Buffer.from(password), Buffer.from(given ?? '')];
  return wanted.length === found.length && timingSafeEqual(wanted, found);
}

/** Somebody else's nick is nobody else's, nor is one that looks the same (XEP-0045 sections 7.2.9 and 7.10). */
function checkNick(room: Room, from: Jid, nick: string): void {
  if (nick === '' || fold(nick) === '' || Buffer.byteLength(nick) > MAX_NICK) {
    throw new StanzaError('jid-malformed', { text: 'A nick is needed that can be seen' });
  }
  const owner = room.ownerOf(nick, fold);
  const isTaken = room.occupants.named(nick).some(({ real }) => real.bare !== from.bare);
  if (isTaken || (owner !== undefined && owner !== from.bare)) {
    throw new StanzaError('conflict', { text: 'This nick is taken' });
  }
  const registered = room.members.get(from.bare)?.nick;
  if (room.settings.areNicksFixed && registered !== undefined && fold(registered) !== fold(nick)) {
    throw new StanzaError('not-acceptable', { type: 'cancel', text: `Your nick in this room is ${registered}` });
  }
}

interface Welcome {
  readonly x: Element;
  readonly limits: EntryLimits;
  readonly codes: readonly string[];
}

/** Everything a new occupant gets, in this order (XEP-0045 section 7.1): who is there, itself, what was said, what it is about. */
async function welcome(room: Room, occupant: Occupant, { x, limits, codes }: Welcome): Promise<void> {
  for (const other of room.occupants.firsts()) {
    if (other.nick === occupant.nick && other.real.bare === occupant.real.bare) continue;
    if (room.settings.presenceOf.includes(other.role) || occupant.role === 'moderator') introduce(room, other, occupant);
  }
  announce(room, occupant, { ownCodes: codes });
  // What is being said just now is history for whoever comes.
  const before = room.underway;
  if (before) await before;
  for (const message of await readHistory(room, x.getChild('history', NS_MUC), limits))
    room.send(message, fromOf(message), occupant.real);
  tellSubject(room, occupant);
}

function fromOf(message: Stanza): Jid {
  return message.from === undefined ? unknownSender() : Jid.parse(message.from);
}

function unknownSender(): never {
  throw new Error('a message without a sender is in the history');
}

/** What a room talks about, also when it is nothing (XEP-0045 section 7.2.15). */
export function tellSubject(room: Room, occupant: Occupant): void {
  const { subject } = room;
  const delay = subject && xml('delay', { xmlns: NS_DELAY, from: room.jid.full, stamp: new Date(subject.at).toISOString() });
  const message = Stanza.of(xml('message', { type: 'groupchat' }, xml('subject', {}, subject?.text ?? ''), delay));
  room.send(message, subject ? room.addressOf(subject.by) : room.jid, occupant.real);
}

/** The last messages, as many as the client wants and as there may be (XEP-0045 section 7.2.14). */
async function readHistory(room: Room, wish: Element | undefined, limits: EntryLimits): Promise<readonly Stanza[]> {
  const { maxchars, maxstanzas, seconds, since } = (wish?.attrs ?? {}) as Readonly<Record<string, string | undefined>>;
  const max = Math.min(limits.maxHistory, room.settings.maxHistory, readNumber(maxstanzas) ?? Number.MAX_SAFE_INTEGER);
  let left = readNumber(maxchars) ?? Number.MAX_SAFE_INTEGER;
  if (max <= 0 || left <= 0) return [];
  const age = readNumber(seconds);
  const starts = [age === undefined ? undefined : Date.now() - age * 1000, since === undefined ? undefined : readDateTime(since)];
  const start = starts.filter((time) => time !== undefined).sort((a, b) => b - a)[0];
  const page = await room.parts.messages.query(room.jid.local, {
    tag: { mask: TAG.conversation | TAG.tombstone, value: TAG.conversation },
    ...(start !== undefined && { start }),
    max,
    last: true,
  });
  const history: Stanza[] = [];
  for (const { id, stanza } of [...page.items].reverse()) {
    left -= stanza.length;
    if (left < 0) break;
    const stamp = new Date(timeOf(id) ?? 0).toISOString();
    history.push(readStanza(stanza).plus('delay', NS_DELAY, { from: room.jid.full, stamp }));
  }
  return history.reverse();
}

function readNumber(text: string | undefined): number | undefined {
  return text !== undefined && /^\d{1,9}$/.test(text) ? Number(text) : undefined;
}
