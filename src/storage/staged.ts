import { firstIdAt, isSortableId, timeOf } from '../ids.ts';
import { compareBytes } from '../text.ts';
import type { Engine, Statement } from './engine.ts';
import type { ArchiveFilter, ArchiveItem, ArchivePage, ArchiveStore } from './storage.ts';
import { checkText, type SqlArchiveStore, toItem } from './stores.ts';

type Item = Required<ArchiveItem>;

/** The items of one owner that are durable and not sorted in yet. Only numbers, since they stay for seconds and are many. */
interface Recent {
  readonly host: string;
  readonly owner: string;
  /** Their numbers in the table. */
  readonly seqs: number[];
  /** The greatest of their ids. */
  last: string;
}

/** How many items wait to be sorted in, and for how many milliseconds. */
const MOST = 20_000;
const LONGEST = 5000;
/** Items sorted in at once. The commits of others wait as long as that takes, which is some milliseconds. */
const SLICE = 500;
/** Items taken out of the table at once, which lie one behind the other. */
const REMOVED_AT_ONCE = 4000;
/** Ids made longer ago than this, or twice this, are not new, in milliseconds: the sorted table tells whether there is one like it. */
const NEW = 10_000;

/**
 * The newest items of all archives in one table. In a table sorted by owner each item of another owner is written to another page, and
 * a page is written whole: with many owners most of a commit is the same pages again and again. Here items are written one behind the
 * other, and are sorted in later, many at once. Until then it is known in memory who has which of them.
 */
export class Staging {
  readonly #engine: Engine;
  readonly #table: string;
  readonly #insert: string;
  readonly #byOwner = new Map<string, Recent>();
  readonly #select: string;
  #count = 0;
  /** Ids from here on are new; and since when that is so, in milliseconds since 1970. */
  #newFrom = '';
  #newSince = 0;
  #next = 1;
  /** The numbers of those that are being written, ascending. */
  readonly #pending = new Set<number>();
  /** The last number that was taken out of the table again. */
  #removed = 0;
  #sorting: Promise<void> | undefined = undefined;
  #timer: NodeJS.Timeout | undefined = undefined;

  private constructor(engine: Engine, table: string) {
    this.#engine = engine;
    this.#table = table;
    this.#insert = `INSERT INTO "${recentOf(table)}" (seq, host, owner, id, "with", resource, tag, stanza) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`;
    this.#select = `SELECT id, "with", resource, tag, stanza FROM "${recentOf(table)}" WHERE ${engine.isIn('seq')} ORDER BY id`;
  }

  /** Makes the table, and sorts in what a process before has left there. */
  static async open(engine: Engine, table: string): Promise<Staging> {
    const recent = recentOf(table);
    await engine.knex.raw(
      `CREATE TABLE IF NOT EXISTS "${recent}" (seq INTEGER PRIMARY KEY, host text NOT NULL, owner text NOT NULL, id text NOT NULL, "with" text NOT NULL, resource text NOT NULL, tag integer NOT NULL, stanza text NOT NULL)`,
    );
    const [row] = await engine.read({ sql: `SELECT max(seq) AS last FROM "${recent}"`, values: [] });
    const last = row?.['last'];
    if (typeof last === 'number')
      await engine.write([sortIn(table, 'seq <= ?', [last]), removeRecent(table, 'seq <= ?', [last])]);
    return new Staging(engine, table);
  }

