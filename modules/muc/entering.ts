import { timingSafeEqual } from 'node:crypto';
import {
  after,
  type Element,
  type Envelope,
  isSession,
  Jid,
  type Maybe,
  readDateTime,
  readStanza,
  Stanza,
  StanzaError,
  timeOf,
  xml,
} from '#core';
import { TAG } from '../mam/index.ts';
import { announce, awayNotice, introduceAll, NS_MUC, STATUS, tellOwn } from './announce.ts';
import { checkNickname, fold } from './nick.ts';
import { Occupant } from './occupant.ts';
import { isAffiliated, roleOnEntry } from './ranks.ts';
import type { Room } from './room.ts';
import { ROOM_TAG } from './tag.ts';
import { NS_VERSIONS, tellAffiliations, versionMark } from './versions.ts';

const NS_DELAY = 'urn:xmpp:delay';
const NS_SID = 'urn:xmpp:sid:0';
/** Occupants that admins and owners may be more than there is room for (XEP-0045 section 7.2.9). */
const RESERVE = 20;

/** What a service allows in all its rooms. */
export interface EntryLimits {
  readonly maxUsers: number;
  readonly maxHistory: number;
}

/** A client comes into a room, or says again that it is there (XEP-0045 section 7.2). Throws StanzaError for who may not. */
export function enter(room: Room, env: Envelope, limits: EntryLimits, isNew: boolean): Maybe<void> {
  const { stanza, from, to } = env;
  const isJoin = stanza.has('x', NS_MUC);
  const known = room.occupants.of(from);
  if (known) return change(room, known, env, limits);
  if (!isJoin) return room.send(awayNotice('You are not in this room'), to, from);
  checkEntry(room, env, limits);
  return after(room.parts.events.hooks.entering.run({ room, from, nick: to.resource, env }), (isHandled) =>
    isHandled ? undefined : admit(room, env, limits, isNew),
  );
}

function admit(room: Room, env: Envelope, limits: EntryLimits, isNew: boolean): Maybe<void> {
  const { stanza, from, to, origin } = env;
  // Looked at again, since a guard may have waited for something.
  checkEntry(room, env, limits);
  if (room.isGone) throw new StanzaError('gone', { text: 'This room was destroyed' });
  // A client that has gone while its presence waited would stay for ever: nobody will say again that it has gone.
  if (isSession(origin) && origin.isClosed) return undefined;
  const occupant = new Occupant({
    real: from,
    jid: to,
    role: roleOnEntry(room.affiliationOf(from), room.settings.isModerated),
    presence: stanza,
    id: room.occupantId(from.bare),
  });
  room.occupants.add(occupant);
  room.usedAt = Date.now();
  room.parts.events.signals.entered.emit({ room, occupant });
  return welcome(room, occupant, { limits, isNew, isFirst: true });
}

/** What somebody who is there says of itself. */
function change(room: Room, occupant: Occupant, env: Envelope, limits: EntryLimits): Maybe<void> {
  const { stanza, to } = env;
  const kind = occupant.nick !== to.resource ? 'nick' : stanza.has('x', NS_MUC) ? 'again' : 'presence';
  return after(room.parts.events.hooks.updating.run({ room, occupant, env, kind }), (isHandled) => {
    // It may have gone while a guard was waiting for something.
    if (isHandled || room.occupants.of(occupant.real) !== occupant) return;
    if (kind === 'nick') return rename(room, occupant, env);
    return kind === 'again' ? repeat(room, occupant, stanza, limits) : update(room, occupant, stanza);
  });
}

/** The client has lost track of the room: it gets everything as if it had just come (section 17.3, rule 4). */
function repeat(room: Room, occupant: Occupant, presence: Stanza, limits: EntryLimits): Promise<void> {
  occupant.presence = presence;
  occupant.forms = undefined;
  return welcome(room, occupant, { limits, isNew: false, isFirst: false });
}

/** Section 7.7. */
function update(room: Room, occupant: Occupant, presence: Stanza): void {
  occupant.presence = presence;
  occupant.forms = undefined;
  announce(room, occupant);
}

