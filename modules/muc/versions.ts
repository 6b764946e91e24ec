// XEP-0463: whoever comes in is told what has changed of the affiliations since it was here last, and not all of them again.
import { type Element, Stanza, StanzaError, sortableId, xml } from '#core';
import { NS_USER } from './announce.ts';
import type { Occupant } from './occupant.ts';
import type { Room } from './room.ts';
import { mayListMembers } from './standing.ts';

/** The namespace of XEP-0463. */
export const NS_VERSIONS = 'urn:xmpp:muc:affiliations:0';
/** Affiliations told in one message. */
const PER_MESSAGE = 100;

/** The mark of the version that holds now. */
export function versionMark(room: Room, since?: number): Element {
  return xml('mav', { xmlns: NS_VERSIONS, since: since === undefined ? undefined : String(since), until: String(room.version) });
}

/** A message that tells of affiliations: news for who is here, and nothing for their archives, which it would wait for (XEP-0334). */
export function affiliationNotice(x: Element): Stanza {
  return Stanza.of(xml('message', { id: sortableId() }, x, xml('no-store', 'urn:xmpp:hints')));
}

/** Tells a client that comes in what it asks for in its presence, before anybody's presence (section 4.2.1). */
export function tellAffiliations(room: Room, { real }: Occupant, x: Element | undefined): void {
  if (!mayListMembers(room, real)) {
    const error = new StanzaError('forbidden').toElement();
    error.attrs['by'] = room.jid.full;
    room.send(Stanza.of(xml('message', { type: 'error' }, error)), room.jid, real);
    return;
  }
  const wanted: unknown = x?.getChild('mav', NS_VERSIONS)?.attrs['since'];
  const since = typeof wanted === 'string' && /^\d{1,15}$/.test(wanted) ? Number(wanted) : undefined;
  if (since === room.version) return;
  const changed = since === undefined ? undefined : room.changedSince(since);
  const all = changed ?? [...room.members.keys()];
  const items = all.map((jid) => xml('item', { jid, affiliation: room.members.get(jid)?.affiliation ?? 'none' }));
  // Adjacent messages match: only the first says since when, and all say until when, so that nothing is missed when one is lost.
  for (let at = 0; at === 0 || at < items.length; at += PER_MESSAGE) {
    const mark = versionMark(room, changed ? since : undefined);
    room.send(affiliationNotice(xml('x', NS_USER, mark, ...items.slice(at, at + PER_MESSAGE))), room.jid, real);
  }
}
