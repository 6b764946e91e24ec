// XEP-0313: what an account sends and receives is kept, so that each of its devices can catch up with what it has missed.
import {
  type ArchiveStore,
  after,
  archiveStore,
  defineModule,
  isSession,
  type Jid,
  type Maybe,
  mapStore,
  option,
  Priority,
  type Session,
  Signal,
} from '#core';
import commands from '../commands/index.ts';
import roster from '../roster/index.ts';
import { configureCommand } from './configure.ts';
import { POLICIES, Preferences, type StoredPreferences } from './preferences.ts';
import { ArchiveQueries, NS_MAM as NS, NS_FULLTEXT, type PageRead } from './query/index.ts';
import { NS_SID, Recorder, refuseOthers, type Stored } from './recorder.ts';
import { purge } from './retention.ts';
import { RETRACTION_FEATURES, Retractions, readRetraction } from './retraction.ts';

export { ArchiveQueries, type Item as ArchiveItemOf } from './query/index.ts';
export type { Stored } from './recorder.ts';
export {
  type Found,
  NS_RETRACT,
  RETRACTION_FEATURES,
  type Reference,
  Retractions,
  readReference,
  toTombstoneTag,
  writeTombstone,
} from './retraction.ts';
export { TAG } from './tag.ts';
export { judge } from './worth.ts';

const NS_RSM = 'http://jabber.org/protocol/rsm';
/** Accounts known to exist that are remembered. */
const KNOWN = 10_000;
const HOUR = 3_600_000;

/** A client reads the archive of its account. */
export interface Reading {
  readonly session: Session;
  /** Whether it has come to the end: it has, or is now being sent, all that it wants. */
  readonly reachedEnd: boolean;
  /** What it is being sent now, ascending. */
  readonly ids: readonly string[];
}

/** What other modules get from this one. */
export interface MamApi {
  /** The archives of all accounts; an owner is the local part of an account. */
  readonly messages: ArchiveStore;
  /** Told once a message is durable, and once more when a tombstone (TAG.tombstone) has taken its place. */
  readonly stored: Signal<Stored>;
  /** Told before a client is sent what it asks for. */
  readonly reading: Signal<Reading>;
  /** The archive id of the newest message of a conversation (with a bare JID) that has this id and was sent by the other party. */
  find(owner: string, other: string, messageId: string): Promise<string | undefined>;
}

