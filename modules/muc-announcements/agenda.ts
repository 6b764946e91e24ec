// The schedules of all rooms and of the host, as they are stored: one owner after the other is read when it is due, and only how soon
// that is and whose schedules they are stays in memory.
import { type MapStore, type OneByOne, randomToken, StanzaError } from '#core';
import { checkPlan, type Notice, type Plan, type PlanLimits, type Schedule, type Target } from './plan.ts';
import { nextTime } from './recurrence.ts';

/** An announcement to many that is being made. */
export interface Job extends Notice {
  readonly id: string;
  readonly to: Target;
  /** When it was begun. */
  readonly at: number;
  /** All up to this one have got it. */
  readonly done: string;
  /** Those behind `done` up to this one may have got it. */
  readonly doubtful: string;
}

/** What an owner has: schedules under `schedule:` and their id, jobs under `job:` and theirs, and what all have in common under 'head'. */
export interface Row {
  readonly head?: Head;
  readonly schedule?: Schedule;
  readonly job?: Job;
}

/** What is read of every owner when the server starts. */
export interface Head {
  /** When the first of its schedules is due. */
  readonly due: number;
  /** Who has made them, one for each. */
  readonly authors: readonly string[];
}

/** What may be planned, and how much of it. */
export interface AgendaLimits extends PlanLimits {
  readonly maxPerRoom: number;
  readonly maxPerAccount: number;
}

/** What an agenda works with. */
export interface AgendaParts {
  readonly store: MapStore<Row>;
  readonly limits: AgendaLimits;
  /** What changes an owner's rows is done in its turn. */
  readonly turns: OneByOne;
  now(): number;
  /** Told whenever it is known when an owner is due next; undefined: never. */
  onDue(owner: string, due: number | undefined): void;
}

/** The owner of what is the host's own. No room has this address. */
export const HOST = '';
const HEAD = 'head';
const PAGE = 1000;
/** Of the random part of an id. */
const ID_BYTES = 9;

/** Changes of schedules by id; undefined: it is taken off. */
export type Changes = ReadonlyMap<string, Schedule | undefined>;

/** The schedules of all owners: rooms by bare JID, and HOST. */
export class Agenda {
  readonly #parts: AgendaParts;
  readonly #heads = new Map<string, Head>();
  /** How many schedules an account has made, in all rooms together. */
  readonly #made = new Map<string, number>();

  constructor(parts: AgendaParts) {
    this.#parts = parts;
  }

  /** Finds out when everybody is due. */
  async open(): Promise<void> {
    let after: string | undefined;
    for (;;) {
      const page = await this.#parts.store.scan(HEAD, after, PAGE);
      for (const [owner, { head }] of page) this.#note(owner, head);
      after = page.at(-1)?.[0];
      if (page.length < PAGE) break;
    }
  }

