import type { Accounts, Log, MapStore } from '#core';
import { isGuestName } from '#core';
import type { CardNames, VCardApi } from '../vcard/index.ts';
import { Directory, type Term } from './directory.ts';

/** Where a choice is kept: whether its user wants to be found. */
const CHOICE = 'listed';
/** Users read at once. */
const PAGE = 500;
const NAMELESS: CardNames = {};

/** What keeping the directory needs. */
export interface ListingParts {
  readonly accounts: Accounts;
  readonly vcards: VCardApi;
  /** Of each user who has chosen. */
  readonly choices: MapStore<boolean>;
  readonly log: Log;
  readonly stopping: AbortSignal;
  /** Whether those are found who have not chosen. */
  readonly isOptOut: boolean;
  /** Those among them who have no vCard, too. */
  readonly listAll: boolean;
  readonly maxUsers: number;
}

/** Who is found: the directory in memory, made from what the database has and then kept up with it. */
export class Listing {
  readonly #parts: ListingParts;
  readonly #directory = new Directory();
  /** One change after the other, behind the making of it: each reads what is stored then. */
  #turn: Promise<void>;
  #isFull = false;

  constructor(parts: ListingParts) {
    this.#parts = parts;
    this.#turn = this.#build();
  }

  /** How many can be found now. */
  get size(): number {
    return this.#directory.size;
  }

  /** Whether a user is found, so far as that is their choice. */
  async isListed(username: string): Promise<boolean> {
    return (await this.#parts.choices.get(username, CHOICE)) ?? this.#parts.isOptOut;
  }

  /** A user chooses. Resolves when it is durable and holds. */
  async choose(username: string, isListed: boolean): Promise<void> {
    await this.#parts.choices.update(username, new Map([[CHOICE, isListed]]));
    await this.update(username);
  }

  /** Something has become of a user: they have another vCard, have come or gone. Resolves once searches know. */
  update(username: string): Promise<void> {
    this.#turn = this.#turn.then(() => this.#update(username)).catch((error: unknown) => this.#report(error));
    return this.#turn;
  }

  /** Those for whom all terms are true, by username: as of now, so that who has changed something finds it changed. */
  async find(terms: readonly Term[], max: number): Promise<readonly string[]> {
    await this.#turn;
    return this.#directory.find(terms, max);
  }

  /** Resolves when nothing is under way. */
  settled(): Promise<void> {
    return this.#turn;
  }

  async #update(username: string): Promise<void> {
    const { accounts, choices, vcards, isOptOut, listAll } = this.#parts;
    const choice = await choices.get(username, CHOICE);
    const names = await vcards.namesOf(username);
    const isListed = choice ?? (isOptOut && (names !== undefined || listAll));
    if (isListed && !isGuestName(username) && (await accounts.exists(username))) this.#put(username, names ?? NAMELESS);
    else this.#directory.remove(username);
  }

  async #build(): Promise<void> {
    try {
      await this.#fill();
      this.#parts.log.debug('the directory of users is made', { users: this.size });
    } catch (error) {
      this.#report(error);
    }
  }

  /** By pages, so that others have their turn: those with a vCard, those without one who want to be listed, and the rest. */
  async #fill(): Promise<void> {
    const { accounts, stopping, vcards, isOptOut, listAll } = this.#parts;
    const chosen = await this.#readChoices();
    for (let after: string | undefined; !stopping.aborted; ) {
      const page = await vcards.names(after, PAGE);
      for (const [username, names] of page) if (chosen.get(username) ?? isOptOut) this.#put(username, names);
      after = page.at(-1)?.[0];
      if (after === undefined) break;
    }
    for (const [username, isListed] of chosen) {
      if (isListed && !this.#directory.has(username)) this.#put(username, NAMELESS);
    }
    if (!isOptOut || !listAll) return;
    for (const { username } of await accounts.list()) {
      if (!chosen.has(username) && !this.#directory.has(username)) this.#put(username, NAMELESS);
    }
  }

  async #readChoices(): Promise<ReadonlyMap<string, boolean>> {
    const chosen = new Map<string, boolean>();
    for (let after: string | undefined; ; ) {
      const page = await this.#parts.choices.scan(CHOICE, after, PAGE);
      for (const [username, isListed] of page) chosen.set(username, isListed);
      after = page.at(-1)?.[0];
      if (after === undefined) return chosen;
    }
  }

  #put(username: string, names: CardNames): void {
    if (this.#directory.size < this.#parts.maxUsers || this.#directory.has(username)) return this.#directory.put(username, names);
    if (!this.#isFull) this.#parts.log.warn('the directory of users is full', { maxUsers: this.#parts.maxUsers });
    this.#isFull = true;
  }

  #report(error: unknown): void {
    if (!this.#parts.stopping.aborted) this.#parts.log.error('the directory of users is not complete', { error });
  }
}
