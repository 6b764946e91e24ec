import { firstIdAt, type ItemFilter, type ItemPage, type ItemStore, type MapStore, type NodeItem, sortableId } from '#core';
import type { NodeConfig, NodeLimits } from './config.ts';
import { type Affiliation, current, hasEnded, isStranger, type Member, readMember, STRANGER, writeMember } from './members.ts';

/** A node as it is stored. */
export interface StoredNode {
  /** The bare JID of who has made it. */
  readonly creator: string;
  /** Milliseconds since 1970. */
  readonly created: number;
  readonly config: NodeConfig;
  /** Whether anybody but the creator has ever had anything to do with it. */
  readonly hasMembers?: boolean;
}

/** What nodes are kept in, all by their owner: the local part of an account, or '' for the service. */
export interface NodeStores {
  /** By the name of the node. */
  readonly nodes: MapStore<StoredNode>;
  readonly items: ItemStore;
  /** By the bare JID of the member. */
  readonly members: ItemStore;
}

/** Payloads of last items that are remembered, in characters; longer ones are read when they are wanted. */
const REMEMBERED = 4096;

/** A node: what it is, who has to do with it, and what was published. Changes are made one after the other. */
export class Node {
  readonly owner: string;
  readonly name: string;
  readonly #stores: NodeStores;
  readonly #limits: NodeLimits;
  #stored: StoredNode;
  #members: Map<string, Member> | undefined;
  /** Undefined when it is not known. */
  #last: NodeItem | null | undefined = undefined;
  /** How many items there are, or fewer; undefined when that is not known. */
  #atMost: number | undefined = undefined;
  /** How many there are; undefined when that is not known. */
  #count: number | undefined = undefined;
  /** Writes of items that have begun, and that have ended. */
  #begun = 0;
  #ended = 0;
  #turn: Promise<unknown> = Promise.resolve();
  #tail: Promise<unknown> = Promise.resolve();
  #waiting = 0;
  /** Set when it is deleted: whoever waits for a turn finds nothing. */
  isGone = false;

  constructor(
    owner: string,
    name: string,
    stored: StoredNode,
    kept: { readonly stores: NodeStores; readonly limits: NodeLimits },
  ) {
    this.owner = owner;
    this.name = name;
    this.#stored = stored;
    this.#stores = kept.stores;
    this.#limits = kept.limits;
    this.#members = stored.hasMembers ? undefined : new Map();
  }

  get config(): NodeConfig {
    return this.#stored.config;
  }

  get creator(): string {
    return this.#stored.creator;
  }

  get created(): number {
    return this.#stored.created;
  }

  /** How many items are kept at most. */
  get maxItems(): number {
    return this.#mostOf(this.config);
  }

