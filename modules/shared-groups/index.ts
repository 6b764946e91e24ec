// Roster groups of those who run the host: whoever is in one has the others as contacts and sees their presence, without being asked.
// What XEP-0144 asks of users one by one and clients have to be told to accept, the server does here in its own rosters.
import { defineModule, Jid, option, type Session } from '#core';
import presence from '../presence/index.ts';
import roster from '../roster/index.ts';
import sm from '../sm/index.ts';
import { Groups } from './groups.ts';

export default defineModule({
  name: 'shared-groups',
  doc: 'Shared groups: contacts that the config puts into the rosters of many accounts at once.',
  needs: [presence, roster],
  // Whose sessions outlive a restart is online when this begins.
  wants: [sm],
  config: option.object({
    groups: option.list(
      option.object({
        name: option.string({ minLength: 1, maxLength: 200, doc: 'What clients show as the group.', example: 'Staff' }),
        members: option.list(
          option.checked((text) => Jid.prepareLocal(text), {
            expected: 'a username such as juliet',
            doc: 'A username; no account has to be there yet.',
            example: 'juliet',
          }),
          {
            default: [],
            doc: 'Who is in the group. Members have each other in their rosters and see when the others are online.',
          },
        ),
        all: option.boolean({ default: false, doc: 'Whether all accounts of the host are in it.' }),
        seenBy: option.choice(['members', 'all'], {
          default: 'members',
          doc: 'Who has the group in the roster: its members, or all accounts, who then see when the members are online.',
        }),
      }),
      { default: [], max: 200, doc: 'The groups. A reload tells clients what has changed.' },
    ),
    maxMembers: option.integer({
      default: 1000,
      min: 1,
      max: 20_000,
      doc: 'A group of more members is left out: the rosters of all its members together grow by the square of their number.',
    }),
  }),

  async setup({ accounts, config, defer, domain, log, on, router, signals, use }) {
    const { groups: plans, maxMembers } = config;
    const rosters = use(roster);
    const known = new Set<string>();
    /** Usernames with a client. */
    const online = new Set<string>();
    const groups = new Groups({ domain, plans, accounts: known, maxMembers });
    /** Whose rosters are to be looked at again. */
    const stale = new Set<string>();
    let areAllStale = false;
    let isRefreshing = false;
    let tooBig = '';

    on(signals.sessionBound, ({ jid }) => void online.add(jid.local));
    on(signals.sessionClosed, leave);
    on(signals.accountCreated, ({ username }) => add(username));
    on(signals.accountDeleted, ({ username }) => remove(username));
    const isForAll = Groups.concernAll(plans);
    const found = isForAll ? (await accounts.list()).map(({ username }) => username) : await listMembers();
    for (const username of found) {
      known.add(username);
      if (router.resources(bareOf(username)).length > 0) online.add(username);
    }
    reportTooBig();
    defer(rosters.provide({ contactsOf: (username) => groups.contactsOf(username), watchersOf, isWatched }));
    // What clients say waits as long, so that they see groups change as a whole.
    await rosters.refresh();

    async function listMembers(): Promise<readonly string[]> {
      const named = [...new Set(plans.flatMap(({ members }) => members))];
      const exist = await Promise.all(named.map((username) => accounts.exists(username)));
      return named.filter((_, i) => exist[i]);
    }

    function add(username: string): void {
      const isMember = groups.has(username) || plans.some(({ all }) => all);
      if (!isForAll && !isMember) return;
      known.add(username);
      if (isMember) areAllStale = true;
      else stale.add(username);
      refreshSoon();
    }

    function remove(username: string): void {
      const isNews = groups.has(username);
      online.delete(username);
      if (!known.delete(username) || !isNews) return;
      areAllStale = true;
      refreshSoon();
    }

    /** However many accounts come at once, they are put into the rosters together. */
    function refreshSoon(): void {
      if (isRefreshing) return;
      isRefreshing = true;
      void refresh().finally(() => {
        isRefreshing = false;
      });
    }

    async function refresh(): Promise<void> {
      while (areAllStale || stale.size > 0) {
        const usernames = areAllStale ? undefined : [...stale];
        areAllStale = false;
        stale.clear();
        reportTooBig();
        await rosters.refresh(usernames);
      }
    }

    function reportTooBig(): void {
      const names = groups.tooBig;
      if (names.join() === tooBig) return;
      tooBig = names.join();
      if (names.length > 0) log.warn('groups have too many members, and are in no roster', { groups: names, maxMembers });
    }

    function leave({ jid }: Session): void {
      if (router.resources(jid.bare).length === 0) online.delete(jid.local);
    }

    function* watchersOf(username: string): Iterable<string> {
      if (!groups.isSeenByAll(username)) return;
      for (const viewer of online) if (groups.isSeenBy(username, viewer)) yield bareOf(viewer);
    }

    function isWatched(username: string, bare: string): boolean {
      const at = bare.indexOf('@');
      return at > 0 && bare.slice(at + 1) === domain && groups.isSeenBy(username, bare.slice(0, at));
    }

    function bareOf(username: string): string {
      return Jid.of(username, domain).bare;
    }
  },
});