/** Section 7.6. */
function rename(room: Room, occupant: Occupant, { stanza, from, to }: Envelope): void {
  if (room.settings.areNicksFixed && room.members.get(from.bare)?.nick !== undefined) {
    throw new StanzaError('not-acceptable', { type: 'cancel', text: 'Nicks are fixed in this room' });
  }
  checkNick(room, from, to.resource);
  const notice = { nick: to.resource, codes: [STATUS.newNick] };
  const other = room.occupants.named(occupant.nick).find((each) => each !== occupant);
  // Others go on seeing the old nick as long as one of its clients has it (section 7.2.9).
  if (other) tellOwn(room, occupant, notice);
  else announce(room, occupant, notice);
  room.occupants.rename(occupant, to);
  occupant.presence = stanza;
  occupant.forms = undefined;
  announce(room, occupant);
  if (!other) return;
  other.isTold ||= occupant.isTold;
  announce(room, other);
}

function checkEntry(room: Room, { stanza, from, to }: Envelope, limits: EntryLimits): void {
  const affiliation = room.affiliationOf(from);
  const { settings, occupants } = room;
  if (affiliation === 'outcast') throw new StanzaError('forbidden', { text: 'You are banned from this room' });
  if (room.isLocked && affiliation !== 'owner') throw new StanzaError('item-not-found');
  if (settings.isMembersOnly && !isAffiliated(affiliation, 'member')) {
    throw new StanzaError('registration-required', { text: 'This room is for members only' });
  }
  if (settings.password !== undefined) {
    const given = stanza.child('x', NS_MUC)?.getChildText('password', NS_MUC);
    if (!isPassword(settings.password, given)) {
      throw new StanzaError('not-authorized', { text: 'A password is needed to enter this room' });
    }
  }
  const most = settings.maxUsers > 0 ? Math.min(settings.maxUsers, limits.maxUsers) : limits.maxUsers;
  const reserve = isAffiliated(affiliation, 'admin') ? RESERVE : 0;
  if (occupants.size >= most + reserve) throw new StanzaError('service-unavailable', { type: 'wait', text: 'This room is full' });
  checkNick(room, from, to.resource);
}

function isPassword(password: string, given: string | null | undefined): boolean {
  const [wanted, found] = [Buffer.from(password), Buffer.from(given ?? '')];
  return wanted.length === found.length && timingSafeEqual(wanted, found);
}

/**
 * Somebody else's nick is nobody else's, nor is one that looks the same (XEP-0045 sections 7.2.9 and 7.10). The clients of an account that
 * share one spell it alike, or others would see two and lose sight of one.
 */
export function checkNick(room: Room, from: Jid, nick: string): void {
  checkNickname(nick);
  const owner = room.ownerOf(nick);
  const isTaken = room.occupants
    .named(nick)
    .some(({ real, nick: other }) => real.bare !== from.bare || (other !== nick && real.full !== from.full));
  if (isTaken || (owner !== undefined && owner !== from.bare)) {
    throw new StanzaError('conflict', { text: 'This nick is taken' });
  }
  const registered = room.members.get(from.bare)?.nick;
  if (room.settings.areNicksFixed && registered !== undefined && fold(registered) !== fold(nick)) {
    throw new StanzaError('not-acceptable', { type: 'cancel', text: `Your nick in this room is ${registered}` });
  }
}

interface Welcome {
  readonly limits: EntryLimits;
  /** The room was made for it. */
  readonly isNew: boolean;
  /** It was not in the room before. */
  readonly isFirst: boolean;
}

