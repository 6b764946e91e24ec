import type { Jid, Stanza } from '#core';
import { fold } from './nick.ts';
import type { Affiliation, Role } from './ranks.ts';

/** Something that was said while an occupant was still coming in, with its id in the archive. */
export interface Held {
  readonly id: string | undefined;
  readonly stanza: Stanza;
  readonly from: Jid;
}

/** The forms in which others are told of an occupant, until something about it changes. */
export interface PresenceForms {
  /** With its real address. */
  readonly open: Stanza;
  readonly closed: Stanza;
}

/** One client in a room. Several clients of one account may share a nick (XEP-0045 section 7.2.8). */
export class Occupant {
  /** The client's full JID. */
  readonly real: Jid;
  /** Its address in the room. */
  jid: Jid;
  role: Role;
  /** The last presence it has sent to the room. */
  presence: Stanza;
  /** Who it is to the room for ever, though it changes its nick (XEP-0421). */
  readonly id: string;
  /** What was said while it is given the history (Room.arriving). */
  held: Held[] = [];
  /** Whether the others know that it is here. */
  isTold = false;
  /** See announce.ts. */
  forms: PresenceForms | undefined = undefined;

  constructor(parts: Pick<Occupant, 'real' | 'jid' | 'role' | 'presence' | 'id'>) {
    this.real = parts.real;
    this.jid = parts.jid;
    this.role = parts.role;
    this.presence = parts.presence;
    this.id = parts.id;
  }

  get nick(): string {
    return this.jid.resource;
  }
}

/** What is known of an account for long: what it is to the room, and the nick it has registered (section 7.10). */
export interface Member {
  readonly affiliation: Affiliation;
  readonly nick?: string;
  readonly reason?: string;
}

const NOBODY: readonly Occupant[] = [];

/** The clients in a room, by their real addresses, by account and by nick. */
export class Occupants {
  readonly #byReal = new Map<string, Occupant>();
  readonly #byAccount = new Map<string, readonly Occupant[]>();
  readonly #byNick = new Map<string, readonly Occupant[]>();
  #addresses: readonly Jid[] | undefined = undefined;

  get size(): number {
    return this.#byReal.size;
  }

  /** How many people there are: clients with the same nick count once. */
  get people(): number {
    return this.#byNick.size;
  }

  /** The real addresses of all, in the order they came. The list itself never changes. */
  get addresses(): readonly Jid[] {
    return (this.#addresses ??= [...this.#byReal.values()].map(({ real }) => real));
  }

  /** The occupant that a client is. */
  of(real: Jid): Occupant | undefined {
    return this.#byReal.get(real.full);
  }

  /** Those who share a nick, in the order they came. Nicks that look alike are the same (see `fold`). */
  named(nick: string): readonly Occupant[] {
    return this.#byNick.get(fold(nick)) ?? NOBODY;
  }

  /** The clients of an account, in the order they came. */
  ofAccount(bare: string): readonly Occupant[] {
    return this.#byAccount.get(bare) ?? NOBODY;
  }

  add(occupant: Occupant): void {
    this.#byReal.set(occupant.real.full, occupant);
    this.#addresses = undefined;
    put(this.#byAccount, occupant.real.bare, occupant);
    put(this.#byNick, fold(occupant.nick), occupant);
  }

  remove(occupant: Occupant): void {
    this.#byReal.delete(occupant.real.full);
    this.#addresses = undefined;
    take(this.#byAccount, occupant.real.bare, occupant);
    take(this.#byNick, fold(occupant.nick), occupant);
  }

  /** Gives an occupant another address in the room. */
  rename(occupant: Occupant, jid: Jid): void {
    take(this.#byNick, fold(occupant.nick), occupant);
    occupant.jid = jid;
    occupant.forms = undefined;
    put(this.#byNick, fold(occupant.nick), occupant);
  }

  [Symbol.iterator](): IterableIterator<Occupant> {
    return this.#byReal.values();
  }

  /** One of each nick: the first that came. */
  *firsts(): IterableIterator<Occupant> {
    for (const [first] of this.#byNick.values()) if (first) yield first;
  }
}

function put(map: Map<string, readonly Occupant[]>, key: string, occupant: Occupant): void {
  const others = map.get(key);
  map.set(key, others ? [...others, occupant] : [occupant]);
}

function take(map: Map<string, readonly Occupant[]>, key: string, occupant: Occupant): void {
  const left = (map.get(key) ?? NOBODY).filter((other) => other !== occupant);
  if (left.length > 0) map.set(key, left);
  else map.delete(key);
}
