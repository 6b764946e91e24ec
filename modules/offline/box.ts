import type { ArchiveItem, ArchiveStore, Resource } from '#core';

const PAGE = 100;

/** What all boxes have in common. */
export interface BoxSettings {
  readonly messages: ArchiveStore;
  /** Messages and bytes one box holds. */
  readonly maxMessages: number;
  readonly maxBytes: number;
  /** Milliseconds after which a message is thrown away; 0 for never. */
  readonly keepFor: number;
}

/**
 * The messages that wait for one account. What the database holds is counted here, so that the limits hold however many write at
 * once; the account's owner node is the only one that writes.
 */
export class Box {
  readonly owner: string;
  /** Who is being given the messages now; meanwhile what comes is put behind them. */
  target: Resource | undefined = undefined;
  /** How many appends have begun, ever. */
  begun = 0;
  /** Set when the account is deleted: what is still being written then goes too. */
  isGone = false;
  readonly #settings: BoxSettings;
  #count = 0;
  #bytes = 0;
  #loading: Promise<void> | undefined = undefined;
  #isLoaded = false;
  #appending: Set<Promise<unknown>> | undefined = undefined;
  /** Written to a client, but not known to have arrived. */
  #handed: Set<string> | undefined = undefined;

  constructor(owner: string, settings: BoxSettings) {
    this.owner = owner;
    this.#settings = settings;
  }

  /** Whether anything has to be done for someone who comes online. True as long as nobody has looked. */
  get mayHold(): boolean {
    return !this.#isLoaded || this.isBusy || this.#count > (this.#handed?.size ?? 0);
  }

  /** Whether something is being written, or was written to a client and waits for its fate. */
  get isBusy(): boolean {
    return this.target !== undefined || (this.#appending?.size ?? 0) > 0 || (this.#handed?.size ?? 0) > 0;
  }

  /** Whether it was looked at and there is nothing in it, nor on its way into it. */
  get isEmpty(): boolean {
    return this.#isLoaded && this.#count === 0 && !this.isAppending;
  }

  /** Counts what is there, once. Rejects when the database fails; the next call tries again. */
  load(): Promise<void> {
    this.#loading ??= this.#load().catch((error: unknown) => {
      this.#loading = undefined;
      throw error;
    });
    return this.#loading;
  }

  /** Keeps a message. Resolves once it is durable: false when there is no room. */
  append(item: ArchiveItem): Promise<boolean> {
    this.begun++;
    const task: Promise<boolean> = this.#append(item).finally(() => void this.#appending?.delete(task));
    (this.#appending ??= new Set()).add(task);
    return task;
  }

  /** Waits for the appends that are under way, whatever comes of them. */
  async settled(): Promise<void> {
    await Promise.allSettled(this.#appending ?? []);
  }

  /** Whether appends are under way. */
  get isAppending(): boolean {
    return (this.#appending?.size ?? 0) > 0;
  }

  /** The next messages behind `after`, without those that are on their way already. */
  async read(
    after: string | undefined,
    max: number,
  ): Promise<{ readonly items: readonly ArchiveItem[]; readonly last: string | undefined; readonly complete: boolean }> {
    const page = await this.#settings.messages.query(this.owner, { ...(after !== undefined && { after }), max });
    const handed = this.#handed;
    const items = handed ? page.items.filter(({ id }) => !handed.has(id)) : page.items;
    return { items, last: page.items.at(-1)?.id, complete: page.complete };
  }

  /** These were written to a client: not to be given to another until their fate is known. */
  hand(item: ArchiveItem): void {
    (this.#handed ??= new Set()).add(item.id);
  }

  /** What became of messages that were handed out: they arrived and are removed, or they wait again. */
  async settle(items: readonly ArchiveItem[], haveArrived: boolean): Promise<void> {
    try {
      if (haveArrived) await this.remove(items);
    } finally {
      for (const { id } of items) this.#handed?.delete(id);
    }
  }

  /** Removes messages; resolves once that is durable. */
  async remove(items: readonly ArchiveItem[]): Promise<void> {
    if (items.length === 0) return;
    const removed = await this.#settings.messages.remove(this.owner, { ids: items.map(({ id }) => id) });
    this.#count -= removed;
    if (this.#count === 0) this.#bytes = 0;
    // Fewer than named: somebody else has removed, and counted, the others.
    else if (removed === items.length) for (const { stanza } of items) this.#bytes -= Buffer.byteLength(stanza);
  }

  /** All messages of this box, those on their way too. */
  async *all(filter: { readonly end?: number } = {}): AsyncGenerator<readonly ArchiveItem[]> {
    for (let after: string | undefined; ; ) {
      const page = await this.#settings.messages.query(this.owner, {
        ...filter,
        ...(after !== undefined && { after }),
        max: PAGE,
      });
      yield page.items;
      if (page.complete) return;
      after = page.items.at(-1)?.id;
    }
  }

  /** Those of these ids that are here, oldest first. */
  async find(ids: readonly string[]): Promise<readonly ArchiveItem[]> {
    return (await this.#settings.messages.query(this.owner, { ids })).items;
  }

  /** Throws away what has waited too long. */
  async expire(): Promise<void> {
    const { keepFor } = this.#settings;
    if (keepFor > 0) for await (const items of this.all({ end: Date.now() - keepFor })) await this.remove(items);
  }

  async #load(): Promise<void> {
    let count = 0;
    let bytes = 0;
    for await (const items of this.all()) {
      count += items.length;
      for (const { stanza } of items) bytes += Buffer.byteLength(stanza);
    }
    this.#count = count;
    this.#bytes = bytes;
    this.#isLoaded = true;
  }

  async #append(item: ArchiveItem): Promise<boolean> {
    if (!this.#isLoaded) await this.load();
    const { messages, maxMessages, maxBytes } = this.#settings;
    const bytes = Buffer.byteLength(item.stanza);
    if (this.#count >= maxMessages || this.#bytes + bytes > maxBytes) return false;
    this.#count++;
    this.#bytes += bytes;
    try {
      await messages.append(this.owner, item);
    } catch (error) {
      this.#count--;
      this.#bytes -= bytes;
      throw error;
    }
    // The name may soon be somebody else's.
    if (this.isGone) await messages.remove(this.owner, { ids: [item.id] });
    return true;
  }
}

/** The boxes that were used lately. Those at work are never forgotten. */
export class Boxes {
  readonly #boxes = new Map<string, Box>();
  readonly #settings: BoxSettings;
  readonly #max: number;

  constructor(settings: BoxSettings, max = 10_000) {
    this.#settings = settings;
    this.#max = max;
  }

  get(owner: string): Box {
    let box = this.#boxes.get(owner);
    if (!box) {
      if (this.#boxes.size >= this.#max) this.#forgetOne();
      this.#boxes.set(owner, (box = new Box(owner, this.#settings)));
    }
    return box;
  }

  /** The box, when it is here. */
  peek(owner: string): Box | undefined {
    return this.#boxes.get(owner);
  }

  /** The account is gone. */
  drop(owner: string): void {
    const box = this.#boxes.get(owner);
    if (box) box.isGone = true;
    this.#boxes.delete(owner);
  }

  #forgetOne(): void {
    for (const [owner, box] of this.#boxes) {
      if (box.isBusy) continue;
      this.#boxes.delete(owner);
      return;
    }
  }
}
