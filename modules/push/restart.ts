// What is not told yet when the server is stopped, and is when it runs again.
import { setImmediate } from 'node:timers/promises';
import { isSession, type MapStore, type Router } from '#core';
import type { Notifier, Untold } from './notifier.ts';
import type { Notice } from './payload.ts';
import type { Registrations, StoredRegistration } from './registrations.ts';
import type { Unconfirmed } from './unconfirmed.ts';

/** Accounts looked up at once. */
const OWNERS = 1000;

/** Writes down what waits for its turn. */
export async function keepUntold(store: MapStore<Notice>, untold: readonly Untold[]): Promise<void> {
  await Promise.all(untold.map(({ username, key, notice }) => store.update(username, new Map([[key, notice]]))));
}

/** What it takes to go on. */
export interface RestartParts {
  readonly domain: string;
  readonly router: Router;
  readonly stopping: AbortSignal;
  readonly stores: { readonly untold: MapStore<Notice>; readonly registrations: MapStore<StoredRegistration> };
  readonly registrations: Registrations;
  readonly notifier: Notifier;
  readonly unconfirmed: Unconfirmed;
}

/** Tells what was written down, and follows what clients of before have not confirmed. */
export async function goOn({
  domain,
  router,
  stopping,
  stores,
  registrations,
  notifier,
  unconfirmed,
}: RestartParts): Promise<void> {
  for await (const username of ownersOf(stores.untold, stopping)) {
    const untold = await stores.untold.entries(username);
    await stores.untold.clear(username);
    const account = await registrations.of(username);
    for (const [key, notice] of untold) {
      const registration = account.find(key);
      if (registration) notifier.notify(username, registration, notice);
    }
  }
  for await (const username of ownersOf(stores.registrations, stopping)) {
    for (const each of router.resources(`${username}@${domain}`)) if (isSession(each) && each.keeper) unconfirmed.watch(each);
  }
}

/** All owners, as long as the module is not stopped; others have their turn between two pages. */
async function* ownersOf(store: MapStore<unknown>, stopping: AbortSignal): AsyncGenerator<string> {
  for (let after: string | undefined; ; ) {
    const owners = await store.owners(after, OWNERS);
    for (const owner of owners) {
      if (stopping.aborted) return;
      yield owner;
    }
    if (owners.length < OWNERS) return;
    after = owners.at(-1);
    await setImmediate();
  }
}