  /** Does something after all that was begun before has ended. */
  inTurn<T>(work: () => Promise<T>): Promise<T> {
    this.#waiting++;
    const done = Promise.all([this.#turn, this.#tail])
      .then(work)
      .finally(() => void this.#waiting--);
    this.#turn = this.#tail = done.catch(() => {});
    return done;
  }

  /**
   * Begins to write something after all that was begun before, and does the rest when it is durable and the rest of what was before is done:
   * in one order, and yet many are written with one commit. `begin` may only read what is in memory.
   */
  inOrder(begin: () => Promise<void>, end: () => Promise<void>): Promise<void> {
    this.#waiting++;
    const begun = this.#turn.then(() => ({ written: begin() }));
    // Nobody listens before its turn to end comes.
    this.#turn = begun.then(({ written }) => void written.catch(() => {}));
    // What fails early must not let the next one pass those before.
    const done = Promise.all([begun, this.#tail])
      .then(([{ written }]) => written)
      .then(end)
      .finally(() => void this.#waiting--);
    this.#tail = done.catch(() => {});
    return done;
  }

  /** Whether something is being changed. */
  get isBusy(): boolean {
    return this.#waiting > 0;
  }

  // ---- Members

  /** Everybody who has to do with it, by bare JID; at once when that is in memory. */
  members(): ReadonlyMap<string, Member> | Promise<ReadonlyMap<string, Member>> {
    return this.#members ?? this.#loadMembers();
  }

  /** What somebody is to the node. Whoever has made it owns it until they give it away. */
  affiliationOf(bare: string, members: ReadonlyMap<string, Member>): Affiliation {
    return members.get(bare)?.affiliation ?? (bare === this.creator ? 'owner' : 'none');
  }

  /** The owners, by bare JID. */
  owners(members: ReadonlyMap<string, Member>): readonly string[] {
    const owners = [...members].filter(([, { affiliation }]) => affiliation === 'owner').map(([bare]) => bare);
    return members.get(this.creator)?.affiliation === undefined ? [this.creator, ...owners] : owners;
  }

  /** Notes what people are to it from now on. Only in turn. */
  async setMembers(changes: ReadonlyMap<string, Member>): Promise<void> {
    const { members: store, nodes } = this.#stores;
    await this.members();
    if (!this.#stored.hasMembers) {
      const stored = { ...this.#stored, hasMembers: true };
      await nodes.update(this.owner, new Map([[this.name, stored]]));
      this.#stored = stored;
    }
    const kept: NodeItem[] = [];
    const gone: string[] = [];
    for (const [bare, member] of changes) {
      if (isStranger(member)) gone.push(bare);
      else kept.push({ id: bare, at: sortableId(), by: '', value: writeMember(member) });
    }
    try {
      await together([
        ...(kept.length > 0 ? [store.put(this.owner, this.name, kept)] : []),
        ...(gone.length > 0 ? [store.remove(this.owner, this.name, { ids: gone })] : []),
      ]);
    } catch (error) {
      // Some of it may be written.
      this.#forgetMembers();
      throw error;
    }
    for (const [bare, member] of changes) isStranger(member) ? this.#members?.delete(bare) : this.#members?.set(bare, member);
  }

  /** Changes what one person is to it. Only in turn. */
  async setMember(bare: string, change: (member: Member) => Member): Promise<void> {
    const members = await this.members();
    await this.setMembers(new Map([[bare, change(current(members.get(bare) ?? STRANGER))]]));
  }

  /** Forgets whoever had nothing but subscriptions that have ended. Only in turn. */
  async dropEnded(): Promise<void> {
    const ended = [...(await this.members())].filter(([, { subscriptions }]) => subscriptions.some(hasEnded));
    if (ended.length > 0) await this.setMembers(new Map(ended.map(([bare, member]) => [bare, current(member)])));
  }

  async #loadMembers(): Promise<ReadonlyMap<string, Member>> {
    const { items } = await this.#stores.members.query(this.owner, this.name, {});
    return (this.#members ??= new Map(items.map((item) => [item.id, readMember(item)])));
  }

  #forgetMembers(): void {
    this.#members = this.#stored.hasMembers ? undefined : new Map();
  }

  // ---- Configuration

  /** Changes the configuration, and throws away what is not to be kept any more. Only in turn. */
  async configure(config: NodeConfig): Promise<void> {
    const stored = { ...this.#stored, config };
    const maxItems = this.#mostOf(config);
    const isTooMuch = (await this.count()) > maxItems;
    const writes: Promise<unknown>[] = [this.#stores.nodes.update(this.owner, new Map([[this.name, stored]]))];
    const before = this.#firstCurrent();
    // What is too old does not come back.
    if (before !== undefined && config.itemExpire !== this.config.itemExpire)
      writes.push(this.#lose((store) => store.remove(this.owner, this.name, { before })));
    if (isTooMuch) writes.push(this.#lose((store) => store.put(this.owner, this.name, [], maxItems)));
    await together(writes);
    this.#stored = stored;
  }

  #mostOf({ persistItems, maxItems }: NodeConfig): number {
    if (!persistItems) return 0;
    return maxItems === 'max' ? this.#limits.maxItems : Math.min(maxItems, this.#limits.maxItems);
  }

  // ---- Items

  /** Adds items, each in place of one with the same id; the oldest go when there are too many. Only in turn; resolves once durable. */
  async put(items: readonly NodeItem[]): Promise<void> {
    const last = items.at(-1);
    if (!last) return;
    const { maxItems } = this;
    if (maxItems > 0) {
      // As if all were new: whether one is put in the place of another is not worth a question.
      const atMost = (this.#atMost ?? (await this.count())) + items.length;
      this.#count = undefined;
      this.#atMost = Math.min(atMost, maxItems);
      await this.#write((store) => store.put(this.owner, this.name, items, atMost > maxItems ? maxItems : undefined));
    }
    this.#remember(last);
  }

  /** Whether there is room for so many more, as far as that is known without looking. */
  hasRoomFor(count: number): boolean {
    const { maxItems } = this;
    return maxItems === 0 || (this.#atMost !== undefined && this.#atMost + count <= maxItems);
  }

  /** Which items would go for these. */
  async overflow(items: readonly NodeItem[]): Promise<readonly NodeItem[]> {
    const { maxItems } = this;
    if (this.hasRoomFor(items.length)) return [];
    const ids = items.map(({ id }) => id);
    const again = await this.countOf({ ids });
    const tooMany = (await this.count()) - again + items.length - maxItems;
    if (tooMany <= 0) return [];
    const page = await this.query({ max: tooMany + ids.length });
    return page.items.filter(({ id }) => !ids.includes(id)).slice(0, tooMany);
  }

  /** Items by the filter, without those that are too old. */
  query(filter: ItemFilter): Promise<ItemPage> {
    return this.#stores.items.query(this.owner, this.name, this.#current(filter));
  }

  /** How many there are. */
  async count(): Promise<number> {
    if (this.#count !== undefined && this.config.itemExpire === 'max') return this.#count;
    const ended = this.#ended;
    const count = await this.countOf({});
    // What was being written meanwhile may have been counted or not.
    if (this.#begun === ended) this.#atMost = this.#count = count;
    return count;
  }

  /** How many there are that match. */
  countOf(filter: ItemFilter): Promise<number> {
    return this.#stores.items.count(this.owner, this.name, this.#current(filter));
  }

  /** The last item; undefined when there is none. At once when it is in memory. */
  last(): NodeItem | undefined | Promise<NodeItem | undefined> {
    const last = this.#last;
    if (last === undefined) return this.#loadLast();
    return last === null || this.#isOld(last) ? undefined : last;
  }

  /** Removes items; returns how many there were. Only in turn. */
  remove(ids: readonly string[]): Promise<number> {
    return this.#lose((store) => store.remove(this.owner, this.name, { ids }));
  }

  /** Removes all items. Only in turn. */
  async purge(): Promise<void> {
    await this.#lose((store) => store.remove(this.owner, this.name, {}));
    this.#last = null;
    this.#atMost = this.#count = 0;
  }

  /** Removes all of it. Only in turn. */
  async erase(): Promise<void> {
    const erased = this.#stores.nodes.update(this.owner, new Map([[this.name, undefined]]));
    const emptied = Promise.allSettled([this.purge(), this.#stores.members.remove(this.owner, this.name, {})]);
    try {
      // If that is done and the rest is not, the next node of this name throws away what is left.
      await erased;
    } catch (error) {
      await emptied;
      this.#forgetMembers();
      throw error;
    }
    await emptied;
    this.#members = new Map();
    this.isGone = true;
  }

  async #loadLast(): Promise<NodeItem | undefined> {
    const ended = this.#ended;
    const { items } = await this.query({ max: 1, last: true });
    // What was written meanwhile may have been told already: nobody hears of what was there before after that.
    if (this.#ended !== ended) return this.last();
    const [item] = items;
    if (this.#begun === ended) this.#remember(item);
    return item;
  }

  /** Writes what makes items go: what was known of them is not known any more. */
  #lose<T>(work: (store: ItemStore) => Promise<T>): Promise<T> {
    this.#last = this.#atMost = this.#count = undefined;
    return this.#write(work);
  }

  async #write<T>(work: (store: ItemStore) => Promise<T>): Promise<T> {
    this.#begun++;
    try {
      return await work(this.#stores.items);
    } finally {
      this.#ended++;
    }
  }

  #remember(item: NodeItem | undefined): void {
    this.#last = item && item.value.length > REMEMBERED ? undefined : (item ?? null);
  }

  /** The place before which items are too old; undefined when they never are. */
  #firstCurrent(): string | undefined {
    const { itemExpire } = this.config;
    return itemExpire === 'max' ? undefined : firstIdAt(Date.now() - itemExpire * 1000);
  }

  #isOld({ at }: NodeItem): boolean {
    const from = this.#firstCurrent();
    return from !== undefined && at < from;
  }

  #current(filter: ItemFilter): ItemFilter {
    const from = this.#firstCurrent();
    if (from === undefined) return filter;
    return filter.after !== undefined && filter.after > from ? filter : { ...filter, after: from };
  }
}

/** Waits for writes that were begun at once, so that one commit has them all; rejects once none is under way any more. */
export async function together(writes: readonly Promise<unknown>[]): Promise<void> {
  for (const result of await Promise.allSettled(writes)) if (result.status === 'rejected') throw result.reason;
}
