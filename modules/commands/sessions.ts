import type { Jid } from '#core';
import type { Stage } from './command.ts';

/** How long a form may be filled in, and how many of them an account may have open. */
export interface SessionLimits {
  /** Milliseconds. */
  readonly timeout: number;
  readonly maxOpen: number;
}

/** What a session is of: it goes on only where all of it is the same again (XEP-0050 section 3.3). */
export interface SessionScope {
  /** Whoever began it: the full JID, since nobody else may go on with it. */
  readonly from: Jid;
  /** The full address that it was begun at. */
  readonly at: string;
  /** What stood at that address. */
  readonly place: unknown;
  readonly command: unknown;
}

/** A command that waits for a form to be filled in. */
export interface CommandSession extends SessionScope {
  readonly id: string;
  /** The last one is open; those before it are for `prev`. Never empty. */
  readonly stages: Stage[];
  /** Answers are being dealt with: what was sent twice must not be done twice. */
  isBusy: boolean;
  expires: number;
}

/** The sessions of all desks of a host, with limits that hold for all of them together. */
export class CommandSessions {
  readonly #limits: SessionLimits;
  /** By id; in the order they were last shown, which is the order they expire in. */
  readonly #open = new Map<string, CommandSession>();
  /** By bare JID, in the same order. */
  readonly #byAccount = new Map<string, Set<CommandSession>>();

  constructor(limits: SessionLimits) {
    this.#limits = limits;
  }

  /** How many are open. */
  get size(): number {
    return this.#open.size;
  }

  /** Opens one; the account's oldest is closed for it when there are too many. */
  open(id: string, scope: SessionScope, stage: Stage): CommandSession {
    for (const oldest of this.#byAccount.get(scope.from.bare) ?? []) {
      if (this.#count(scope.from) < this.#limits.maxOpen) break;
      this.close(oldest);
    }
    const session: CommandSession = { ...scope, id, stages: [stage], isBusy: false, expires: 0 };
    this.#put(session);
    return session;
  }

  /** The session of this id, if it is of this scope and open still. */
  find(id: string, { from, at, place, command }: SessionScope): CommandSession | undefined {
    const session = this.#open.get(id);
    if (!session || session.expires < Date.now()) return undefined;
    const isSame = session.from.full === from.full && session.at === at && session.place === place && session.command === command;
    return isSame ? session : undefined;
  }

  /** Gives the time for another form. False when the session was closed meanwhile. */
  renew(session: CommandSession): boolean {
    if (this.#open.get(session.id) !== session) return false;
    this.close(session);
    this.#put(session);
    return true;
  }

  /** Closes a session; one that is closed already is left as it is. */
  close(session: CommandSession): void {
    if (!this.#open.delete(session.id)) return;
    const mine = this.#byAccount.get(session.from.bare);
    mine?.delete(session);
    if (mine?.size === 0) this.#byAccount.delete(session.from.bare);
  }

  /** Closes all of a command that is offered no more. */
  closeAllOf(command: unknown): void {
    for (const session of this.#open.values()) if (session.command === command) this.close(session);
  }

  /** Closes those whose time is over. */
  forgetExpired(): void {
    const now = Date.now();
    for (const session of this.#open.values()) {
      if (session.expires >= now) return;
      this.close(session);
    }
  }

  #count({ bare }: Jid): number {
    return this.#byAccount.get(bare)?.size ?? 0;
  }

  #put(session: CommandSession): void {
    session.expires = Date.now() + this.#limits.timeout;
    this.#open.set(session.id, session);
    const { bare } = session.from;
    const mine = this.#byAccount.get(bare);
    if (mine) mine.add(session);
    else this.#byAccount.set(bare, new Set([session]));
  }
}
