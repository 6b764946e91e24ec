import { after, type Cache, type FormField, type MapStore, type Maybe } from '#core';
import type { Room } from '../muc/index.ts';
import { Meter, type Reading } from './meter.ts';

const FIELD = '{urn:xmpp:muc-activity}message-activity';
const KEY = 'meter';

/** The meters of all rooms. What they count is written now and then: it is an approximation, and a crash may lose some of it. */
export class Meters {
  readonly #store: MapStore<Reading>;
  readonly #meters: Cache<Meter>;
  readonly #changed = new Map<string, Meter>();

  /** `cache` keeps what is loaded. */
  constructor(store: MapStore<Reading>, cache: (load: (bare: string) => Promise<Meter>) => Cache<Meter>) {
    this.#store = store;
    this.#meters = cache(async (bare) => new Meter(Date.now(), await store.get(bare, KEY)));
  }

  /** Something was said in a room. */
  count(bare: string): Maybe<void> {
    return after(this.#meters.get(bare), (meter) => {
      meter.count(Date.now());
      this.#changed.set(bare, meter);
    });
  }

  /** What a room says of it: only one that anybody may find and enter (XEP-0502 section 4.1). */
  describe({ jid, settings }: Room): Maybe<readonly FormField[]> {
    const { isPersistent, isPublic, isMembersOnly, password } = settings;
    if (!isPersistent || !isPublic || isMembersOnly || password !== undefined) return [];
    return after(this.#meters.get(jid.bare), (meter) => {
      const rate = meter.rate(Date.now());
      return rate === undefined ? [] : [{ name: FIELD, label: 'Messages per hour', values: [String(Number(rate.toFixed(2)))] }];
    });
  }

  /** A room is no more. */
  async forget(bare: string): Promise<void> {
    this.#meters.drop(bare);
    this.#changed.delete(bare);
    await this.#store.clear(bare);
  }

  /** Writes what has changed. */
  async write(): Promise<void> {
    const written = [...this.#changed];
    this.#changed.clear();
    await Promise.all(written.map(([bare, { reading }]) => this.#store.update(bare, new Map([[KEY, reading]]))));
  }
}
