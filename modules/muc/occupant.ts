import type { Jid, Stanza } from '#core';
import type { Affiliation, Role } from './ranks.ts';

/** One client in a room. Several clients of one account may share a nick (XEP-0045 section 7.2.9). */
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

/** The clients in a room, by their real addresses and by nick. */
export class Occupants {
  readonly #byReal = new Map<string, Occupant>();
  readonly #byNick = new Map<string, Occupant[]>();

  get size(): number {
    return this.#byReal.size;
  }

  /** How many people there are: clients with the same nick count once. */
  get people(): number {
    return this.#byNick.size;
  }

  /** The occupant that a client is. */
  of(real: Jid): Occupant | undefined {
    return this.#byReal.get(real.full);
  }

  /** Those who share a nick, in the order they came. Nicks that look alike are the same (see `fold`). */
  named(nick: string): readonly Occupant[] {
    return this.#byNick.get(fold(nick)) ?? [];
  }

  /** The clients of an account. */
  ofAccount(bare: string): readonly Occupant[] {
    return [...this.#byReal.values()].filter(({ real }) => real.bare === bare);
  }

  add(occupant: Occupant): void {
    this.#byReal.set(occupant.real.full, occupant);
    const key = fold(occupant.nick);
    const others = this.#byNick.get(key);
    if (others) others.push(occupant);
    else this.#byNick.set(key, [occupant]);
  }

  remove(occupant: Occupant): void {
    this.#byReal.delete(occupant.real.full);
    this.#unname(occupant);
  }

  /** Gives an occupant another address in the room. */
  rename(occupant: Occupant, jid: Jid): void {
    this.#unname(occupant);
    occupant.jid = jid;
    this.add(occupant);
  }

  [Symbol.iterator](): IterableIterator<Occupant> {
    return this.#byReal.values();
  }

  /** One of each nick: the first that came. */
  *firsts(): IterableIterator<Occupant> {
    for (const [first] of this.#byNick.values()) if (first) yield first;
  }

  #unname(occupant: Occupant): void {
    const key = fold(occupant.nick);
    const left = (this.#byNick.get(key) ?? []).filter((other) => other !== occupant);
    if (left.length > 0) this.#byNick.set(key, left);
    else this.#byNick.delete(key);
  }
}

/**
 * Nicks that people could not tell apart are one: without regard to case, width and form, to marks that are not seen, and to spaces
 * (XEP-0045 section 13.4, UTS 39 in spirit).
 */
export function fold(nick: string): string {
  return nick
    .normalize('NFKC')
    .toLowerCase()
    .replace(/\p{Cf}|\p{Cc}|\p{Variation_Selector}/gu, '')
    .replace(/\s+/gu, ' ')
    .trim();
}
