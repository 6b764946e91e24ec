// Keeps those out of rooms who are on a list: of other servers, or of those who administer this one.
import { type Element, type Envelope, HANDLED, type Jid, type Log, type MapStore, StanzaError, type Verdict } from '#core';
import type { Entering, Inviting, MucApi, Occupant, Room, RoomField, Saying, Whispering } from '../muc/index.ts';
import { NS_ROOMS } from './namespaces.ts';
import { hashOf, NS_EVENT, type SpamList } from './spam-list.ts';

const FIELD = `{${NS_ROOMS}}spam_lists`;

/** The field by which owners do without the lists. */
export const SPAM_FIELD: RoomField = {
  name: FIELD,
  type: 'boolean',
  label: 'Keep out who is on the lists of abusers that this server uses?',
  values: ['1'],
  isShown: false,
  read([value]) {
    if (value === '1' || value === 'true') return ['1'];
    if (value === '0' || value === 'false') return ['0'];
    throw new StanzaError('not-acceptable', { text: 'The lists are used or not' });
  },
};

/** An address or domain that those who administer the host have put on their own list. */
export interface LocalEntry {
  readonly reason: string;
  readonly by: string;
  /** Milliseconds since the epoch. */
  readonly at: number;
}

/** What keeping people out takes. */
export interface GuardParts {
  readonly rooms: MucApi;
  /** Of no owner: by bare JID or domain. */
  readonly store: MapStore<LocalEntry>;
  readonly lists: readonly SpamList[];
  /** What becomes of who is listed: nothing but a refusal, or a ban from the room they come to. */
  readonly action: 'refuse' | 'ban';
  readonly log: Log;
}

/** Entries of our own at most. */
const MAX_LOCAL = 10_000;

/** The hashes of an address: of the bare JID and of the domain. */
type Hashes = readonly [bare: string, domain: string];

/** Knows who is listed, and refuses them. */
export class SpamGuard {
  readonly #parts: GuardParts;
  readonly #hashes = new WeakMap<Occupant, Hashes>();
  #local: ReadonlyMap<string, LocalEntry> = new Map();

  constructor(parts: GuardParts) {
    this.#parts = parts;
  }

  /** What those who administer the host have added, by address. */
  get local(): ReadonlyMap<string, LocalEntry> {
    return this.#local;
  }

  get lists(): readonly SpamList[] {
    return this.#parts.lists;
  }

  /** Reads what was added. */
  async load(): Promise<void> {
    this.#local = await this.#parts.store.entries('');
  }

  /** Adds an address or a domain. Rejects with StanzaError `resource-constraint` when there are too many. */
  async add(jid: Jid, entry: LocalEntry): Promise<void> {
    if (this.#local.size >= MAX_LOCAL && !this.#local.has(jid.bare)) {
      throw new StanzaError('resource-constraint', { type: 'cancel', text: `At most ${MAX_LOCAL} addresses can be listed` });
    }
    await this.#parts.store.update('', new Map([[jid.bare, entry]]));
    this.#local = new Map([...this.#local, [jid.bare, entry]]);
    this.sweep();
  }

  /** Takes an address off again. False when it was not there. */
  async remove(jid: Jid): Promise<boolean> {
    if (!this.#local.has(jid.bare)) return false;
    await this.#parts.store.update('', new Map([[jid.bare, undefined]]));
    this.#local = new Map([...this.#local].filter(([bare]) => bare !== jid.bare));
    return true;
  }

  /** A message for the host: news of a list, when it is from where the list is. */
  readonly takeNews = ({ stanza, from, to }: Envelope): Verdict => {
    if (to.local !== '' || stanza.type === 'error' || !stanza.has('event', NS_EVENT)) return;
    const lists = this.lists.filter(({ address }) => address.jid.bare === from.bare);
    if (lists.length === 0) return;
    const event: Element = stanza.child('event', NS_EVENT)!;
    for (const list of lists) list.take(event);
    return HANDLED;
  };

  readonly enter = ({ room, from }: Entering): void => {
    if (this.#isEmpty || !this.#isMeant(room, from)) return;
    if (this.#isListed(from, hashesOf(from))) this.#refuse(room, from);
  };

  readonly speak = ({ room, occupant }: Saying | Whispering): void => this.#check(room, occupant);

  readonly invite = ({ room, from }: Inviting): void => {
    const occupant = room.occupants.of(from);
    if (occupant) this.#check(room, occupant);
  };

  /** Bans those who are in rooms already, where that is what becomes of them. Others are refused when they next say something. */
  readonly sweep = (): void => {
    if (this.#parts.action !== 'ban' || this.#isEmpty) return;
    for (const room of this.#parts.rooms.open()) {
      const found = new Map<string, Jid>();
      for (const occupant of room.occupants) {
        if (this.#isMeant(room, occupant.real) && this.#isListed(occupant.real, this.#hashesFor(occupant)))
          found.set(occupant.real.bare, occupant.real.bareJid);
      }
      if (found.size > 0) this.#ban(room, [...found.values()]);
    }
  };

  get #isEmpty(): boolean {
    return this.#local.size === 0 && this.lists.every(({ size }) => size === 0);
  }

  #check(room: Room, occupant: Occupant): void {
    if (this.#isEmpty || !this.#isMeant(room, occupant.real)) return;
    if (this.#isListed(occupant.real, this.#hashesFor(occupant))) this.#refuse(room, occupant.real);
  }

  /** Whom the room itself knows is its own business (as other servers see it, too), and it may do without lists. */
  #isMeant(room: Room, jid: Jid): boolean {
    return room.affiliationOf(jid) === 'none' && room.parts.fields.valuesOf(room.settings, FIELD)[0] !== '0';
  }

  #isListed({ bare, domain }: Jid, hashes: Hashes): boolean {
    if (this.#local.has(bare) || this.#local.has(domain)) return true;
    return this.lists.some((list) => hashes.some((hash) => list.reasonOf(hash) !== undefined));
  }

  #hashesFor(occupant: Occupant): Hashes {
    let hashes = this.#hashes.get(occupant);
    if (!hashes) this.#hashes.set(occupant, (hashes = hashesOf(occupant.real)));
    return hashes;
  }

  #refuse(room: Room, jid: Jid): never {
    if (this.#parts.action === 'ban') this.#ban(room, [jid.bareJid]);
    throw new StanzaError('forbidden', { type: 'cancel', text: 'You or your server are on a list of abusers' });
  }

  /** By right of the room, since nobody else has asked for it. */
  #ban(room: Room, jids: readonly Jid[]): void {
    const { rooms, log } = this.#parts;
    const reason = 'On a list of abusers';
    const changes = jids.map((jid) => ({ jid, affiliation: 'outcast' as const, reason }));
    rooms
      .affiliate(room, undefined, changes)
      .catch((error: unknown) => log.error('who is on a list of abusers is not banned', { room: room.jid.bare, error }));
  }
}

function hashesOf({ bare, domain }: Jid): Hashes {
  return [hashOf(bare), hashOf(domain)];
}
