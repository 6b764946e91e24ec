import { after, isSession, Jid, type Maybe, type Router, type Stanza, StanzaError, type Turns } from '#core';
import { judge, TAG } from '../mam/index.ts';
import type { MucApi, Room, Said } from '../muc/index.ts';
import { isMentioned } from '../muc-mentions/index.ts';
import type { Lost, PushApi } from '../push/index.ts';
import { isCall } from '../push/worth.ts';
import { isMember, type Watcher, type Watches } from './watches.ts';

const NS_OCCUPANT = 'urn:xmpp:occupant-id:0';
/** Members who are looked at at once: of more than that, those of one message at a time. */
const FEW = 50;

/** What it takes to wake up members. */
export interface WakersParts {
  readonly router: Router;
  readonly rooms: Pick<MucApi, 'find' | 'jid'>;
  readonly push: Pick<PushApi, 'notify'>;
  readonly watches: Watches;
  /** Those of all messages together. */
  readonly turns: Turns;
}

/** Notifies members who are away of what is said (XEP-0357). What is said has been stored before. */
export class Wakers {
  readonly #parts: WakersParts;

  constructor(parts: WakersParts) {
    this.#parts = parts;
  }

  readonly note = (said: Said): Maybe<void> => {
    if (!isWorthWaking(said)) return;
    return after(this.#parts.watches.of(said.room), (watch) => this.#wake(said, watch));
  };

  /** What clients were given in rooms and have not got: their members are notified as if they had not been there. */
  readonly noteLost = async ({ session, messages }: Lost): Promise<void> => {
    for (const [address, said] of byRoom(messages, this.#parts.rooms.jid.domain)) {
      const room = await this.#find(address);
      const watcher = room && (await this.#parts.watches.of(room)).get(session.jid.bare);
      if (watcher) this.#tellLost(room, said, watcher);
    }
  };

  #tellLost(room: Room, messages: readonly Stanza[], watcher: Watcher): void {
    const { username, bare, setting, occupantId } = watcher;
    if (this.#isHere(room, bare) || !isMember(room, bare)) return;
    const news = messages.filter((stanza) => isWorthWaking({ stanza }) && senderOf(stanza) !== occupantId);
    const mentions = news.filter((stanza) => this.#isMentioned(room, stanza, watcher));
    const wanted = setting === 'always' ? news : mentions;
    const stanza = wanted.at(-1);
    const from = Jid.tryParse(stanza?.from ?? '');
    if (stanza && from) {
      this.#parts.push.notify(username, { from, stanza, isMention: mentions.length > 0, amount: wanted.length });
    }
  }

  /** Undefined for a room that has ended. */
  async #find(address: string): Promise<Room | undefined> {
    try {
      return await this.#parts.rooms.find(Jid.parse(address));
    } catch (error) {
      if (error instanceof StanzaError) return undefined;
      throw error;
    }
  }

  async #wake(said: Said, watch: ReadonlyMap<string, Watcher>): Promise<void> {
    const { room, stanza } = said;
    const from = (stanza.from === undefined ? undefined : Jid.tryParse(stanza.from)) ?? room.jid;
    const { turns } = this.#parts;
    if (watch.size > FEW) await turns.next();
    for (const watcher of watch.values()) {
      this.#tell(said, watcher, from);
      if (watch.size > FEW && turns.isOver()) await turns.next();
    }
  }

  #tell({ room, stanza, by }: Said, watcher: Watcher, from: Jid): void {
    const { username, bare, setting } = watcher;
    if (bare === by || this.#isHere(room, bare) || !isMember(room, bare)) return;
    const isMention = this.#isMentioned(room, stanza, watcher);
    if (setting === 'always' || isMention) this.#parts.push.notify(username, { from, stanza, isMention });
  }

  #isMentioned(room: Room, stanza: Stanza, { bare, nick, occupantId }: Watcher): boolean {
    return isMentioned(stanza, { nick: room.members.get(bare)?.nick ?? nick, occupantId, bare });
  }

  /** Whether a member has a client in the room. One whose line has broken is not there, though the room does not know that yet. */
  #isHere(room: Room, bare: string): boolean {
    return room.occupants.ofAccount(bare).some(({ real }) => {
      const client = this.#parts.router.resource(real);
      return client !== undefined && (!isSession(client) || client.waitingSince === undefined);
    });
  }
}

/** Whether it is something that a person says, or a call. */
function isWorthWaking({ tag, stanza }: Pick<Said, 'stanza'> & Partial<Pick<Said, 'tag'>>): boolean {
  const kept = tag ?? judge(stanza, true) ?? 0;
  return (kept & TAG.conversation) !== 0 || isCall(stanza);
}

function senderOf(stanza: Stanza): unknown {
  return stanza.child('occupant-id', NS_OCCUPANT)?.attrs['id'];
}

/** What rooms of this service have given, by their addresses. */
function byRoom(messages: readonly Stanza[], service: string): ReadonlyMap<string, readonly Stanza[]> {
  const all = new Map<string, Stanza[]>();
  for (const message of messages) {
    const from = Jid.tryParse(message.from ?? '');
    if (from?.domain !== service || from.local === '') continue;
    const said = all.get(from.bare);
    if (said) said.push(message);
    else all.set(from.bare, [message]);
  }
  return all;
}
