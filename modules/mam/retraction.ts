import { setImmediate, setTimeout } from 'node:timers/promises';
import {
  type ArchiveItem,
  type ArchiveStore,
  type Element,
  Jid,
  readStanza,
  Stanza,
  timeOf,
  writeDateTime,
  writeStanza,
  xml,
} from '#core';
import { TAG } from './tag.ts';

/** The namespace of retractions (XEP-0424). */
export const NS_RETRACT = 'urn:xmpp:message-retract:1';
const NS_RETRACT_0 = 'urn:xmpp:message-retract:0';
const NS_FASTEN = 'urn:xmpp:fasten:0';
const NS_SID = 'urn:xmpp:sid:0';
const NS_MUC_USER = 'http://jabber.org/protocol/muc#user';
const NS_OCCUPANT = 'urn:xmpp:occupant-id:0';

/** What a server says that archives retractions, and puts tombstones where messages were (XEP-0424 sections 2 and 4). */
export const RETRACTION_FEATURES: readonly string[] = [NS_RETRACT, `${NS_RETRACT}#tombstone`];

/** Items looked at in one go: most messages that somebody refers to are among the last. Beyond the list its last number counts. */
const SLICES = [20, 100, 500];
/** Items looked at for one message. */
const MAX_SEARCHED = 20_000;
/** Searches of one conversation that may wait for each other; whoever asks for more at once gets no answer. */
const MAX_WAITING = 50;
/** What may be written in more than one way in an attribute (XML 1.0 sections 2.4 and 3.3.3). */
const AMBIGUOUS = /[&<>"'\s]/;

/** An item of an archive, as it is stored. */
type Item = Required<ArchiveItem>;

/** A message of an archive that was looked for. */
export interface Found {
  readonly item: Item;
  readonly stanza: Stanza;
}

/** What is left of a message, in the place where it was. */
export interface Tombstone {
  readonly owner: string;
  readonly id: string;
  /** The other party's bare JID. */
  readonly with: string;
  readonly tag: number;
  readonly stanza: Stanza;
}

/** Which message a retraction is about: by the id of its stanza, or by its origin-id (XEP-0359), as older clients did. */
export interface Reference {
  readonly id: string;
  readonly by: 'id' | 'origin-id';
}

/** As `readReference`, for the archive of an account. */
export function readRetraction(stanza: Stanza): Reference | undefined {
  // Rooms keep archives of their own, and in an account's it cannot be told who speaks; an error gives back what was sent.
  if (stanza.name !== 'message' || stanza.type === 'groupchat' || stanza.type === 'error') return undefined;
  return readReference(stanza);
}

/** What a message asks to retract; undefined for one that retracts nothing. Makes no tree for a message that does not. */
export function readReference(stanza: Stanza): Reference | undefined {
  if (stanza.has('retract', NS_RETRACT)) return refer(stanza.child('retract', NS_RETRACT), 'id');
  if (!stanza.has('apply-to', NS_FASTEN)) return undefined;
  const fastening = stanza.child('apply-to', NS_FASTEN);
  return fastening?.getChild('retract', NS_RETRACT_0) ? refer(fastening, 'origin-id') : undefined;
}

/** What is looked for. */
export interface Wanted extends Reference {
  /** Only what was exchanged with this bare JID (`with` of the items). */
  readonly other: string;
  /** Only what has this bare JID for its `from`. */
  readonly sender: string;
  /** Only items before this one. */
  readonly before?: string;
}

/** The searches of one conversation. */
interface Line {
  last: Promise<unknown>;
  length: number;
}

/**
 * Retracts messages in archives (XEP-0424), and finds those that others refer to. A search for what is not there may take a tenth of a
 * second: those of one conversation go one after the other, and take no more than half of the time. Who sends a flood of messages that
 * refer to nothing delays nobody else, and is not waited for.
 */
export class Retractions {
  readonly #messages: ArchiveStore;
  readonly #replaced: (tombstone: Tombstone) => void;
  /** By owner and other party. */
  readonly #lines = new Map<string, Line>();

  /** `replaced` is told of each tombstone that was put in the place of a message. */
  constructor(messages: ArchiveStore, replaced: (tombstone: Tombstone) => void = () => {}) {
    this.#messages = messages;
    this.#replaced = replaced;
  }

  /**
   * The newest message exchanged with `other` (a bare JID) that has this id and was sent by `sender` (a bare JID): looks backwards, and
   * not further than 20,000 items. What was retracted is found too.
   */
  find(owner: string, other: string, messageId: string, sender: string): Promise<Found | undefined> {
    return this.seek(owner, { other, sender, id: messageId, by: 'id' });
  }

  /** As `find`, of whatever kind the reference is. */
  seek(owner: string, wanted: Wanted): Promise<Found | undefined> {
    return this.#queue(owner, wanted.other, () => this.#search(owner, wanted));
  }

  /**
   * Does what a message asks for that was archived as the item `itemId`, in the archive of `owner`. The message that it names has to be
   * of the same sender and conversation, and earlier; a tombstone is put in its place. Anything else changes nothing. True when
   * something was retracted.
   */
  async retract(owner: string, other: string, retraction: Stanza, itemId: string): Promise<boolean> {
    const reference = readRetraction(retraction);
    const sender = retraction.from === undefined ? undefined : Jid.tryParse(retraction.from);
    const { id } = retraction;
    // Without an id nobody could tell what has put the tombstone there.
    if (!reference || !sender || !id) return false;
    const done = await this.#queue(owner, other, async () => {
      const found = await this.#search(owner, { other, sender: sender.bare, before: itemId, ...reference });
      if (!found || !mayRetract(found, retraction, sender)) return false;
      const { item, stanza } = found;
      const stamp = writeDateTime(timeOf(itemId) ?? Date.now());
      const tombstone = writeTombstone(stanza, xml('retracted', { xmlns: NS_RETRACT, id, stamp }));
      const tag = toTombstoneTag(item.tag);
      const isDone = await this.#messages.replace(owner, { id: item.id, tag, stanza: writeStanza(tombstone) });
      if (isDone) this.#replaced({ owner, id: item.id, with: other, tag, stanza: tombstone });
      return isDone;
    });
    return done ?? false;
  }

  /** Undefined, without having begun, where too many wait. */
  async #queue<T>(owner: string, other: string, task: () => Promise<T>): Promise<T | undefined> {
    // No localpart has a slash.
    const key = `${owner}/${other}`;
    const line = this.#lines.get(key) ?? { last: Promise.resolve(), length: 0 };
    if (line.length > MAX_WAITING) return undefined;
    line.length++;
    this.#lines.set(key, line);
    const mine = line.last.then(task);
    line.last = mine.catch(() => undefined);
    try {
      return await mine;
    } finally {
      line.length--;
      if (line.length === 0) this.#lines.delete(key);
    }
  }

  async #search(owner: string, wanted: Wanted): Promise<Found | undefined> {
    const clue = clueOf(wanted.id);
    if (clue === '') return undefined;
    let before = wanted.before;
    for (let looked = 0, slice = 0; looked < MAX_SEARCHED; slice++) {
      const since = performance.now();
      const max = Math.min(SLICES[Math.min(slice, SLICES.length - 1)]!, MAX_SEARCHED - looked);
      const page = await this.#messages.query(owner, {
        with: wanted.other,
        ...(before !== undefined && { before }),
        max,
        last: true,
      });
      const found = findLast(page.items, clue, wanted);
      if (found) return found;
      if (page.complete) return undefined;
      looked += page.items.length;
      before = page.items[0]!.id;
      await (slice < SLICES.length ? setImmediate() : setTimeout(performance.now() - since));
    }
    return undefined;
  }
}

