import { Element, Stanza, xml } from '#core';
import type { Occupant, PresenceForms } from './occupant.ts';
import type { Utterance } from './outbox.ts';
import type { Affiliation, Role } from './ranks.ts';
import type { Room } from './room.ts';

/** The namespaces of XEP-0045. */
export const NS_MUC = 'http://jabber.org/protocol/muc';
export const NS_USER = `${NS_MUC}#user`;
export const NS_OCCUPANT = 'urn:xmpp:occupant-id:0';

/** What only the room itself may say with a presence or a message (XEP-0045 section 17.4, XEP-0421 section 4, XEP-0317). */
export const FORGED: ReadonlySet<string> = new Set([
  NS_MUC,
  NS_USER,
  NS_OCCUPANT,
  'urn:xmpp:hats:0',
  'xmpp:prosody.im/protocol/hats:1',
]);

/** Status codes of XEP-0045 section 16.6. */
export const STATUS = {
  realSeen: '100',
  configChanged: '104',
  self: '110',
  loggingOn: '170',
  loggingOff: '171',
  nowNonAnonymous: '172',
  nowSemiAnonymous: '173',
  created: '201',
  nickChanged: '210',
  banned: '301',
  newNick: '303',
  kicked: '307',
  affiliationLost: '321',
  nowMembersOnly: '322',
  technical: '333',
} as const;

/** What is told with somebody's presence. */
export interface Notice {
  /** For all who hear of it. */
  readonly codes?: readonly string[];
  /** Only for the occupant itself. */
  readonly ownCodes?: readonly string[];
  /** The nick that it has from now on. */
  readonly nick?: string;
  readonly reason?: string | undefined;
  /** Who has done it: a nick, or a real bare JID for those who were not in the room. */
  readonly actor?: { readonly nick: string } | undefined;
  /** It goes as this, or has gone (`none`). */
  readonly role?: Role;
  readonly affiliation?: Affiliation;
  /** What else stands in the room's own element: what becomes of the room (section 10.9), versions (XEP-0463). */
  readonly extra?: readonly Element[];
  /** The same, only for the occupant itself. */
  readonly ownExtra?: readonly Element[];
  /** The client is no more: at its address is nobody, or one that was never in the room. */
  readonly isOver?: boolean;
}

/**
 * Tells everybody in the room about an occupant: with its real address those who may see it (XEP-0045 section 7.2.3 to 7.2.5), and with
 * code 110 the occupant itself, last of all. Made once for each of these, and only the address differs.
 */
export function announce(room: Room, occupant: Occupant, notice?: Notice): void {
  const forms = formsOf(room, occupant, notice);
  const isLeaving = notice?.role === 'none' || notice?.nick !== undefined;
  const isTold = occupant.isTold || (!isLeaving && isShown(room, occupant));
  // Moderators see everybody, and an occupant its own other clients.
  const open = room.addressesOf(
    (viewer) => viewer !== occupant && isOpenTo(room, viewer, occupant) && (isTold || isInsider(viewer, occupant)),
  );
  if (open.length > 0) void room.sendAll(forms.open, occupant.jid, open);
  const closed = isTold ? room.addressesOf((viewer) => viewer !== occupant && !isOpenTo(room, viewer, occupant)) : [];
  if (closed.length > 0) void room.sendAll(forms.closed, occupant.jid, closed);
  if (!isLeaving) occupant.isTold = isTold;
  tellOwn(room, occupant, notice);
}

/** Tells only the occupant itself. */
export function tellOwn(room: Room, occupant: Occupant, notice?: Notice): void {
  if (notice?.isOver) return;
  room.send(write(room, occupant, { showsReal: true, isOwn: true, notice }), occupant.jid, occupant.real);
}

/** Tells a client that comes in about those who are there: one of each nick, but itself. */
export function introduceAll(room: Room, viewer: Occupant): void {
  const said: Utterance[] = [];
  for (const occupant of room.occupants.firsts()) {
    if (occupant.nick === viewer.nick || !isVisibleTo(viewer, occupant)) continue;
    const forms = formsOf(room, occupant, undefined);
    said.push({ stanza: isOpenTo(room, viewer, occupant) ? forms.open : forms.closed, from: occupant.jid });
  }
  room.sendEach(said, viewer.real);
}