/** Everything a new occupant gets, in this order (XEP-0045 section 7.1): who is there, itself, what was said, what it is about. */
async function welcome(room: Room, occupant: Occupant, { limits, isNew, isFirst }: Welcome): Promise<void> {
  const x = occupant.presence.child('x', NS_MUC);
  const hasVersions = x?.getChild('mav', NS_VERSIONS) !== undefined;
  if (hasVersions) tellAffiliations(room, occupant, x);
  introduceAll(room, occupant);
  const codes: string[] = isNew ? [STATUS.created] : [];
  if (room.settings.whois === 'anyone') codes.push(STATUS.realSeen);
  if (room.isArchived) codes.push(STATUS.loggingOn);
  const notice = { ownCodes: codes, ...(hasVersions && { ownExtra: [versionMark(room)] }) };
  if (isFirst) announce(room, occupant, notice);
  else tellOwn(room, occupant, notice);
  // What is said from now on is shown once the history was.
  room.arriving.add(occupant);
  try {
    const history = await readHistory(room, x?.getChild('history', NS_MUC), limits);
    // What was found there may only just be stored, and not have come here yet.
    if (room.underway) await room.underway;
    // Whoever is out again by now hears nothing more of the room.
    if (room.occupants.of(occupant.real) !== occupant) return;
    // What is held back was said when it was here already: it gets that as others do, and all of it, whatever history it wants.
    const held = new Set(occupant.held.map(({ id }) => id));
    const before = held.size === 0 ? history : history.filter(({ id }) => !held.has(id));
    room.sendEach(before, occupant.real);
    tellSubject(room, occupant);
  } finally {
    release(room, occupant);
  }
}

/** Gives an occupant what was held back for it. */
function release(room: Room, occupant: Occupant): void {
  const { held } = occupant;
  occupant.held = [];
  if (!room.arriving.delete(occupant) || room.occupants.of(occupant.real) !== occupant) return;
  for (const { stanza, from } of held) room.send(stanza, from, occupant.real);
}

/** What a room talks about, also when it is nothing (XEP-0045 section 7.2.15). */
function tellSubject(room: Room, occupant: Occupant): void {
  const { subject } = room;
  const delay = subject && xml('delay', { xmlns: NS_DELAY, from: room.jid.full, stamp: new Date(subject.at).toISOString() });
  const message = Stanza.of(xml('message', { type: 'groupchat' }, xml('subject', {}, subject?.text ?? ''), delay));
  room.send(message, subject?.by ? room.addressOf(subject.by) : room.jid, occupant.real);
}

/** What a new occupant is told of what was said, in order, with the ids in the archive. */
type History = readonly { readonly id: string; readonly stanza: Stanza; readonly from: Jid }[];

/** The last messages, as many as the client wants and as there may be (XEP-0045 section 7.2.14). */
async function readHistory(room: Room, wish: Element | undefined, limits: EntryLimits): Promise<History> {
  const { maxchars, maxstanzas, seconds, since } = (wish?.attrs ?? {}) as Readonly<Record<string, string | undefined>>;
  const max = Math.min(limits.maxHistory, room.settings.maxHistory, readNumber(maxstanzas) ?? Number.MAX_SAFE_INTEGER);
  let left = readNumber(maxchars) ?? Number.MAX_SAFE_INTEGER;
  const age = readNumber(seconds);
  // In no time nothing was said, also not in this very millisecond.
  if (max <= 0 || left <= 0 || age === 0 || !room.isArchived) return [];
  const starts = [age === undefined ? undefined : Date.now() - age * 1000, since === undefined ? undefined : readDateTime(since)];
  const start = starts.filter((time) => time !== undefined).sort((a, b) => b - a)[0];
  const { items } = await room.parts.messages.query(room.jid.bare, {
    tag: { mask: ROOM_TAG.subject | TAG.tombstone, value: 0 },
    ...(start !== undefined && { start: Math.max(0, start) }),
    max,
    last: true,
  });
  const messages: { id: string; stanza: Stanza; from: Jid }[] = [];
  for (const { id, stanza } of items.toReversed()) {
    left -= stanza.length;
    const from = left < 0 ? undefined : readSender(stanza);
    if (!from) break;
    const stamp = new Date(timeOf(id) ?? 0).toISOString();
    const marked = readStanza(stanza).plus('stanza-id', NS_SID, { id, by: room.jid.bare });
    messages.push({ id, stanza: marked.plus('delay', NS_DELAY, { from: room.jid.full, stamp }), from });
  }
  return messages.reverse();
}

function readSender(stanza: string): Jid | undefined {
  const { from } = readStanza(stanza);
  return from === undefined ? undefined : Jid.tryParse(from);
}

function readNumber(text: string | undefined): number | undefined {
  return text !== undefined && /^\d{1,9}$/.test(text) ? Number(text) : undefined;
}
