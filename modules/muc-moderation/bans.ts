// Bans that end by themselves, also when the server was stopped in between.
import { Jid, type Log, type MapStore, StanzaError } from '#core';
import type { Affiliated, Affirmed, MucApi, Room } from '../muc/index.ts';

/** A ban that ends. */
export interface Ban {
  /** Milliseconds since the epoch. */
  readonly until: number;
  /** What the account is to the room afterwards: what it was, and never more than a member. */
  readonly afterwards: 'none' | 'member';
}

/** Whom to ban, and for how long. */
export interface BanWish {
  readonly jid: Jid;
  readonly reason: string | undefined;
  /** Milliseconds; undefined for ever. */
  readonly duration: number | undefined;
}

/** Timers cannot wait longer than some weeks; this is often enough to look whether the clock was set. */
const MAX_WAIT = 3_600_000;
/** After something has failed. */
const RETRY = 60_000;

/** What this works with. */
export interface BansParts {
  readonly rooms: MucApi;
  /** By the bare JID of the room, under that of the account. */
  readonly store: MapStore<Ban>;
  readonly log: Log;
}

/** The bans of all rooms that end some day. */
export class Bans {
  readonly #parts: BansParts;
  /** When each ends, by room and account: a room has no slash in its bare JID. */
  readonly #ends = new Map<string, number>();
  /** Those that are being begun, in the same way. */
  readonly #begun = new Set<string>();
  #timer: NodeJS.Timeout | undefined = undefined;
  #isStopped = false;

  constructor(parts: BansParts) {
    this.#parts = parts;
  }

  /** Takes up those that were begun before the server was started. */
  async load(): Promise<void> {
    const { store } = this.#parts;
    for (let after: string | undefined; ; ) {
      const owners = await store.owners(after);
      for (const owner of owners) {
        for (const [bare, { until }] of await store.entries(owner)) this.#ends.set(`${owner}/${bare}`, until);
      }
      after = owners.at(-1);
      if (after === undefined) break;
    }
    this.#schedule();
  }

  /** Bans an account by right of `by`. Rejects with StanzaError as `affiliate` does. */
  async ban(room: Room, by: Jid, { jid, reason, duration }: BanWish): Promise<void> {
    const { rooms, store } = this.#parts;
    const { bare } = jid;
    const before = room.members.get(bare)?.affiliation ?? 'none';
    const known = await store.get(room.jid.bare, bare);
    const was: Ban['afterwards'] = before === 'none' || before === 'outcast' ? 'none' : 'member';
    const ban = duration === undefined ? undefined : { until: Date.now() + duration, afterwards: known?.afterwards ?? was };
    // Before the ban itself: one that was to end must not last for ever because the server broke off in between.
    if (!ban) {
      await rooms.affiliate(room, by, [{ jid, affiliation: 'outcast', reason }]);
      await this.#put(room, bare, undefined);
      return;
    }
    await this.#put(room, bare, ban);
    const key = keyOf(room, bare);
    this.#begun.add(key);
    try {
      await rooms.affiliate(room, by, [{ jid, affiliation: 'outcast', reason }]);
    } catch (error) {
      await this.#put(room, bare, known);
      throw error;
    } finally {
      this.#begun.delete(key);
    }
  }

  /** Somebody else has ended a ban. */
  readonly onAffiliated = ({ room, bare, after }: Affiliated): Promise<void> | undefined => {
    if (after === 'outcast' || !this.#ends.has(keyOf(room, bare))) return undefined;
    return this.#put(room, bare, undefined);
  };

  /** Somebody has banned somebody again, without a time (XEP-0045 section 9.1): this ban does not end by itself. */
  readonly onAffirmed = ({ room, bare, affiliation }: Affirmed): Promise<void> | undefined => {
    const key = keyOf(room, bare);
    if (affiliation !== 'outcast' || !this.#ends.has(key) || this.#begun.has(key)) return undefined;
    return this.#put(room, bare, undefined);
  };

  /** A room is no more. */
  readonly onDestroyed = ({ room }: { readonly room: Room }): Promise<void> => {
    for (const key of this.#ends.keys()) if (key.startsWith(`${room.jid.bare}/`)) this.#ends.delete(key);
    return this.#parts.store.clear(room.jid.bare);
  };

  stop(): void {
    this.#isStopped = true;
    clearTimeout(this.#timer);
  }

  async #put(room: Room, bare: string, ban: Ban | undefined): Promise<void> {
    await this.#parts.store.update(room.jid.bare, new Map([[bare, ban]]));
    if (ban) this.#ends.set(keyOf(room, bare), ban.until);
    else this.#ends.delete(keyOf(room, bare));
    this.#schedule();
  }

  #schedule(least = 0): void {
    clearTimeout(this.#timer);
    if (this.#isStopped || this.#ends.size === 0) return;
    let next = Number.POSITIVE_INFINITY;
    for (const until of this.#ends.values()) next = Math.min(next, until);
    const wait = Math.min(Math.max(next - Date.now(), least), MAX_WAIT);
    this.#timer = setTimeout(() => void this.#run(), wait).unref();
  }

  async #run(): Promise<void> {
    let hasFailed = false;
    const now = Date.now();
    for (const [key, until] of this.#ends) {
      if (until > now || this.#isStopped) continue;
      const slash = key.indexOf('/');
      try {
        await this.#end(key.slice(0, slash), key.slice(slash + 1));
        this.#ends.delete(key);
      } catch (error) {
        hasFailed = true;
        this.#parts.log.error('a ban that is over is not ended', { room: key.slice(0, slash), error });
      }
    }
    this.#schedule(hasFailed ? RETRY : 0);
  }

  async #end(owner: string, bare: string): Promise<void> {
    const { store } = this.#parts;
    const ban = await store.get(owner, bare);
    const room = await this.#find(owner);
    if (ban && room?.members.get(bare)?.affiliation === 'outcast') {
      await this.#parts.rooms.affiliate(room, undefined, [{ jid: Jid.parse(bare), affiliation: ban.afterwards }]);
    }
    await store.update(owner, new Map([[bare, undefined]]));
  }

  async #find(owner: string): Promise<Room | undefined> {
    try {
      return await this.#parts.rooms.find(Jid.parse(owner));
    } catch (error) {
      // It was destroyed.
      if (error instanceof StanzaError) return undefined;
      throw error;
    }
  }
}

function keyOf({ jid }: Room, bare: string): string {
  return `${jid.bare}/${bare}`;
}

const UNITS: ReadonlyMap<string, number> = new Map([
  ['s', 1000],
  ['m', 60_000],
  ['h', 3_600_000],
  ['d', 86_400_000],
  ['w', 604_800_000],
]);
/** Longer than that is for ever. */
const MAX_DURATION = 3650 * 86_400_000;

/** Milliseconds of `10m`, `2h` or `3d`; undefined for nothing, which is for ever. Throws StanzaError `not-acceptable` for anything else. */
export function readDuration(text: string): number | undefined {
  const wanted = text.trim();
  if (wanted === '') return undefined;
  const parts = /^(\d{1,6}) ?([smhdw])$/.exec(wanted);
  const duration = parts ? Number(parts[1]) * (UNITS.get(parts[2]!) ?? 0) : 0;
  if (duration <= 0 || duration > MAX_DURATION) {
    throw new StanzaError('not-acceptable', { text: 'A duration is a number with s, m, h, d or w behind it' });
  }
  return duration;
}