  /** The name of its table, whose rows are erased with their owners. */
  get table(): string {
    return recentOf(this.#table);
  }

  /** Writes a new item. Resolves once it is durable, and is found from then on. */
  append(host: string, owner: string, item: Item): Promise<void> {
    // Items that cannot be sorted in would fill the memory: whoever adds more is told what keeps them from it.
    if (this.#count >= 4 * MOST) return this.#begin().then(() => this.append(host, owner, item));
    const seq = this.#next++;
    const { id, with: other, resource, tag, stanza } = item;
    const statement = { sql: this.#insert, values: [seq, host, owner, id, other, resource, tag, stanza] };
    this.#pending.add(seq);
    return this.#engine.write([statement]).then(
      () => {
        this.#pending.delete(seq);
        this.#note(host, owner, { seq, id });
      },
      (error: unknown) => {
        this.#pending.delete(seq);
        throw error;
      },
    );
  }

  /** Whether an id was made so lately that no item before this process can have it. */
  isNew(id: string): boolean {
    const now = Date.now();
    if (now - this.#newSince > NEW) {
      this.#newSince = now;
      this.#newFrom = firstIdAt(now - NEW);
    }
    return id > this.#newFrom && isSortableId(id);
  }

  /** The greatest id among the items of an owner that are not sorted in; undefined when there are none. */
  lastOf(host: string, owner: string): string | undefined {
    return this.#byOwner.get(keyOf(host, owner))?.last;
  }

  /** The items of an owner that are not sorted in, or just being sorted in; ascending. */
  async itemsOf(host: string, owner: string): Promise<readonly Item[]> {
    const recent = this.#byOwner.get(keyOf(host, owner));
    if (!recent) return [];
    const rows = await this.#engine.read({ sql: this.#select, values: [recent.seqs.map(String)] });
    return rows.map(toItem);
  }

  /** Owners that have such items. */
  owners(host: string): readonly string[] {
    const prefix = keyOf(host, '');
    return [...this.#byOwner.keys()].filter((key) => key.startsWith(prefix)).map((key) => key.slice(prefix.length));
  }

  /** Sorts in what an owner has now. Resolves once that is done: nothing of it is here any more, nor would a crash bring it back. */
  async settle(host: string, owner: string): Promise<void> {
    await this.#sorting;
    const recent = this.#byOwner.get(keyOf(host, owner));
    if (!recent) return;
    for (let seqs = recent.seqs.slice(0, SLICE); seqs.length > 0; seqs = recent.seqs.slice(0, SLICE)) {
      const chosen = this.#engine.isIn('seq');
      const values = [seqs.map(String)];
      await this.#engine.write([sortIn(this.#table, chosen, values), removeRecent(this.#table, chosen, values)]);
      this.#forget(recent, seqs.length);
    }
  }

  /** Forgets what an owner had, whose rows are erased. */
  drop(host: string, owner: string): void {
    const recent = this.#byOwner.get(keyOf(host, owner));
    if (recent) this.#forget(recent, recent.seqs.length);
  }

  /** Sorts nothing in any more; what is left is sorted in when the database is opened the next time. */
  async close(): Promise<void> {
    clearTimeout(this.#timer);
    await this.#sorting?.catch(() => {});
  }

  #note(host: string, owner: string, { seq, id }: { seq: number; id: string }): void {
    const key = keyOf(host, owner);
    const recent = this.#byOwner.get(key);
    if (recent) {
      recent.seqs.push(seq);
      if (id > recent.last) recent.last = id;
    } else this.#byOwner.set(key, { host, owner, seqs: [seq], last: id });
    if (++this.#count >= MOST) void this.#begin();
    else this.#timer ??= setTimeout(() => void this.#begin(), LONGEST).unref();
  }

  /** All up to this number are durable, or have failed. */
  get #durable(): number {
    for (const seq of this.#pending) return seq - 1;
    return this.#next - 1;
  }

  #begin(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const sorting = (this.#sorting ??= this.#sortAll().finally(() => {
      this.#sorting = undefined;
    }));
    // What fails is still there, and is tried again when the next item comes.
    sorting.catch(() => {});
    return sorting;
  }

  /** The items of one owner after those of another; and only then, in one go, out of the other table. */
  async #sortAll(): Promise<void> {
    const last = this.#durable;
    let slice: Part[] = [];
    let size = 0;
    for (const key of [...this.#byOwner.keys()].sort()) {
      const recent = this.#byOwner.get(key);
      if (!recent) continue;
      // Those of this round first: what had to wait to be written may be out of order.
      recent.seqs.sort((a, b) => a - b);
      const after = recent.seqs.findIndex((seq) => seq > last);
      const count = after < 0 ? recent.seqs.length : after;
      slice.push({ recent, count });
      size += count;
      if (size < SLICE) continue;
      await this.#sort(slice);
      slice = [];
      size = 0;
    }
    await this.#sort(slice);
    while (this.#removed < last) {
      const until = Math.min(last, this.#removed + REMOVED_AT_ONCE);
      await this.#engine.write([removeRecent(this.#table, 'seq <= ?', [until])]);
      this.#removed = until;
    }
  }

  async #sort(parts: readonly Part[]): Promise<void> {
    const seqs: string[] = [];
    for (const { recent, count } of parts) for (let i = 0; i < count; i++) seqs.push(String(recent.seqs[i]));
    if (seqs.length === 0) return;
    await this.#engine.write([sortIn(this.#table, this.#engine.isIn('seq'), [seqs])]);
    for (const { recent, count } of parts) this.#forget(recent, count);
  }

  /** The first so many items of an owner are sorted in. */
  #forget(recent: Recent, count: number): void {
    recent.seqs.splice(0, count);
    this.#count -= count;
    const key = keyOf(recent.host, recent.owner);
    if (recent.seqs.length === 0 && this.#byOwner.get(key) === recent) this.#byOwner.delete(key);
  }
}

/** The first items of an owner. */
interface Part {
  readonly recent: Recent;
  readonly count: number;
}

/** An ArchiveStore whose newest items are not sorted in yet. */
export class StagedArchiveStore implements ArchiveStore {
  readonly #sorted: SqlArchiveStore;
  readonly #staging: Staging;
  readonly #host: string;

  constructor(sorted: SqlArchiveStore, staging: Staging, host: string) {
    this.#sorted = sorted;
    this.#staging = staging;
    this.#host = host;
  }

