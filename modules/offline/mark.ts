import { type MapStore, sortableId, timeOf } from '#core';

/** Which messages of an account's archive have been delivered, as it is stored. */
export interface StoredMark {
  /** All up to this id are delivered, but for these; '' when nobody has got anything yet. */
  readonly upTo: string;
  readonly except: readonly string[];
  /** Later ones that are delivered all the same. */
  readonly done: readonly string[];
}

/** The only key of each account in the store. */
const KEY = 'mark';
/** Exceptions that are stored, of either kind. Beyond that a crash may bring messages again; none is lost. */
const MOST = 500;
/** Milliseconds after which a message that was about to be given to clients is looked for where it is kept. */
const ON_ITS_WAY = 10_000;

/**
 * How far an account has got what is in its archive. A message is delivered when one of the account's clients has it; one that was
 * written to a client which will confirm it (XEP-0198) is *given* until then. What is neither waits: the *backlog*. Ids sort by
 * time, so one bound and its exceptions say it all, and nothing is written for each message.
 */
export class Mark {
  readonly owner: string;
  #upTo = '';
  #except = new Set<string>();
  #done = new Set<string>();
  /** Those that were given, with the number of clients that have not confirmed them. */
  readonly #given = new Map<string, number>();
  /** Those that are being stored, and are then given to whoever is there. */
  readonly #coming = new Set<string>();
  /** From here on there may be messages that nobody was given; undefined when there are none. */
  #backlogFrom: string | undefined = '';
  /** The last that arrived: others may be given it in the same breath. */
  #latest = '';
  #isLoaded = false;
  #loading: Promise<void> | undefined = undefined;
  #later: (() => void)[] = [];
  #isDirty = false;
  #saving: Promise<void> | undefined = undefined;
  readonly #store: MapStore<StoredMark>;
  readonly #dirtied: (mark: Mark) => void;

  /** `dirtied` is told that there is something to be saved. */
  constructor(owner: string, store: MapStore<StoredMark>, dirtied: (mark: Mark) => void) {
    this.owner = owner;
    this.#store = store;
    this.#dirtied = dirtied;
  }

  /** Whether it must not be forgotten now. */
  get isBusy(): boolean {
    return this.isUnsaved || this.#given.size > 0;
  }

  /** Whether something is not durable yet. */
  get isUnsaved(): boolean {
    return this.#isDirty || this.#saving !== undefined || this.#later.length > 0;
  }

  /** Whether there may be messages that nobody was given. */
  get hasBacklog(): boolean {
    return !this.#isLoaded || this.#backlogFrom !== undefined || this.missed(undefined).length > 0;
  }

  /** Where unread archives begin. */
  get upTo(): string {
    return this.#upTo;
  }

