import { Element, type Jid, Stanza, xml } from '#core';
import type { Occupant } from './occupant.ts';
import type { Affiliation, Role } from './ranks.ts';
import type { Room } from './room.ts';

/** The namespaces of XEP-0045. */
export const NS_MUC = 'http://jabber.org/protocol/muc';
export const NS_USER = `${NS_MUC}#user`;
export const NS_OCCUPANT = 'urn:xmpp:occupant-id:0';

/** Status codes of XEP-0045 section 15.6. */
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
  shutDown: '332',
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
  readonly reason?: string;
  /** The nick of whoever has done it. */
  readonly actor?: string;
  /** It has gone, or goes as this. */
  readonly role?: Role;
  readonly affiliation?: Affiliation;
}

/**
 * Tells everybody in the room about an occupant: with its real address those who may see it (XEP-0045 section 7.2.3 to 7.2.5), and with
 * code 110 the occupant itself, last of all. Made once for each of these, and only the address differs.
 */
export function announce(room: Room, occupant: Occupant, notice: Notice = {}): void {
  const role = notice.role ?? occupant.role;
  const isTold = room.settings.presenceOf.includes(occupant.role === 'none' ? 'visitor' : occupant.role);
  const forms = new Forms(room, occupant, notice);
  if (isTold) {
    for (const viewer of room.occupants) if (viewer !== occupant) room.send(forms.for(viewer), occupant.jid, viewer.real);
  } else {
    // Moderators see everybody, and the other clients of an occupant itself.
    for (const viewer of room.occupants) {
      if (viewer !== occupant && (viewer.role === 'moderator' || viewer.real.bare === occupant.real.bare))
        room.send(forms.for(viewer), occupant.jid, viewer.real);
    }
  }
  room.send(forms.own(role === 'none'), occupant.jid, occupant.real);
}

/** Tells one client about an occupant, as when it comes in. */
export function introduce(room: Room, occupant: Occupant, viewer: Occupant): void {
  room.send(new Forms(room, occupant, {}).for(viewer), occupant.jid, viewer.real);
}

/** The forms in which the presence of one occupant is told. */
class Forms {
  readonly #room: Room;
  readonly #occupant: Occupant;
  readonly #notice: Notice;
  readonly #base: Element;
  #open: Stanza | undefined = undefined;
  #closed: Stanza | undefined = undefined;

  constructor(room: Room, occupant: Occupant, notice: Notice) {
    this.#room = room;
    this.#occupant = occupant;
    this.#notice = notice;
    this.#base = clean(occupant.presence, notice.role === 'none' || notice.nick !== undefined);
  }

  for(viewer: Occupant): Stanza {
    if (viewer.real.bare === this.#occupant.real.bare || this.#room.seesReal(viewer))
      return (this.#open ??= this.#write(true, []));
    return (this.#closed ??= this.#write(false, []));
  }

  own(isLeaving: boolean): Stanza {
    const { settings } = this.#room;
    const codes = [STATUS.self, ...(this.#notice.ownCodes ?? [])];
    if (!isLeaving && settings.whois === 'anyone') codes.push(STATUS.realSeen);
    return this.#write(true, codes);
  }

  #write(showsReal: boolean, codes: readonly string[]): Stanza {
    const { real, role, id } = this.#occupant;
    const { affiliation, nick, reason, actor, codes: forAll = [], role: newRole } = this.#notice;
    const item = xml(
      'item',
      {
        affiliation: affiliation ?? this.#room.affiliationOf(real.bare),
        role: newRole ?? role,
        jid: showsReal ? real.full : undefined,
        nick,
      },
      actor === undefined ? undefined : xml('actor', { nick: actor }),
      reason ? xml('reason', {}, reason) : undefined,
    );
    const statuses = [...new Set([...codes, ...forAll])].sort().map((code) => xml('status', { code }));
    const copy = new Element(this.#base.name, { ...(this.#base.attrs as Record<string, string>) });
    copy.children = [
      ...this.#base.children,
      xml('x', NS_USER, item, ...statuses),
      xml('occupant-id', { xmlns: NS_OCCUPANT, id }),
    ];
    return Stanza.of(copy);
  }
}

/** A presence as its sender has meant it for the room, without what only the room may say (XEP-0421 section 4). */
function clean(presence: Stanza, isGone: boolean): Element {
  const { element } = presence;
  const copy = new Element('presence', { type: isGone ? 'unavailable' : undefined, id: presence.id });
  const isOurs = (child: Element) => {
    const xmlns = child.getNS();
    return xmlns === NS_MUC || xmlns === NS_USER || xmlns === NS_OCCUPANT;
  };
  copy.children = element.children.filter((child) => !(child instanceof Element) || !isOurs(child));
  return copy;
}

/** Sends a client out of a room that it does not know it has left, or never was in (XEP-0045 section 7.2.16). */
export function sendAway(room: Room, from: Jid, to: Jid, reason: string): void {
  const item = xml('item', { affiliation: 'none', role: 'none' }, xml('reason', {}, reason));
  const codes = [STATUS.self, STATUS.kicked, STATUS.technical].map((code) => xml('status', { code }));
  room.send(Stanza.of(xml('presence', { type: 'unavailable' }, xml('x', NS_USER, item, ...codes))), from, to);
}
