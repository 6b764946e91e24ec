import { after, type Jid, type Log } from '#core';
import type { Courier, Outcome } from './courier.ts';
import { type Notice, writePublish } from './payload.ts';
import type { Registration, Registrations } from './registrations.ts';
import { Turnstile } from './turnstile.ts';

/** Between two tries no more time is let pass than this, in milliseconds. */
const LONGEST_WAIT = 3_600_000;
/** Notifications under way, to one service and to all: fewer than a host may ask at once, since others ask too. */
const AT_ONCE = { each: 1000, all: 5000 };

/** What goes to one registration, one after the other. Times are of performance.now(). */
interface Channel {
  readonly username: string;
  readonly key: string;
  /** The address of the service, which is always the same for a key. */
  readonly service: string;
  /** The newest that has not been sent. */
  waiting: Notice | undefined;
  /** What is under way. */
  sent: Notice | undefined;
  isBusy: boolean;
  /** When the next may be sent, and the next that is urgent. */
  dueAt: number;
  urgentDueAt: number;
  /** Not before this, since the last ones have failed. */
  retryAt: number;
  attempts: number;
  timer: NodeJS.Timeout | undefined;
}

/** What a registration has not been told. */
export interface Untold {
  readonly username: string;
  readonly key: string;
  readonly notice: Notice;
}

/** What notifying needs of its surroundings. */
export interface NotifierParts {
  readonly registrations: Registrations;
  readonly courier: Courier;
  readonly log: Log;
  readonly interval: number;
  readonly retryAfter: number;
  isConnected(client: Jid): boolean;
}

/**
 * Notifies app servers. Of each registration one notification is under way at most; of what comes meanwhile, or too soon after, only the
 * newest is told: whoever wakes up fetches all of it.
 */
export class Notifier {
  readonly #parts: NotifierParts;
  readonly #channels = new Map<string, Channel>();
  readonly #turnstile = new Turnstile(AT_ONCE);
  #isStopped = false;

  constructor(parts: NotifierParts) {
    this.#parts = parts;
  }

  /** Tells a registration the news, as soon as it is its turn. */
  notify(username: string, registration: Registration, notice: Notice): void {
    if (this.#isStopped) return;
    const channel = this.#open(username, registration);
    channel.waiting = { ...notice, isUrgent: notice.isUrgent || channel.waiting?.isUrgent === true };
    this.#schedule(channel);
  }

  /** Its client has enabled it, once more perhaps: failures of before count no longer. */
  renew(username: string, key: string): void {
    const channel = this.#channels.get(`${username}/${key}`);
    if (!channel) return;
    this.#reset(channel);
    this.#schedule(channel);
  }

  /** Stops; returns what was not told, or perhaps not. */
  stop(): readonly Untold[] {
    this.#isStopped = true;
    const untold: Untold[] = [];
    for (const { username, key, timer, waiting, sent } of this.#channels.values()) {
      clearTimeout(timer);
      const notice = waiting ?? sent;
      if (notice) untold.push({ username, key, notice });
    }
    this.#channels.clear();
    return untold;
  }

  #open(username: string, { key, service }: Registration): Channel {
    const name = `${username}/${key}`;
    let channel = this.#channels.get(name);
    if (!channel) {
      channel = {
        username,
        key,
        service: service.full,
        waiting: undefined,
        sent: undefined,
        isBusy: false,
        dueAt: 0,
        urgentDueAt: 0,
        retryAt: 0,
        attempts: 0,
        timer: undefined,
      };
      this.#channels.set(name, channel);
    }
    return channel;
  }

  #reset(channel: Channel): void {
    channel.retryAt = 0;
    channel.attempts = 0;
  }

  /** Sends what waits, or sets a timer for it; a channel that has nothing to remember any more is forgotten. */
  #schedule(channel: Channel): void {
    if (channel.isBusy || this.#isStopped) return;
    clearTimeout(channel.timer);
    const { waiting, dueAt, urgentDueAt, retryAt } = channel;
    const turn = waiting ? (waiting.isUrgent ? urgentDueAt : dueAt) : Math.max(dueAt, urgentDueAt);
    const wait = Math.max(turn, retryAt) - performance.now();
    if (wait > 0) channel.timer = setTimeout(() => this.#schedule(channel), Math.ceil(wait)).unref();
    else if (waiting) this.#send(channel);
    else this.#channels.delete(`${channel.username}/${channel.key}`);
  }

  #send(channel: Channel): void {
    channel.isBusy = true;
    this.#enter(channel)
      .catch((error: unknown) => {
        this.#parts.log.error('a client was not notified', { account: channel.username, error });
        channel.retryAt = performance.now() + this.#parts.retryAfter;
      })
      .finally(() => {
        channel.isBusy = false;
        this.#schedule(channel);
      });
  }

  async #enter(channel: Channel): Promise<void> {
    await this.#turnstile.enter(channel.service);
    try {
      if (!this.#isStopped) await this.#publish(channel);
    } finally {
      this.#turnstile.leave(channel.service);
    }
  }

  async #publish(channel: Channel): Promise<void> {
    const { registrations, courier, interval, isConnected } = this.#parts;
    const account = await after(registrations.of(channel.username), (found) => found);
    const notice = channel.waiting;
    channel.waiting = undefined;
    const registration = account.find(channel.key);
    // Its client may have come, or gone for good, while this was waiting.
    if (!notice || !registration || isConnected(registration.client)) return this.#reset(channel);
    channel.sent = notice;
    const now = performance.now();
    channel.dueAt = now + interval;
    if (notice.isUrgent) channel.urgentDueAt = now + interval;
    const outcome = await courier.publish(registration.service, writePublish(registration, notice, account.waiting));
    await this.#note(channel, outcome, notice);
  }

  async #note(channel: Channel, outcome: Outcome, notice: Notice): Promise<void> {
    const { registrations, retryAfter } = this.#parts;
    const { username, key } = channel;
    if (outcome === 'stopped') return;
    channel.sent = undefined;
    if (outcome === 'taken') {
      this.#reset(channel);
      return registrations.succeeded(username, key);
    }
    // What was refused is not told again; what nobody has heard is.
    if (outcome === 'unreachable') channel.waiting ??= notice;
    channel.retryAt = performance.now() + Math.min(retryAfter * 2 ** Math.min(channel.attempts++, 20), LONGEST_WAIT);
    await registrations.failed(username, key, outcome === 'refused');
  }
}
