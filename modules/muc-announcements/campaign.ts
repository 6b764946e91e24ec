// Announcements to many: to those who are online, to all accounts, or in all rooms.
//
// Whom one goes to is gone through in the order of their addresses, a batch at a time. Which batch is next is durable before it is begun,
// so that only the addresses of one batch are in doubt after the server has broken off: those are looked for in their archives, and left
// out where the announcement is there already, by its id. Of who keeps no archive it cannot be known: a room is left out then, since
// nobody is in it any more who was; an account gets it again, with the same id, since it may not have got it at all.
import { type Accounts, type ArchiveStore, compareBytes, Jid, type Log, StanzaError } from '#core';
import type { AnnounceApi } from '../announce/index.ts';
import type { MucApi } from '../muc/index.ts';
import { type Agenda, HOST, type Job } from './agenda.ts';
import type { Clock } from './alarm.ts';
import type { Notice, Target } from './plan.ts';
import { isSaid, RETRY, writeMessage } from './sending.ts';

/** What announcements to many work with. */
export interface CampaignParts {
  readonly domain: string;
  readonly rooms: MucApi;
  readonly accounts: Accounts;
  /** Undefined when nothing is announced to accounts. */
  readonly announce: AnnounceApi | undefined;
  /** The archives of accounts, when they have any. */
  readonly archives: ArchiveStore | undefined;
  readonly agenda: Agenda;
  readonly clock: Clock;
  readonly log: Log;
  /** Jobs that may wait for each other. */
  readonly maxJobs: number;
}

/** How a kind of addressee is gone through and told. */
interface Audience {
  /** The next addresses behind one, ascending. */
  next(after: string, job: Job): Promise<readonly string[]>;
  /** Whether one that is in doubt has got it. */
  hasGot(address: string, job: Job): Promise<boolean>;
  tell(address: string, job: Job): Promise<void>;
}

/** Addresses that are told together, and are in doubt together. */
const BATCH = 32;
/** See sending.ts. */
const SLACK = 600_000;
/** Messages of the host that are looked through for an announcement. */
const LAST = 100;

/** Makes announcements, one after the other. */
export class Campaigns {
  readonly #parts: CampaignParts;
  readonly #audiences: ReadonlyMap<Target, Audience>;
  readonly #waiting: Job[] = [];
  /** Jobs that are only being stored. */
  #writing = 0;
  #running: Promise<void> | undefined = undefined;
  #isStopped = false;
  #cancel: () => void = () => {};

  constructor(parts: CampaignParts) {
    this.#parts = parts;
    const { announce } = parts;
    this.#audiences = new Map<Target, Audience>([
      ['rooms', roomsOf(parts, (after) => parts.rooms.all(after === '' ? undefined : after, BATCH))],
      ['public-rooms', roomsOf(parts, (after) => publicRooms(parts.rooms, after))],
      ...(announce ? ([['accounts', accountsOf(parts, announce)]] as const) : []),
      ...(announce ? ([['online', onlineOf(announce)]] as const) : []),
    ]);
  }

  /** To whom something can be announced. */
  get targets(): readonly Target[] {
    return [...this.#audiences.keys()];
  }

  /** Returns to whom it goes; throws StanzaError for what cannot be announced to these. */
  check(to: Target | undefined, { text, title = '' }: Notice): Target {
    if (!to || !this.#audiences.has(to)) throw new StanzaError('not-acceptable', { text: 'It is not said to whom' });
    if (to === 'accounts' || to === 'online') this.#parts.announce?.check({ subject: title, body: text });
    return to;
  }

  /** A job that has not begun; `id` is that of its messages. */
  make({ text, title }: Notice, to: Target, id: string): Job {
    const at = this.#parts.clock.now();
    return { id, to, at, done: '', doubtful: '', text, ...(title !== undefined && { title }) };
  }

  /** Makes a job durable, and begins it. Rejects with StanzaError `resource-constraint` when too many are under way. */
  async launch(job: Job): Promise<void> {
    const { agenda, maxJobs } = this.#parts;
    if (this.#waiting.length + this.#writing >= maxJobs) {
      throw new StanzaError('resource-constraint', { type: 'wait', text: 'Others are under way' });
    }
    this.#writing++;
    try {
      await agenda.note(HOST, job.id, job);
    } finally {
      this.#writing--;
    }
    this.begin(job);
  }

  /** Does a job that is durable, once those before it are done. */
  begin(job: Job): void {
    this.#waiting.push(job);
    this.#start();
  }

  /** Goes no further, and resolves once what was begun is done; the rest is done after the next start. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#cancel();
    await this.#running;
  }

  #start(): void {
    if (this.#isStopped || this.#running || this.#waiting.length === 0) return;
    this.#running = this.#run().then((isDone) => {
      this.#running = undefined;
      if (isDone) this.#start();
      else if (!this.#isStopped) this.#cancel = this.#parts.clock.wake(RETRY, () => this.#start());
    });
  }

  /** Does all that waits. False when something failed, and has to be tried again. */
  async #run(): Promise<boolean> {
    for (let job = this.#waiting[0]; job && !this.#isStopped; job = this.#waiting[0]) {
      try {
        if (!(await this.#go(job))) return true;
        this.#waiting.shift();
      } catch (error) {
        this.#parts.log.warn('an announcement waits, since it cannot be stored', { error });
        return false;
      }
    }
    return true;
  }

  /** False when it was stopped before its end. */
  async #go(job: Job): Promise<boolean> {
    const { agenda } = this.#parts;
    const audience = this.#audiences.get(job.to);
    for (let now: Job | undefined = job; audience && now; ) {
      if (this.#isStopped) {
        await agenda.note(HOST, job.id, now);
        return false;
      }
      now = now.doubtful === '' ? await this.#goOn(audience, now) : await this.#clear(audience, now);
      if (now) this.#waiting[0] = now;
      await new Promise((resolve) => setImmediate(resolve));
    }
    await agenda.note(HOST, job.id, undefined);
    return true;
  }

  /** Tells the next few; undefined when there is nobody left. */
  async #goOn(audience: Audience, job: Job): Promise<Job | undefined> {
    const batch = await audience.next(job.done, job);
    const last = batch.at(-1);
    if (last === undefined) return undefined;
    const begun = { ...job, doubtful: last };
    await this.#parts.agenda.note(HOST, job.id, begun);
    // From here on they are in doubt, also when it fails.
    this.#waiting[0] = begun;
    await Promise.all(batch.map((address) => tell(audience, address, job)));
    return { ...begun, done: last, doubtful: '' };
  }

  /** Tells those who are in doubt, and have not got it. */
  async #clear(audience: Audience, job: Job): Promise<Job> {
    const batch = await audience.next(job.done, job);
    const mine = batch.filter((address) => compareBytes(address, job.doubtful) <= 0);
    await Promise.all(
      mine.map(async (address) => {
        if (!(await audience.hasGot(address, job))) await tell(audience, address, job);
      }),
    );
    // Others may have come in between meanwhile.
    return mine.length === batch.length && mine.length > 0
      ? { ...job, done: mine.at(-1)! }
      : { ...job, done: job.doubtful, doubtful: '' };
  }
}

