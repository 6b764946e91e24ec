import { createHash } from 'node:crypto';
import { type Element, type MapStore, StanzaError, xml } from '#core';

/** The namespace of hats. */
export const NS_HATS = 'urn:xmpp:hats:0';
/** Where all hats of a room are kept; bare JIDs of accounts, under which is kept what they wear, have an @. */
const HATS = 'hats';

/** A hat that a room has; what is read of one another time is the same hat when its URI is. */
export interface Hat {
  readonly uri: string;
  readonly title: string;
  /** An angle in degrees, as it was written. */
  readonly hue?: string;
}

/** What is kept of a room: its hats under 'hats', and the URIs of those that accounts wear under their bare JIDs. */
export type Kept = readonly Hat[] | readonly string[];

/** How many hats there may be. */
export interface HatLimits {
  /** In a room. */
  readonly maxHats: number;
  /** On one account. */
  readonly maxWorn: number;
  /** Accounts with hats in a room. */
  readonly maxWearers: number;
}

/** The hats of a room, and who wears them. What is changed is durable before it holds, and changes are made one after the other. */
export class Rack {
  readonly #bare: string;
  readonly #store: MapStore<Kept>;
  readonly #hats = new Map<string, Hat>();
  readonly #wearers = new Map<string, readonly string[]>();
  #last: Promise<unknown> = Promise.resolve();
  #hash: string | undefined = undefined;

  private constructor(bare: string, store: MapStore<Kept>) {
    this.#bare = bare;
    this.#store = store;
  }

  /** Reads the hats of a room. */
  static async load(bare: string, store: MapStore<Kept>): Promise<Rack> {
    const rack = new Rack(bare, store);
    for (const [key, kept] of await store.entries(bare)) {
      if (key === HATS) for (const hat of kept.filter(isHat)) rack.#hats.set(hat.uri, hat);
      else rack.#wearers.set(key, kept.filter(isUri));
    }
    return rack;
  }

  /** All hats of the room, in the order they were made. */
  get hats(): Iterable<Hat> {
    return this.#hats.values();
  }

  /** Who wears something: bare JIDs. */
  get wearers(): Iterable<string> {
    return this.#wearers.keys();
  }

  /** The same as long as the hats are the same; undefined when there are none. */
  get hash(): string | undefined {
    if (this.#hats.size === 0) return undefined;
    const rows = [...this.#hats.values()].map(({ uri, title, hue }) => JSON.stringify([uri, title, hue])).sort();
    return (this.#hash ??= createHash('sha1').update(rows.join()).digest('hex'));
  }

  /** Whether an account wears something. */
  wears(bare: string): boolean {
    return this.#wearers.has(bare);
  }

  /** What an account wears, in the order the hats were made. */
  wornBy(bare: string): readonly Hat[] {
    const worn = this.#wearers.get(bare);
    return worn ? [...this.#hats.values()].filter(({ uri }) => worn.includes(uri)) : [];
  }

  /** What stands in the presence of an account's clients (XEP-0317 section 3.1); undefined when it wears nothing. */
  shownOn(bare: string): Element | undefined {
    if (!this.#wearers.has(bare)) return undefined;
    return xml('hats', NS_HATS, ...this.wornBy(bare).map(({ title, uri, hue }) => xml('hat', { title, uri, hue })));
  }

  /** Makes a hat, or changes the one of this URI. Resolves with those who wear it; rejects with StanzaError `resource-constraint`. */
  make(hat: Hat, { maxHats }: HatLimits): Promise<readonly string[]> {
    return this.#change(async () => {
      if (!this.#hats.has(hat.uri) && this.#hats.size >= maxHats) throw tooMany(`A room has at most ${maxHats} hats`);
      const hats = new Map(this.#hats).set(hat.uri, hat);
      await this.#write(new Map([[HATS, [...hats.values()]]]));
      this.#hats.set(hat.uri, hat);
      return this.#wearersOf(hat.uri);
    });
  }

  /** Takes a hat out of the room, and off those who wear it, with whom it resolves. Rejects with StanzaError `item-not-found`. */
  destroy(uri: string): Promise<readonly string[]> {
    return this.#change(async () => {
      this.#check(uri);
      const wearers = this.#wearersOf(uri);
      const left = [...this.#hats.values()].filter((hat) => hat.uri !== uri);
      const changes = new Map<string, Kept | undefined>([[HATS, left.length > 0 ? left : undefined]]);
      for (const bare of wearers) changes.set(bare, this.#without(bare, uri));
      await this.#write(changes);
      this.#hats.delete(uri);
      for (const bare of wearers) this.#wear(bare, this.#without(bare, uri));
      return wearers;
    });
  }

  /** Puts a hat on an account. False when it wears it already. Rejects with StanzaError `item-not-found` or `resource-constraint`. */
  assign(bare: string, uri: string, { maxWorn, maxWearers }: HatLimits): Promise<boolean> {
    return this.#change(async () => {
      this.#check(uri);
      const worn = this.#wearers.get(bare) ?? [];
      if (worn.includes(uri)) return false;
      if (worn.length >= maxWorn) throw tooMany(`Nobody wears more than ${maxWorn} hats`);
      if (worn.length === 0 && this.#wearers.size >= maxWearers) throw tooMany(`At most ${maxWearers} people wear hats here`);
      await this.#put(bare, [...worn, uri]);
      return true;
    });
  }

  /** Takes a hat off an account. False when it does not wear it. */
  unassign(bare: string, uri: string): Promise<boolean> {
    return this.#change(async () => {
      if (!this.#wearers.get(bare)?.includes(uri)) return false;
      await this.#put(bare, this.#without(bare, uri));
      return true;
    });
  }

  /** Takes all hats off an account. */
  async strip(bare: string): Promise<void> {
    await this.#change(() => this.#put(bare, undefined));
  }

  #check(uri: string): void {
    if (!this.#hats.has(uri)) throw new StanzaError('item-not-found', { text: 'There is no such hat' });
  }

  #wearersOf(uri: string): readonly string[] {
    return [...this.#wearers].filter(([, worn]) => worn.includes(uri)).map(([bare]) => bare);
  }

  #without(bare: string, uri: string): readonly string[] | undefined {
    const left = this.#wearers.get(bare)?.filter((worn) => worn !== uri) ?? [];
    return left.length > 0 ? left : undefined;
  }

  async #put(bare: string, worn: readonly string[] | undefined): Promise<void> {
    await this.#write(new Map([[bare, worn]]));
    this.#wear(bare, worn);
  }

  async #write(changes: ReadonlyMap<string, Kept | undefined>): Promise<void> {
    await this.#store.update(this.#bare, changes);
    this.#hash = undefined;
  }

  #wear(bare: string, worn: readonly string[] | undefined): void {
    if (worn) this.#wearers.set(bare, worn);
    else this.#wearers.delete(bare);
  }

  /** Begins once all that was begun before is done, since each change builds on the one before. */
  #change<T>(change: () => Promise<T>): Promise<T> {
    const done = this.#last.then(change);
    this.#last = done.catch(() => {});
    return done;
  }
}

function isHat(kept: Hat | string): kept is Hat {
  return typeof kept !== 'string';
}

function isUri(kept: Hat | string): kept is string {
  return typeof kept === 'string';
}

function tooMany(text: string): StanzaError {
  return new StanzaError('resource-constraint', { type: 'cancel', text });
}