/** Whether somebody who comes in is told about an occupant. */
function isVisibleTo(viewer: Occupant, occupant: Occupant): boolean {
  return occupant.isTold || isInsider(viewer, occupant);
}

function isOpenTo(room: Room, viewer: Occupant, occupant: Occupant): boolean {
  return room.settings.whois === 'anyone' || isInsider(viewer, occupant);
}

function isInsider(viewer: Occupant, occupant: Occupant): boolean {
  return viewer.role === 'moderator' || viewer.real.bare === occupant.real.bare;
}

/** Whether the room lets everybody know about somebody: as it is configured, and where there are not too many to be looked at. */
function isShown(room: Room, { role }: Occupant): boolean {
  const { presenceLimit } = room.parts;
  if (!room.settings.presenceOf.includes(role)) return false;
  return presenceLimit === 0 || role === 'moderator' || room.occupants.size <= presenceLimit;
}

/** The forms in which others are told. Those without a notice are kept, since whoever comes in gets them of everybody. */
class Forms {
  readonly #room: Room;
  readonly #occupant: Occupant;
  readonly #notice: Notice | undefined;
  #open: Stanza | undefined = undefined;
  #closed: Stanza | undefined = undefined;

  constructor(room: Room, occupant: Occupant, notice?: Notice) {
    this.#room = room;
    this.#occupant = occupant;
    this.#notice = notice;
  }

  /** With its real address. */
  get open(): Stanza {
    return (this.#open ??= write(this.#room, this.#occupant, { showsReal: true, isOwn: false, notice: this.#notice }));
  }

  get closed(): Stanza {
    return (this.#closed ??= write(this.#room, this.#occupant, { showsReal: false, isOwn: false, notice: this.#notice }));
  }
}

function formsOf(room: Room, occupant: Occupant, notice: Notice | undefined): PresenceForms {
  return notice ? new Forms(room, occupant, notice) : (occupant.forms ??= new Forms(room, occupant));
}

interface Form {
  readonly showsReal: boolean;
  readonly isOwn: boolean;
  readonly notice: Notice | undefined;
}

function write(room: Room, occupant: Occupant, { showsReal, isOwn, notice = {} }: Form): Stanza {
  const { real, id } = occupant;
  const { affiliation, nick, reason, actor, codes = [], ownCodes = [], extra = [], ownExtra = [], role } = notice;
  const isGone = role === 'none' || nick !== undefined;
  const item = xml(
    'item',
    {
      affiliation: affiliation ?? room.affiliationOf(real),
      role: role ?? occupant.role,
      jid: showsReal ? real.full : undefined,
      nick,
    },
    actor && xml('actor', { nick: actor.nick }),
    reason ? xml('reason', {}, reason) : undefined,
  );
  const all = isOwn ? [...codes, STATUS.self, ...ownCodes] : codes;
  const statuses = [...new Set(all)].sort().map((code) => xml('status', { code }));
  const presence = clean(occupant.presence, isGone);
  presence.cnode(xml('x', NS_USER, item, ...(isOwn ? [...extra, ...ownExtra] : extra), ...statuses));
  presence.cnode(xml('occupant-id', { xmlns: NS_OCCUPANT, id }));
  if (isGone) return Stanza.of(presence);
  for (const decorate of room.parts.decorations) {
    const decoration = decorate(room, occupant);
    if (decoration) presence.cnode(decoration);
  }
  return Stanza.of(presence);
}

/** A presence as its sender has meant it for the room, without what only the room may say (XEP-0421 section 4). */
function clean(presence: Stanza, isGone: boolean): Element {
  const { element } = presence;
  const copy = new Element('presence', { type: isGone ? 'unavailable' : undefined, id: presence.id });
  copy.children = element.children.filter((child) => !(child instanceof Element) || !FORGED.has(child.getNS() ?? ''));
  return copy;
}

/** Sends a client out of a room that it does not know it has left, or never was in (XEP-0045 section 7.2.18). */
export function awayNotice(reason: string): Stanza {
  const item = xml('item', { affiliation: 'none', role: 'none' }, xml('reason', {}, reason));
  const codes = [STATUS.self, STATUS.kicked, STATUS.technical].map((code) => xml('status', { code }));
  return Stanza.of(xml('presence', { type: 'unavailable' }, xml('x', NS_USER, item, ...codes)));
}
