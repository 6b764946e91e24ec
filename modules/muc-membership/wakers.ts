import { after, isSession, Jid, type Maybe, type Router } from '#core';
import { judge, TAG } from '../mam/index.ts';
import type { Room, Said } from '../muc/index.ts';
import { isMentioned } from '../muc-mentions/index.ts';
import type { PushApi } from '../push/index.ts';
import { isCall } from '../push/worth.ts';
import { isMember, type Watcher, type Watches } from './watches.ts';

/** Milliseconds of work before others have their turn. */
const SLICE = 4;
/** Members who are looked at at once: of more than that, those of one message at a time. */
const FEW = 50;

/** What it takes to wake up members. */
export interface WakersParts {
  readonly router: Router;
  readonly push: Pick<PushApi, 'notify'>;
  readonly watches: Watches;
  /** Waits for its turn: of all messages one goes on at a time. */
  nextTurn(): Promise<void>;
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

  async #wake(said: Said, watch: ReadonlyMap<string, Watcher>): Promise<void> {
    const { room, stanza } = said;
    const from = (stanza.from === undefined ? undefined : Jid.tryParse(stanza.from)) ?? room.jid;
    if (watch.size > FEW) await this.#parts.nextTurn();
    let begun = performance.now();
    for (const watcher of watch.values()) {
      this.#tell(said, watcher, from);
      if (performance.now() - begun <= SLICE) continue;
      await this.#parts.nextTurn();
      begun = performance.now();
    }
  }

  #tell({ room, stanza, by }: Said, { username, bare, setting, nick, occupantId }: Watcher, from: Jid): void {
    if (bare === by || this.#isHere(room, bare) || !isMember(room, bare)) return;
    const isMention = isMentioned(stanza, { nick: room.members.get(bare)?.nick ?? nick, occupantId, bare });
    if (setting === 'always' || isMention) this.#parts.push.notify(username, { from, stanza, isMention });
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
function isWorthWaking({ tag, stanza }: Said): boolean {
  const kept = tag ?? judge(stanza, true) ?? 0;
  return (kept & TAG.conversation) !== 0 || isCall(stanza);
}
