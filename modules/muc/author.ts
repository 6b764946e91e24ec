// XEP-0313 section 6.1.2: what is kept in a room's archive says who has said it, by the real full JID, for those who may know that.
import { type ArchiveStore, escapeXml } from '#core';
import { NS_USER } from './announce.ts';
import type { Occupant } from './occupant.ts';
import type { Affiliation } from './ranks.ts';

const END = '</message>';
/** What is added begins and ends like this; rooms take such an element out of what clients send. */
const HEAD = `<x xmlns='${NS_USER}'><item `;
const FOOT = '/></x>';
const TAIL = `${FOOT}${END}`;

/** Who has said something, and what they were to the room then. */
export interface Author extends Pick<Occupant, 'real' | 'role'> {
  readonly affiliation: Affiliation;
}

/** A message, as XML text, with its author. */
export function sign(stanza: string, { real, role, affiliation }: Author): string {
  return addItem(stanza, `affiliation='${affiliation}' role='${role}' jid='${escapeXml(real.full)}'`);
}

/** A message with its author's account: for what is kept without an author, as a tombstone is. */
export function signByAccount(stanza: string, bare: string, affiliation: Affiliation): string {
  return addItem(stanza, `affiliation='${affiliation}' role='none' jid='${escapeXml(bare)}'`);
}

/** Whether a message is kept with its author. */
export function isSigned(stanza: string): boolean {
  return placeOf(stanza) !== undefined;
}

/** A message as everybody may see it. */
export function withoutAuthor(stanza: string): string {
  const at = placeOf(stanza);
  return at === undefined ? stanza : stanza.slice(0, at) + END;
}

/** Archives without the authors' addresses: for all who do not look at who asks, and pass on what they find. */
export function withoutAuthors(messages: ArchiveStore): ArchiveStore {
  return {
    append: (owner, item) => messages.append(owner, item),
    async query(owner, filter) {
      const page = await messages.query(owner, filter);
      return { ...page, items: page.items.map((item) => ({ ...item, stanza: withoutAuthor(item.stanza) })) };
    },
    count: (owner, filter) => messages.count(owner, filter),
    remove: (owner, filter) => messages.remove(owner, filter),
    replace: (owner, item) => messages.replace(owner, item),
    parties: (owner, after, max) => messages.parties(owner, after, max),
    owners: (after, max) => messages.owners(after, max),
  };
}

function addItem(stanza: string, attrs: string): string {
  return stanza.endsWith(END) ? `${stanza.slice(0, -END.length)}${HEAD}${attrs}${TAIL}` : stanza;
}

/** Where the author begins: at the end, and with nothing else in it. */
function placeOf(stanza: string): number | undefined {
  if (!stanza.endsWith(TAIL)) return undefined;
  const at = stanza.lastIndexOf(HEAD);
  const isLast = at >= 0 && stanza.indexOf('<', at + HEAD.length) === stanza.length - TAIL.length + 2;
  return isLast ? at : undefined;
}
