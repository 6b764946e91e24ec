import { Jid, type Maybe } from '#core';
import type { Roster, RosterApi } from '../roster/index.ts';
import type { Trust } from './access.ts';

/** How entities stand to accounts of this host, by their rosters. Without rosters everybody is a stranger to everybody else. */
export class RosterTrust implements Trust {
  readonly #rosters: RosterApi | undefined;
  readonly #domain: string;

  constructor(rosters: RosterApi | undefined, domain: string) {
    this.#rosters = rosters;
    this.#domain = domain;
  }

  seesPresence(owners: readonly string[], entity: Jid): Maybe<boolean> {
    if (owners.includes(entity.bare)) return true;
    return this.#fold(owners, false, (found, roster) => found || roster.get(entity.bare)?.isSubscriber === true);
  }

  groupsOf(owners: readonly string[], entity: Jid): Maybe<readonly string[]> {
    const none: readonly string[] = [];
    return this.#fold(owners, none, (found, roster) => {
      const contact = roster.get(entity.bare);
      return contact?.isSubscriber ? [...found, ...contact.groups] : found;
    });
  }

  /** At once while the rosters are in memory. */
  #fold<T>(owners: readonly string[], first: T, next: (found: T, roster: Roster) => T): Maybe<T> {
    let found = first;
    for (let i = 0; i < owners.length; i++) {
      const roster = this.#rosterOf(owners[i]!);
      if (roster instanceof Promise) {
        const rest = owners.slice(i + 1);
        return roster.then((loaded) => this.#fold(rest, loaded ? next(found, loaded) : found, next));
      }
      if (roster) found = next(found, roster);
    }
    return found;
  }

  #rosterOf(owner: string): Maybe<Roster | undefined> {
    const { local, domain } = Jid.parse(owner);
    return domain === this.#domain && local !== '' ? this.#rosters?.of(local) : undefined;
  }
}
