import { setTimeout } from 'node:timers/promises';

/** How much longer than the telling has taken others have their turn. */
const SHARE = 20;

/** What it takes to tell of changes. */
export interface AnnouncerParts {
  /** Does something for an account when its turn has come. */
  inTurn(username: string, work: () => Promise<void>): Promise<void>;
  /** Tells of what has become of an account's bookmarks, all at once. */
  announce(username: string): Promise<void>;
  failed(error: unknown): void;
  readonly stopping: AbortSignal;
}

/**
 * Tells clients of the older specification of changes: each time of all bookmarks there are. Changes that come one upon the other are told
 * together, so that many of them, where there are many bookmarks, cost no more than a small part of the time.
 */
export class Announcer {
  readonly #parts: AnnouncerParts;
  /** Accounts whose changes are being told, and whether there are more. */
  readonly #busy = new Map<string, boolean>();

  constructor(parts: AnnouncerParts) {
    this.#parts = parts;
  }

  /** Something has changed for an account. */
  readonly note = (username: string): void => {
    const isBusy = this.#busy.has(username);
    this.#busy.set(username, true);
    if (isBusy) return;
    const { failed, stopping } = this.#parts;
    this.#run(username)
      .catch((error: unknown) => void (stopping.aborted || failed(error)))
      .finally(() => this.#busy.delete(username));
  };

  async #run(username: string): Promise<void> {
    const { inTurn, announce, stopping } = this.#parts;
    while (this.#busy.get(username)) {
      let begun = 0;
      await inTurn(username, () => {
        this.#busy.set(username, false);
        begun = performance.now();
        return announce(username);
      });
      const taken = performance.now() - begun;
      await setTimeout(taken * SHARE, undefined, { ref: false, signal: stopping });
    }
  }
}