/** One that is refused (a room that was destroyed, a mailbox that is full) keeps nothing from the others. */
async function tell(audience: Audience, address: string, job: Job): Promise<void> {
  try {
    await audience.tell(address, job);
  } catch (error) {
    if (!(error instanceof StanzaError)) throw error;
  }
}

function roomsOf({ rooms }: CampaignParts, next: Audience['next']): Audience {
  const find = async (address: string) => {
    const room = await rooms.find(Jid.parse(address));
    return room?.isLocked || room?.isGone ? undefined : room;
  };
  return {
    next,
    async hasGot(address, job) {
      const room = await find(address).catch(isRefused);
      return !room?.isArchived || isSaid(rooms, room, job.id, job.at);
    },
    async tell(address, job) {
      const room = await find(address);
      if (room) await rooms.speak(room, writeMessage(job, job.id));
    },
  };
}

async function publicRooms({ listed }: MucApi, after: string): Promise<readonly string[]> {
  return (await listed(after === '' ? undefined : after, BATCH)).map(([address]) => address);
}

function accountsOf({ domain, accounts, archives }: CampaignParts, announce: AnnounceApi): Audience {
  let known: { readonly job: string; readonly names: readonly string[] } | undefined;
  return {
    async next(after, { id }) {
      if (known?.job !== id)
        known = { job: id, names: (await accounts.list()).map(({ username }) => username).sort(compareBytes) };
      const { names } = known;
      const first = firstBehind(names, after);
      const batch = names.slice(first, first + BATCH);
      if (batch.length === 0) known = undefined;
      return batch;
    },
    async hasGot(name, { id, at }) {
      if (!archives) return false;
      const { items } = await archives.query(name, { with: domain, start: Math.max(0, at - SLACK), max: LAST, last: true });
      return items.some(({ stanza }) => stanza.includes(id));
    },
    tell: (name, { id, text, title = '' }) => announce.toOne(name, { subject: title, body: text }, id),
  };
}

/** Whoever is online is told at once, all together; who was when the server broke off is so no more. */
function onlineOf(announce: AnnounceApi): Audience {
  return {
    next: async (after) => (after === '' ? ['online'] : []),
    hasGot: async () => true,
    tell: (_, { text, title = '' }) => announce.toOnline({ subject: title, body: text }),
  };
}

/** Where those behind one begin in a sorted list. */
function firstBehind(names: readonly string[], after: string): number {
  let [low, high] = [0, names.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (compareBytes(names[middle]!, after) > 0) high = middle;
    else low = middle + 1;
  }
  return low;
}

function isRefused(error: unknown): undefined {
  if (!(error instanceof StanzaError)) throw error;
}