export default defineModule({
  name: 'mam',
  doc: 'Message archive: keeps what accounts send and receive, for all their devices.',
  xeps: [
    { xep: 59, version: '1.0' },
    { xep: 82, version: '1.1.1' },
    { xep: 313, version: '1.1.3' },
    { xep: 334, version: '1.0.0' },
    { xep: 359, version: '0.7.0' },
    { xep: 424, version: '0.4.2' },
    { xep: 431, version: '0.2.0' },
    { xep: 441, version: '0.2.0' },
  ],
  wants: [commands, roster],
  config: option.object({
    default: option.choice(POLICIES, {
      default: 'always',
      doc: 'What is archived of users who have not chosen (XEP-0441): all, nothing, or what is exchanged with contacts.',
    }),
    keepFor: option.duration({
      default: 0,
      doc: 'Messages older than this are thrown away; 0 for never. Users may choose a shorter time.',
    }),
    maxItems: option.integer({
      default: 0,
      min: 0,
      doc: 'Messages kept for one account, beyond which the oldest go; 0 for any number.',
    }),
    maxPage: option.integer({ default: 250, min: 10, max: 1000, doc: 'Messages sent for one query at most.' }),
    searchLimit: option.integer({
      default: 20_000,
      min: 100,
      max: 1_000_000,
      doc: 'Messages looked at for one query that looks for words; the client goes on from there when it wants.',
    }),
    groupchat: option.boolean({
      default: false,
      doc: 'Whether what is said in rooms is kept for each account, and not only by the rooms.',
    }),
  }),
  stores: { messages: archiveStore({ isBusy: true }), preferences: mapStore<StoredPreferences>() },

  setup({ accounts, cache, config, defer, disco, domain, every, hooks, iq, log, on, router, stopping, stores, use }): MamApi {
    const { messages } = stores;
    const contacts = use(roster);
    const report = (signal: string, error: unknown) => log.error('a listener failed', { signal, error });
    const stored = new Signal<Stored>('stored', report);
    const reading = new Signal<Reading>('reading', report);
    const preferences = new Preferences({ store: stores.preferences, cache, policy: config.default, keepFor: config.keepFor });
    const known = cache('known', (username) => accounts.exists(username), KNOWN);
    const recorder = new Recorder({ domain, messages, router, keepsGroupchat: config.groupchat, stored, exists, isWanted });
    const queries = new ArchiveQueries({
      messages,
      log,
      maxPage: config.maxPage,
      searchLimit: config.searchLimit,
      stopping,
      settled: recorder.settled,
      onPage,
    });
    const retractions = new Retractions(messages, (tombstone) => stored.emit(tombstone));
    let purging: Promise<unknown> = Promise.resolve();

    on(hooks.messageSent, recorder.cleanSent, Priority.amend);
    on(hooks.messageReceived, recorder.cleanReceived, Priority.amend);
    on(hooks.messageSent, recorder.recordSent, Priority.record);
    on(hooks.messageReceived, recorder.recordReceived, Priority.record);
    on(hooks.iqReceived, (env) => refuseOthers(env, NS), Priority.guard);
    iq.get('self', NS, 'prefs', preferences.show);
    iq.set('self', NS, 'prefs', preferences.change);
    iq.get('self', NS, 'query', () => queries.showForm());
    iq.get('self', NS, 'metadata', ({ from }) => queries.showMetadata(from.local));
    iq.set('self', NS, 'query', (query) => queries.query({ owner: query.from.local, archive: query.from.bareJid, query }));
    on(stored, retract);
    for (const feature of featuresOf(config.groupchat)) disco.feature('account', feature);
    for (const feature of [NS_SID, ...RETRACTION_FEATURES]) disco.feature('server', feature);
    const withdraw = use(commands)?.offer(configureCommand({ domain, preferences, keepFor: config.keepFor }));
    if (withdraw) defer(withdraw);
    every(HOUR, tidy);
    defer(() =>
      purging.then(
        () => {},
        () => {},
      ),
    );

    /** Whoever has a client here exists; guests have nothing that could be kept for them. */
    function exists(username: string): Maybe<boolean> {
      const [client] = router.resources(`${username}@${domain}`);
      if (client && isSession(client)) return !client.isAnonymous;
      return after(known.get(username), (isThere) => {
        // Only those who exist are remembered: others may be made at any time.
        if (!isThere) known.drop(username);
        return isThere;
      });
    }

    function isWanted(username: string, other: Jid): Maybe<boolean> {
      return preferences.isWanted(username, other, () => isContact(username, other.bare));
    }

    function isContact(username: string, bare: string): Maybe<boolean> {
      // Notes to oneself are not for strangers.
      if (bare === `${username}@${domain}`) return true;
      return contacts ? after(contacts.of(username), (list) => list.get(bare) !== undefined) : false;
    }

    /** In the background: nobody waits for a search (XEP-0424 section 4). */
    function retract({ owner, with: other, id, stanza }: Stored): Promise<void> | undefined {
      return readRetraction(stanza) && retractions.retract(owner, other, stanza, id).then(() => {});
    }

    function onPage({ origin, ids, reachedEnd }: PageRead): void {
      if (isSession(origin)) reading.emit({ session: origin, ids, reachedEnd });
    }

    async function tidy(): Promise<void> {
      const task = purge({
        messages,
        keepForOf: (owner) => preferences.keepFor(owner),
        maxItems: config.maxItems,
        log,
        stopping,
      });
      purging = task;
      await task;
    }

    return {
      messages,
      reading,
      stored,
      find: async (owner, other, messageId) => (await retractions.find(owner, other, messageId, other))?.item.id,
    };
  },
});

function featuresOf(keepsGroupchat: boolean): readonly string[] {
  const groupchat = keepsGroupchat ? [`${NS}#groupchat-available`] : [];
  return [NS, `${NS}#extended`, `${NS}#groupchat-field`, ...groupchat, NS_FULLTEXT, NS_RSM, NS_SID, ...RETRACTION_FEATURES];
}