  append(owner: string, item: ArchiveItem): Promise<void> {
    if (!this.#staging.isNew(item.id)) return this.#sorted.append(owner, item);
    const { id, with: other, resource = '', tag = 0, stanza } = item;
    try {
      checkText(owner, 'an owner');
      checkText(other, 'an item');
      checkText(resource, 'an item');
      checkText(stanza, 'an item');
    } catch (error) {
      return Promise.reject(error);
    }
    // A new id is greater than all others, nearly always; whether one is there already the sorted table tells, where it has to be unique.
    const last = this.#staging.lastOf(this.#host, owner);
    if (last !== undefined && last >= id) {
      return this.#staging.settle(this.#host, owner).then(() => this.#sorted.append(owner, item));
    }
    return this.#staging.append(this.#host, owner, { id, with: other, resource, tag, stanza });
  }

  async query(owner: string, filter: ArchiveFilter): Promise<ArchivePage> {
    // These first: what another thread sorts in meanwhile is then found twice, and not missed.
    const recent = await this.#matching(owner, filter);
    const found = await this.#sorted.query(owner, filter);
    if (recent.length === 0) return found;
    const max = filter.max ?? Number.MAX_SAFE_INTEGER;
    const items = merge(found.items, recent);
    const page = filter.last ? items.slice(Math.max(0, items.length - max)) : items.slice(0, max);
    return { items: page, complete: found.complete && items.length <= max };
  }

  async count(owner: string, filter: ArchiveFilter): Promise<number> {
    const ids = (await this.#matching(owner, filter)).map(({ id }) => id);
    if (ids.length === 0) return this.#sorted.count(owner, filter);
    const all = ids.length + (await this.#sorted.count(owner, filter, ids));
    return filter.max === undefined ? all : Math.min(all, Math.max(0, filter.max));
  }

  async remove(owner: string, filter: ArchiveFilter): Promise<number> {
    await this.#staging.settle(this.#host, owner);
    return this.#sorted.remove(owner, filter);
  }

  async replace(owner: string, item: Pick<Item, 'id' | 'tag' | 'stanza'>): Promise<boolean> {
    await this.#staging.settle(this.#host, owner);
    return this.#sorted.replace(owner, item);
  }

  async parties(owner: string, after?: string, max = 1000): Promise<readonly string[]> {
    const recent = await this.#staging.itemsOf(this.#host, owner);
    const sorted = await this.#sorted.parties(owner, after, max);
    return join(
      sorted,
      recent.map((item) => item.with),
      { after, max },
    );
  }

  async owners(after?: string, max = 1000): Promise<readonly string[]> {
    const recent = this.#staging.owners(this.#host);
    return join(await this.#sorted.owners(after, max), recent, { after, max });
  }

  async #matching(owner: string, filter: ArchiveFilter): Promise<readonly Item[]> {
    const recent = await this.#staging.itemsOf(this.#host, owner);
    if (recent.length === 0) return [];
    const ids = filter.ids && new Set(filter.ids);
    return recent.filter((item) => matches(item, filter) && (!ids || ids.has(item.id)));
  }
}

/** Everything of a filter but `ids`, `max` and `last`. */
function matches(item: Item, { with: other, resource, tag, start, end, before, after }: ArchiveFilter): boolean {
  if (other !== undefined && item.with !== other) return false;
  if (resource !== undefined && item.resource !== resource) return false;
  if (tag !== undefined && (item.tag & tag.mask) !== tag.value) return false;
  if (before !== undefined && item.id >= before) return false;
  if (after !== undefined && item.id <= after) return false;
  if (start === undefined && end === undefined) return true;
  const time = timeOf(item.id)!;
  return (start === undefined || time >= Math.ceil(start)) && (end === undefined || time <= Math.floor(end));
}

/** Both ascending; what is in both is there once. */
function merge(sorted: readonly Item[], recent: readonly Item[]): readonly Item[] {
  const last = sorted.at(-1);
  if (last === undefined || last.id < recent[0]!.id) return [...sorted, ...recent];
  const byId = new Map<string, Item>();
  for (const item of [...sorted, ...recent]) byId.set(item.id, item);
  return [...byId.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
}

function join(
  sorted: readonly string[],
  recent: readonly string[],
  { after, max }: { after: string | undefined; max: number },
): readonly string[] {
  const all = new Set(sorted);
  for (const name of recent) if (after === undefined || compareBytes(name, after) > 0) all.add(name);
  return [...all].sort(compareBytes).slice(0, max);
}

function recentOf(table: string): string {
  return `${table}_recent`;
}

function keyOf(host: string, owner: string): string {
  return `${host}\n${owner}`;
}

/** Sorted, so that items of one owner are written to the same pages. Should one be there already, it is the same one. */
function sortIn(table: string, where: string, values: Statement['values']): Statement {
  const columns = 'host, owner, id, "with", resource, tag, stanza';
  const sql = `INSERT OR IGNORE INTO "${table}" (${columns}) SELECT ${columns} FROM "${recentOf(table)}" WHERE ${where} ORDER BY host, owner, id`;
  return { sql, values };
}

function removeRecent(table: string, where: string, values: Statement['values']): Statement {
  return { sql: `DELETE FROM "${recentOf(table)}" WHERE ${where}`, values };
}