  /** Reads what is stored, once. Rejects when the database fails; the next call tries again. */
  load(): Promise<void> {
    this.#loading ??= this.#load().catch((error: unknown) => {
      this.#loading = undefined;
      throw error;
    });
    return this.#loading;
  }

  /** It is being stored, and somebody will say what became of it: nobody else needs to give it to anyone. */
  coming(id: string): void {
    // Of so many some have got lost on their way, such as in a hook that failed.
    if (this.#coming.size >= MOST) this.#coming.clear();
    this.#coming.add(id);
  }

  /** A client was given it, and will confirm it. */
  given(id: string): void {
    this.#once(() => {
      this.#coming.delete(id);
      if (id === this.#latest) return;
      this.#give(id);
      if (id > this.#upTo || this.#except.has(id)) return;
      // It was still being stored when everything seemed to be delivered.
      this.#except.add(id);
      this.#touch();
    });
  }

  /** As above, before the server was restarted: another client may have confirmed it since. */
  givenBefore(id: string): void {
    this.#once(() => {
      if (this.#given.has(id) || !this.isSettled(id)) this.#give(id);
    });
  }

  /** It has arrived somewhere. */
  arrived(id: string): void {
    this.#once(() => {
      this.#latest = id;
      this.#coming.delete(id);
      this.#given.delete(id);
      if (id <= this.#upTo) this.#except.delete(id);
      else if (this.#backlogFrom === undefined || id < this.#backlogFrom) this.#advance(id);
      else this.#add(id);
      this.#touch();
    });
  }

  /** A client that was given it has gone. True (at once, when the mark is loaded) when nobody else has it. */
  returned(id: string): void {
    this.#once(() => {
      const count = this.#given.get(id);
      if (count === undefined) return;
      if (count > 1) this.#given.set(id, count - 1);
      else {
        this.#given.delete(id);
        if (id > this.#upTo) this.waits(id);
      }
    });
  }

  /** It was kept, and nobody was given it. */
  waits(id: string): void {
    this.#once(() => {
      this.#coming.delete(id);
      if (id <= this.#upTo) {
        this.#except.add(id);
        this.#touch();
      } else if (this.#backlogFrom === undefined || id < this.#backlogFrom) this.#backlogFrom = id;
    });
  }

  /** Whether somebody has it, or is being given it. */
  isSettled(id: string): boolean {
    if (this.#given.has(id) || this.#done.has(id) || (id <= this.#upTo && !this.#except.has(id))) return true;
    return this.#coming.has(id) && Date.now() - (timeOf(id) ?? 0) < ON_ITS_WAY;
  }

  /** Those up to `upTo` that nobody has, behind `after`, ascending. */
  missed(after: string | undefined): readonly string[] {
    if (this.#except.size === 0) return [];
    const ids = [...this.#except].filter((id) => !this.#given.has(id) && (after === undefined || id > after));
    return ids.sort();
  }

  /** The backlog was given away as far as this. */
  reached(id: string): void {
    if (this.#backlogFrom !== undefined && this.#backlogFrom <= id) this.#backlogFrom = `${id} `;
  }

  /** There is no backlog: whoever has gone through the archive has got everything. `isFar`: much lies between here and the end. */
  clear(isFar: boolean): void {
    const had = this.#done.size > 0;
    this.#backlogFrom = undefined;
    if (!isFar && !had) return;
    // Greater than all that is stored, smaller than all that will be.
    this.#advance(sortableId());
    this.#touch();
  }

  /**
   * Somebody has read the archive by themselves from one id to another: what was not given of that needs not be given. `missed` are those
   * before that wait.
   */
  readBetween(from: string, to: string, missed: readonly string[]): void {
    this.#once(() => {
      const isLeft = (id: string) => id < from || id > to || this.#given.has(id);
      this.#except = new Set([...this.#except].filter(isLeft));
      if (to > this.#upTo) {
        this.#advance(to);
        for (const id of missed) this.#except.add(id);
        if (this.#backlogFrom !== undefined && this.#backlogFrom <= to) this.#backlogFrom = `${to} `;
      }
      this.#touch();
    });
  }

  /** Writes what has changed. Resolves once it is durable; rejects when it could not be written, and then it is still to be saved. */
  async save(): Promise<void> {
    if (this.#later.length > 0) await this.load();
    // One write at a time; whoever comes meanwhile shares the next.
    while (this.#saving) await this.#saving.catch(() => {});
    if (!this.#isDirty) return;
    this.#isDirty = false;
    this.#saving = this.#store.update(this.owner, new Map([[KEY, this.#write()]]));
    try {
      await this.#saving;
    } catch (error) {
      this.#isDirty = true;
      throw error;
    } finally {
      this.#saving = undefined;
    }
  }

  async #load(): Promise<void> {
    const stored = await this.#store.get(this.owner, KEY);
    if (stored) {
      this.#upTo = stored.upTo;
      this.#except = new Set(stored.except);
      this.#done = new Set(stored.done);
    }
    this.#backlogFrom = `${this.#upTo} `;
    this.#isLoaded = true;
    for (const change of this.#later.splice(0)) change();
  }

  #give(id: string): void {
    this.#given.set(id, (this.#given.get(id) ?? 0) + 1);
  }

  /** Does it now, or when the mark is loaded, in order. */
  #once(change: () => void): void {
    if (this.#isLoaded) return change();
    this.#later.push(change);
    this.load().catch(() => {});
  }

  /** Everything up to this id is delivered, but for what was given and not confirmed. */
  #advance(id: string): void {
    for (const given of this.#given.keys()) if (given <= id) this.#except.add(given);
    this.#upTo = id;
    if (this.#done.size === 0) return;
    for (const done of this.#done) if (done <= id) this.#done.delete(done);
  }

  #add(id: string): void {
    if (this.#done.size >= MOST) for (const oldest of this.#done) if (this.#done.delete(oldest)) break;
    this.#done.add(id);
  }

  #touch(): void {
    if (this.#isDirty) return;
    this.#isDirty = true;
    this.#dirtied(this);
  }

  #write(): StoredMark {
    const except = [...this.#except].sort();
    if (except.length <= MOST) return { upTo: this.#upTo, except, done: [...this.#done] };
    // As far as the exceptions can be told.
    return { upTo: except[MOST]!, except: except.slice(0, MOST + 1), done: [] };
  }
}

/** The marks of all accounts that are in use. */
export class Marks {
  readonly #marks = new Map<string, Mark>();
  readonly #dirty = new Set<Mark>();
  readonly #store: MapStore<StoredMark>;
  readonly #max: number;

  constructor(store: MapStore<StoredMark>, max = 50_000) {
    this.#store = store;
    this.#max = max;
  }

  get(owner: string): Mark {
    let mark = this.#marks.get(owner);
    if (!mark) {
      if (this.#marks.size >= this.#max) this.#forgetOne();
      this.#marks.set(owner, (mark = new Mark(owner, this.#store, (each) => this.#dirty.add(each))));
    }
    return mark;
  }

  /** The account is gone. */
  drop(owner: string): void {
    const mark = this.#marks.get(owner);
    if (mark) this.#dirty.delete(mark);
    this.#marks.delete(owner);
  }

  /** Writes all that has changed. Rejects when something could not be written; it is tried again the next time. */
  async save(): Promise<void> {
    const dirty = [...this.#dirty];
    this.#dirty.clear();
    const results = await Promise.allSettled(dirty.map((mark) => this.#save(mark)));
    const failed = results.find((result) => result.status === 'rejected');
    if (failed) throw failed.reason;
  }

  async #save(mark: Mark): Promise<void> {
    try {
      if (this.#marks.get(mark.owner) === mark) await mark.save();
    } catch (error) {
      this.#dirty.add(mark);
      throw error;
    }
  }

  /** The one that was made first, of those with nothing to do. */
  #forgetOne(): void {
    let looked = 0;
    for (const [owner, mark] of this.#marks) {
      if (mark.isBusy && ++looked < 100) continue;
      if (!mark.isBusy) this.#marks.delete(owner);
      return;
    }
  }
}
