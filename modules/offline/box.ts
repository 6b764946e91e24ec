import type { ArchiveItem, ArchiveStore, Resource } from '#core';
import type { Backlog, Waiting, WaitingPage } from './backlog.ts';

const PAGE = 100;

/** A message that is kept here, and was written to clients, but is not known to have arrived. */
interface Handed {
  /** Undefined when it was written before the server was restarted. */
  readonly item: ArchiveItem | undefined;
  /** How many clients have it and have not said so. */
  holders: number;
  /** Whether it may be about to be given to more. */
  isComing: boolean;
}

/** What all boxes have in common. */
export interface BoxSettings {
  readonly messages: ArchiveStore;
  /** Messages and bytes one box holds. */
  readonly maxMessages: number;
  readonly maxBytes: number;
  /** Milliseconds after which a message is thrown away; 0 for never. */
  readonly keepFor: number;
  /** What waits in an account's archive. */
  backlogOf(owner: string): Backlog;
}

/**
 * The messages that wait for one account: those in its archive, and those that are kept here because they are not archived. What is kept
 * here is counted, so that the limits hold however many write at once; the account's owner node is the only one that writes.
 */
export class Box {
  readonly owner: string;
  readonly backlog: Backlog;
  /** Who is being given the messages now; meanwhile what comes is put behind them. */
  target: Resource | undefined = undefined;
  /** Whether that one is still reading its archive, and has been given nothing so far. */
  isHeld = false;
  /** How many messages have begun to be put here or behind those in the archive, ever. */
  begun = 0;
  /** How many that were when `target` began to be given them. */
  begunBefore = 0;
  /** Set when the account is deleted: what is still being written then goes too. */
  isGone = false;
  readonly #settings: BoxSettings;
  #count = 0;
  #bytes = 0;
  #loading: Promise<void> | undefined = undefined;
  #isLoaded = false;
  #appending: Set<Promise<unknown>> | undefined = undefined;
  /** What is on its way, by id. */
  #handed: Map<string, Handed> | undefined = undefined;
  #removing: Promise<unknown> | undefined = undefined;
  /** What was removed since somebody began to read, and may be on the page all the same. */
  #removed: Set<string> | undefined = undefined;
  #readers = 0;

  constructor(owner: string, settings: BoxSettings) {
    this.owner = owner;
    this.#settings = settings;
    this.backlog = settings.backlogOf(owner);
  }

  /** Whether anything has to be done for someone who comes online. True as long as nobody has looked. */
  get mayHold(): boolean {
    return !this.#isLoaded || this.isBusy || this.#count > (this.#handed?.size ?? 0) || this.backlog.mark.hasBacklog;
  }