  /** Those who have schedules that this account has made. */
  ownersWith(author: string): readonly string[] {
    return [...this.#heads].filter(([, { authors }]) => authors.includes(author)).map(([owner]) => owner);
  }

  /** Whether an owner has any schedule. */
  has(owner: string): boolean {
    return this.#heads.has(owner);
  }

  /** An owner's schedules, the next one first. */
  async list(owner: string): Promise<readonly Schedule[]> {
    if (!this.has(owner)) return [];
    const rows = await this.#parts.store.entries(owner);
    const found = [...rows.values()].flatMap(({ schedule }) => (schedule ? [schedule] : []));
    return found.sort((a, b) => a.due - b.due);
  }

  /** An owner's jobs, the oldest first. */
  async jobs(owner: string): Promise<readonly Job[]> {
    const rows = await this.#parts.store.entries(owner);
    return [...rows.values()].flatMap(({ job }) => (job ? [job] : [])).sort((a, b) => a.at - b.at);
  }

  /** Keeps a plan. Rejects with StanzaError when it cannot be, or there are too many. */
  add(owner: string, plan: Plan, { zone, by }: { readonly zone: string; readonly by: string }): Promise<Schedule> {
    return this.#parts.turns.run(owner, async () => {
      const { limits } = this.#parts;
      const checked = checkPlan(plan, { zone, now: this.#parts.now() }, limits);
      const all = await this.list(owner);
      if (all.length >= limits.maxPerRoom) throw tooMany(`There are ${all.length} announcements already`);
      if (by !== '' && (this.#made.get(by) ?? 0) >= limits.maxPerAccount) throw tooMany('You have planned enough elsewhere');
      const schedule: Schedule = { ...checked, id: randomToken(ID_BYTES), by };
      // Counted at once, since others of the same account may be written for other rooms meanwhile.
      this.#count(by, 1);
      try {
        await this.write(owner, all, new Map([[schedule.id, schedule]]));
      } finally {
        this.#count(by, -1);
      }
      return schedule;
    });
  }

  /**
   * Puts another plan in the place of one. `check` throws for what may not be touched. Rejects with StanzaError `item-not-found` when
   * there is none.
   */
  edit(owner: string, id: string, { plan, zone, check }: Edit): Promise<Schedule> {
    return this.#parts.turns.run(owner, async () => {
      const all = await this.list(owner);
      const old = find(all, id);
      check(old);
      const checked = checkPlan(plan, { zone, now: this.#parts.now() }, this.#parts.limits);
      const schedule: Schedule = { ...checked, id, by: old.by };
      await this.write(owner, all, new Map([[id, schedule]]));
      return schedule;
    });
  }

  /** Takes a schedule off. As `edit`. */
  cancel(owner: string, id: string, check: (schedule: Schedule) => void): Promise<Schedule> {
    return this.#parts.turns.run(owner, async () => {
      const all = await this.list(owner);
      const old = find(all, id);
      check(old);
      await this.write(owner, all, new Map([[id, undefined]]));
      return old;
    });
  }

  /** Reckons anew when everything is due, since the clock on the wall is another one. */
  rezone(owner: string, zone: string): Promise<void> {
    return this.#parts.turns.run(owner, async () => {
      const all = await this.list(owner);
      const now = this.#parts.now();
      const changes = new Map<string, Schedule | undefined>();
      for (const schedule of all) {
        // What is over by the new clock is said now: nobody has taken it off.
        const due = nextTime(schedule.when, { zone, anchor: schedule.anchor }, now) ?? now;
        if (due !== schedule.due && !schedule.attempt) changes.set(schedule.id, { ...schedule, due });
      }
      if (changes.size > 0) await this.write(owner, all, changes);
    });
  }

  /** Takes an account's name off everything it has made. */
  async disown(author: string): Promise<void> {
    for (const owner of this.ownersWith(author)) {
      await this.#parts.turns.run(owner, async () => {
        const all = await this.list(owner);
        const own = all.filter(({ by }) => by === author);
        await this.write(owner, all, new Map(own.map((schedule) => [schedule.id, { ...schedule, by: '' }])));
      });
    }
  }

  /** Forgets an owner. */
  drop(owner: string): Promise<void> {
    return this.#parts.turns.run(owner, () => this.clear(owner));
  }

  /** As `drop`, for whoever has the turn. */
  async clear(owner: string): Promise<void> {
    if (!this.has(owner)) return;
    await this.#parts.store.clear(owner);
    this.#note(owner, undefined);
  }

  /**
   * Writes changes of an owner's schedules, and what else goes with them, all or nothing. For whoever has the turn; `all` are the
   * schedules as they were.
   */
  async write(owner: string, all: readonly Schedule[], changes: Changes, job?: Job): Promise<void> {
    const left = new Map(all.map((schedule) => [schedule.id, schedule]));
    const rows = new Map<string, Row | undefined>();
    for (const [id, schedule] of changes) {
      rows.set(`schedule:${id}`, schedule && { schedule });
      if (schedule) left.set(id, schedule);
      else left.delete(id);
    }
    const kept = [...left.values()];
    const head: Head | undefined =
      kept.length === 0 ? undefined : { due: Math.min(...kept.map(({ due }) => due)), authors: kept.map(({ by }) => by) };
    rows.set(HEAD, head && { head });
    if (job) rows.set(`job:${job.id}`, { job });
    await this.#parts.store.update(owner, rows);
    this.#note(owner, head);
  }

  /** Writes how far a job is; without it, that it is done. */
  async note(owner: string, id: string, job: Job | undefined): Promise<void> {
    await this.#parts.store.update(owner, new Map([[`job:${id}`, job && { job }]]));
  }

  #note(owner: string, head: Head | undefined): void {
    for (const author of this.#heads.get(owner)?.authors ?? []) this.#count(author, -1);
    for (const author of head?.authors ?? []) this.#count(author, 1);
    if (head) this.#heads.set(owner, head);
    else this.#heads.delete(owner);
    this.#parts.onDue(owner, head?.due);
  }

  #count(author: string, by: 1 | -1): void {
    const made = (this.#made.get(author) ?? 0) + by;
    if (made > 0) this.#made.set(author, made);
    else this.#made.delete(author);
  }
}

/** What is put in the place of a schedule. */
export interface Edit {
  readonly plan: Plan;
  readonly zone: string;
  check(schedule: Schedule): void;
}

function find(all: readonly Schedule[], id: string): Schedule {
  const found = all.find((schedule) => schedule.id === id);
  if (!found) throw new StanzaError('item-not-found', { text: 'There is no such announcement' });
  return found;
}

function tooMany(text: string): StanzaError {
  return new StanzaError('resource-constraint', { text });
}
