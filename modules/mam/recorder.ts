import {
  type ArchiveItem,
  type ArchiveStore,
  after,
  type Element,
  type Envelope,
  isSession,
  Jid,
  type Maybe,
  type Router,
  type Signal,
  type Stanza,
  StanzaError,
  sortableId,
  writeStanza,
} from '#core';
import { TAG } from './tag.ts';
import { judge } from './worth.ts';

/** The namespace of unique and stable stanza ids (XEP-0359). */
export const NS_SID = 'urn:xmpp:sid:0';

/** A message that is durable now. */
export interface Stored {
  /** The local part of the account in whose archive it is. */
  readonly owner: string;
  readonly id: string;
  /** The other party's bare JID. */
  readonly with: string;
  /** See TAG. */
  readonly tag: number;
  readonly stanza: Stanza;
}

/** What recording needs of its surroundings. */
export interface RecorderParts {
  readonly domain: string;
  readonly messages: ArchiveStore;
  readonly router: Router;
  readonly keepsGroupchat: boolean;
  /** Told once a message is durable. */
  readonly stored: Signal<Stored>;
  /** Whether there is such an account. */
  exists(username: string): Maybe<boolean>;
  /** Whether the account wants what it says to somebody, or hears from them, to be kept. */
  isWanted(username: string, other: Jid): Maybe<boolean>;
}

/** Puts messages into the archives of those who send and receive them, before anybody sees them. */
export class Recorder {
  readonly #parts: RecorderParts;
  /** What is being written, by owner: the last of it, behind which nothing is under way. */
  readonly #writing = new Map<string, Promise<void>>();
  /** The message with ids that was looked into last, and who has given them. */
  #lastSeen: Stanza | undefined = undefined;
  #lastGivers: readonly (string | undefined)[] = [];

  constructor(parts: RecorderParts) {
    this.#parts = parts;
  }

  /** Takes out ids that only we may give (XEP-0359 section 5, rule 2): a client's in its own name, or in that of the server. */
  readonly cleanSent = (env: Envelope): void => {
    if (env.stanza.has('stanza-id', NS_SID)) env.stanza = this.#withoutIds(env.stanza, env.from);
  };

  /** As above, of what comes for an account. */
  readonly cleanReceived = (env: Envelope): void => {
    const { stanza, to } = env;
    if (to.local === '') return;
    if (stanza.isCopyOf(this.#lastSeen) || stanza.has('stanza-id', NS_SID)) env.stanza = this.#withoutIds(stanza, to);
  };

  /** Into the archive of the sender. */
  readonly recordSent = (env: Envelope): Maybe<void> => {
    const { from, to, origin, stanza } = env;
    // What is for oneself is recorded once, when it arrives.
    if (!isSession(origin) || origin.isAnonymous || to.bare === from.bare) return;
    const tag = judge(stanza, this.#parts.keepsGroupchat);
    if (tag === undefined) return;
    return after(this.#parts.isWanted(from.local, to), (isWanted) => {
      if (!isWanted) return;
      const id = sortableId();
      this.#write(env, from.local, { id, with: to.bare, resource: to.resource, tag: tag | TAG.outgoing });
      if (this.#parts.router.resources(from.bare).length > 1)
        env.ownCopy = stanza.plus('stanza-id', NS_SID, { id, by: from.bare });
    });
  };

  /** Into the archive of the recipient, whose clients learn its id (XEP-0313 section 3.5). */
  readonly recordReceived = (env: Envelope): Maybe<void> => {
    const { from, to, stanza } = env;
    if (to.local === '' || this.#willBeRefused(to, stanza)) return;
    const tag = judge(stanza, this.#parts.keepsGroupchat);
    if (tag === undefined) return;
    return after(this.#parts.exists(to.local), (exists) => {
      if (!exists) return;
      return after(this.#parts.isWanted(to.local, from), (isWanted) => (isWanted ? this.#receive(env, tag) : undefined));
    });
  };

  /** Resolves when all that has been recorded for an account so far is in its archive; undefined when it is. Never rejects. */
  readonly settled = (owner: string): Promise<void> | undefined => this.#writing.get(owner)?.catch(() => {});

  /** In the archive messages are in the order in which clients get them (XEP-0313 section 3.1). */
  #receive(env: Envelope, tag: number): Maybe<void> {
    const { before } = env;
    if (before && !before.env.isBeingStored) return before.done.then(() => this.#keep(env, tag));
    if (before) env.wait(before.done);
    this.#keep(env, tag);
  }

  #keep(env: Envelope, tag: number): void {
    const { from, to, stanza } = env;
    const id = sortableId();
    const isOwn = from.bare === to.bare;
    this.#write(env, to.local, { id, with: from.bare, resource: from.resource, tag: isOwn ? tag | TAG.outgoing : tag });
    env.stanza = stanza.plus('stanza-id', NS_SID, { id, by: to.bare }).kept(id);
  }

  #write(env: Envelope, owner: string, item: Required<Omit<ArchiveItem, 'stanza'>>): void {
    const { stanza } = env;
    const { messages, stored } = this.#parts;
    const { id, with: other, tag } = item;
    const appended = messages.append(owner, { ...item, stanza: writeStanza(stanza) });
    const end = (): void => {
      if (this.#writing.get(owner) === written) this.#writing.delete(owner);
    };
    const written: Promise<void> = appended.then(
      () => {
        end();
        stored.emit({ owner, id, with: other, tag, stanza });
      },
      (error: unknown) => {
        end();
        throw error;
      },
    );
    this.#writing.set(owner, written);
    env.wait(written);
  }

  /** What bounces was not received (XEP-0313 section 6.1): RFC 6121 section 8.5.3.2.1. */
  #willBeRefused(to: Jid, { type }: Stanza): boolean {
    return to.resource !== '' && type !== 'chat' && !this.#parts.router.resource(to);
  }

  #withoutIds(stanza: Stanza, { bare }: Jid): Stanza {
    // What is said in a room comes for each of its occupants, and is looked into once.
    if (!stanza.isCopyOf(this.#lastSeen)) {
      this.#lastSeen = stanza;
      this.#lastGivers = stanza.element.getChildren('stanza-id', NS_SID).map(giverOf);
    }
    const { domain } = this.#parts;
    if (!this.#lastGivers.some((giver) => giver === bare || giver === domain)) return stanza;
    return stanza.filter((child) => {
      if (child.getName() !== 'stanza-id' || child.getNS() !== NS_SID) return true;
      const giver = giverOf(child);
      return giver !== bare && giver !== domain;
    });
  }
}

/** Who has given an id. */
function giverOf({ attrs }: Element): string | undefined {
  return Jid.tryParse(String(attrs['by'] ?? ''))?.full;
}

/** Nobody looks into the archives of others, and whether there is one is not told (XEP-0313 section 8.1). */
export function refuseOthers({ from, to, stanza }: Envelope, xmlns: string): void {
  if (to.local === '' || to.resource !== '' || to.bare === from.bare) return;
  if (stanza.type !== 'get' && stanza.type !== 'set') return;
  if (stanza.payloadNS === xmlns) throw new StanzaError('forbidden');
}