/** What stands in the text of a stanza with this id: its longest part without characters that are written in several ways. */
function clueOf(id: string): string {
  return id.split(AMBIGUOUS).reduce((longest, part) => (part.length > longest.length ? part : longest), '');
}

function findLast(items: readonly Item[], clue: string, wanted: Wanted): Found | undefined {
  for (let i = items.length - 1; i >= 0; i--) {
    const item = items[i]!;
    // Parsing costs a thousand times more than this look.
    if (!item.stanza.includes(clue)) continue;
    const stanza = tryRead(item.stanza);
    if (stanza && isMeant(stanza, wanted)) return { item, stanza };
  }
  return undefined;
}

function isMeant(stanza: Stanza, { id, by, sender }: Wanted): boolean {
  const own = by === 'id' ? stanza.id : read(stanza.child('origin-id', NS_SID), 'id');
  return own === id && stanza.from !== undefined && Jid.tryParse(stanza.from)?.bare === sender;
}

/**
 * What was said in a room cannot be retracted here, nor can what is retracted already; and retractions stay (XEP-0424 section 5). Who
 * writes to us out of a room has its address: then both have to be of the same occupant.
 */
function mayRetract({ item, stanza }: Found, retraction: Stanza, sender: Jid): boolean {
  if ((item.tag & (TAG.tombstone | TAG.groupchat)) !== 0 || stanza.type === 'groupchat' || stanza.type === 'error') return false;
  if (stanza.has('retracted', NS_RETRACT) || readRetraction(stanza)) return false;
  const isOutOfRoom = stanza.has('x', NS_MUC_USER) || retraction.has('x', NS_MUC_USER);
  if (!isOutOfRoom || (item.tag & TAG.outgoing) !== 0) return true;
  const occupant = (of: Stanza) => read(of.child('occupant-id', NS_OCCUPANT), 'id');
  return Jid.tryParse(stanza.from ?? '')?.full === sender.full && occupant(stanza) === occupant(retraction);
}

/** The message with nothing of its content but what says that it was retracted (XEP-0424 section 4). */
export function writeTombstone({ from, to, type, id }: Stanza, ...left: readonly Element[]): Stanza {
  return Stanza.of(xml('message', { from, to, type, id }, ...left));
}

/** The tag of what is left of an item of this tag. */
export function toTombstoneTag(tag: number): number {
  return (tag | TAG.tombstone) & ~TAG.conversation;
}

function refer(element: Element | undefined, by: Reference['by']): Reference | undefined {
  const id = read(element, 'id');
  return id === undefined || id === '' ? undefined : { id, by };
}

function read(element: Element | undefined, name: string): string | undefined {
  const value: unknown = element?.attrs[name];
  return typeof value === 'string' ? value : undefined;
}

/** What an archive holds; undefined for what is damaged, which is nobody's, and would make a whole document unreadable. */
export function tryRead(text: string): Stanza | undefined {
  try {
    return readStanza(text);
  } catch {
    return undefined;
  }
}