  /** Whether something is being written, or was written to a client and waits for its fate. */
  get isBusy(): boolean {
    return this.target !== undefined || (this.#appending?.size ?? 0) > 0 || (this.#handed?.size ?? 0) > 0;
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
    return this.#watch(this.#append(item));
  }

  /** A message that is being archived waits behind the others until it can be given. */
  putBehind(stored: Promise<unknown>): void {
    this.#watch(stored).catch(() => {});
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
  async read(after: string | undefined, max: number): Promise<WaitingPage> {
    this.#readers++;
    try {
      return await this.#read(after, max);
    } finally {
      if (--this.#readers === 0) this.#removed = undefined;
    }
  }

  async #read(after: string | undefined, max: number): Promise<WaitingPage> {
    const own = await this.#settings.messages.query(this.owner, { ...(after !== undefined && { after }), max });
    const archived = await this.backlog.read(after, max);
    const isFree = ({ id }: ArchiveItem) => this.#handed?.has(id) !== true && this.#removed?.has(id) !== true;
    const kept = own.items.filter(isFree).map((item) => ({ ...item, isArchived: false }));
    // Of two pages that end at different places, only what both cover can be put in order.
    const ends = [own.complete ? undefined : own.items.at(-1)?.id, archived.complete ? undefined : archived.last];
    const end = ends.filter((id) => id !== undefined).sort()[0];
    const items = [...kept, ...archived.items].filter(({ id }) => end === undefined || id <= end).sort(byId);
    const last = end ?? [own.items.at(-1)?.id ?? '', archived.last ?? ''].sort().at(-1);
    return { items, last: last || undefined, complete: end === undefined };
  }

  /** It is being written to clients: not to be given to others until its fate is known. */
  hand(item: Waiting): void {
    if (item.isArchived) this.backlog.mark.given(item.id);
    else (this.#handed ??= new Map()).set(item.id, { item, holders: 0, isComing: true });
  }

  /** A client has one that is kept here, and will confirm it. */
  given(id: string): void {
    const handed = (this.#handed ??= new Map<string, Handed>());
    const known = handed.get(id);
    if (known) known.holders++;
    else handed.set(id, { item: undefined, holders: 1, isComing: false });
  }

  /** One that was handed out has come to all who get it now. It waits again when that is nobody. */
  landed(id: string): void {
    const handed = this.#handed?.get(id);
    if (!handed) return;
    handed.isComing = false;
    if (handed.holders === 0) this.#handed?.delete(id);
  }

  /** Resolves when what has arrived is removed for good; undefined when it is. Never rejects. */
  get removing(): Promise<unknown> | undefined {
    return this.#removing;
  }

  /** What became of messages that were handed out: they arrived and are removed, or they wait again. */
  async settle(items: readonly Waiting[], haveArrived: boolean): Promise<void> {
    const { mark } = this.backlog;
    const kept = items.filter(({ isArchived }) => !isArchived);
    for (const { id, isArchived } of items) if (isArchived) haveArrived ? mark.arrived(id) : mark.returned(id);
    try {
      if (haveArrived) await this.#remove(kept);
    } finally {
      for (const { id } of kept) this.#handed?.delete(id);
    }
  }

  /** As above, of one that is kept here and was given to a client. */
  settleOne(id: string, hasArrived: boolean): Promise<void> {
    const handed = this.#handed?.get(id);
    if (handed && hasArrived) return this.#settleArrived(id, handed);
    if (handed && --handed.holders <= 0 && !handed.isComing) this.#handed?.delete(id);
    return Promise.resolve();
  }

  #settleArrived(id: string, { item }: Handed): Promise<void> {
    const found = item
      ? Promise.resolve([item])
      : this.#settings.messages.query(this.owner, { ids: [id] }).then(({ items }) => items);
    const settled = found
      .then((items) =>
        this.settle(
          items.map((each) => ({ ...each, isArchived: false })),
          true,
        ),
      )
      .finally(() => void this.#handed?.delete(id));
    const removing: Promise<unknown> = Promise.allSettled([this.#removing, settled]).then(() => {
      if (this.#removing === removing) this.#removing = undefined;
    });
    this.#removing = removing;
    return settled;
  }

  /** Removes messages, or lets those in the archive count as delivered; resolves once that is durable. */
  async remove(items: readonly Waiting[]): Promise<void> {
    const { mark } = this.backlog;
    const archived = items.filter(({ isArchived }) => isArchived);
    for (const { id } of archived) mark.arrived(id);
    await Promise.all([this.#remove(items.filter(({ isArchived }) => !isArchived)), archived.length > 0 && mark.save()]);
  }

  /** All messages that wait; of those that are kept here those on their way, too. */
  async *all(): AsyncGenerator<readonly Waiting[]> {
    for await (const items of this.#own()) yield items.map((item) => ({ ...item, isArchived: false }));
    for (let after: string | undefined; ; ) {
      const page = await this.backlog.read(after, PAGE);
      yield page.items;
      if (page.complete) return;
      after = page.last;
    }
  }

  async *#own(filter: { readonly end?: number } = {}): AsyncGenerator<readonly ArchiveItem[]> {
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
  async find(ids: readonly string[]): Promise<readonly Waiting[]> {
    const { items } = await this.#settings.messages.query(this.owner, { ids });
    return [...items.map((item) => ({ ...item, isArchived: false })), ...(await this.backlog.find(ids))].sort(byId);
  }

  /** Throws away what has waited too long. */
  async expire(): Promise<void> {
    const { keepFor } = this.#settings;
    if (keepFor > 0) for await (const items of this.#own({ end: Date.now() - keepFor })) await this.#remove(items);
  }

  #watch<T>(work: Promise<T>): Promise<T> {
    this.begun++;
    const task: Promise<T> = work.finally(() => void this.#appending?.delete(task));
    (this.#appending ??= new Set()).add(task);
    return task;
  }

  async #remove(items: readonly ArchiveItem[]): Promise<void> {
    if (items.length === 0) return;
    if (this.#readers > 0) for (const { id } of items) (this.#removed ??= new Set()).add(id);
    const removed = await this.#settings.messages.remove(this.owner, { ids: items.map(({ id }) => id) });
    this.#count -= removed;
    if (this.#count === 0) this.#bytes = 0;
    // Fewer than named: somebody else has removed, and counted, the others.
    else if (removed === items.length) for (const { stanza } of items) this.#bytes -= Buffer.byteLength(stanza);
  }

  async #load(): Promise<void> {
    let count = 0;
    let bytes = 0;
    for await (const items of this.#own()) {
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

function byId(a: ArchiveItem, b: ArchiveItem): number {
  return a.id < b.id ? -1 : a.id > b.id ? 1 : 0;
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
