// RFC 6121 section 2: each account's list of contacts, kept by the server and the same for all of its clients.
import {
  after,
  defineModule,
  type Element,
  type Envelope,
  type FeaturesOffer,
  fanOut,
  isSession,
  Jid,
  type Maybe,
  mapStore,
  option,
  Priority,
  type Query,
  type Resource,
  type Session,
  Signal,
  Stanza,
  StanzaError,
  xml,
} from '#core';
import type { Contact } from './contact.ts';
import { type ContactSource, type GivenChange, GivenContacts } from './given.ts';
import { readRequest } from './request.ts';
import { Roster, type RosterParts, type StoredRoster } from './roster.ts';
import { Rosters } from './rosters.ts';

export { Contact, type Given, STATE, type Subscription } from './contact.ts';
export type { ContactSource, GivenChange } from './given.ts';
export type { Change, ChangeOptions, Roster } from './roster.ts';

const NS = 'jabber:iq:roster';
const NS_VERSIONS = 'urn:xmpp:features:rosterver';

/** A contact that its owner has taken out of the roster. */
export interface Removal {
  /** The owner's bare JID. */
  readonly account: Jid;
  /** As it was. */
  readonly contact: Contact;
}

/** What other modules get from this one. */
export interface RosterApi {
  /** The roster of a local account; at once when it is in memory, as it is while the account is online. */
  of(username: string): Maybe<Roster>;
  /** Whether this entity may see the presence of a local account: the account itself, its subscribers, and who watches it. */
  sharesPresence(username: string, entity: Jid): Maybe<boolean>;
  /** The clients of an account that have asked for its roster (RFC 6121 section 2.2). */
  interested(bare: string): readonly Resource[];
  /** Told once a removal is durable and clients know. */
  readonly removed: Signal<Removal>;
  /**
   * Lets a source give contacts to accounts that they have not made themselves; returns what takes it back. They are merged with the
   * owners' own, and cannot be removed by them. Rosters in memory have them once the source has asked for a `refresh`.
   */
  provide(source: ContactSource): () => void;
  /** What the source gives to these accounts has changed, or to all. Resolves when clients that are online have been told. */
  refresh(usernames?: readonly string[]): Promise<void>;
  /** Told of a contact that somebody was given, or is given no more; by what `provide` and `refresh` do, once all of that is durable. */
  readonly given: Signal<GivenChange>;
  /** Bare JIDs that see an account's presence and are not among its contacts, so far as they are online. */
  watchersOf(username: string): Iterable<string>;
  /** Whether a bare JID is one of those, online or not. */
  isWatched(username: string, bare: string): boolean;
}

export default defineModule({
  name: 'roster',
  doc: 'Rosters: the contacts of each account, with names and groups, the same for all of its clients.',
  features: [NS],
  config: option.object({
    maxContacts: option.integer({ default: 2000, min: 1, max: 20_000, doc: 'Contacts one account may have.' }),
    maxGroups: option.integer({ default: 50, min: 1, max: 1000, doc: 'Groups one contact may be in.' }),
    maxNameBytes: option.bytes({ default: 1024, min: 64, max: '64KiB', doc: "Size of a contact's name, and of a group's." }),
    maxRequests: option.integer({
      default: 500,
      min: 1,
      max: 100_000,
      doc: 'Strangers whose request to see the presence of one account may wait for an answer.',
    }),
    cached: option.integer({
      default: 10_000,
      min: 100,
      doc: 'Rosters kept in memory. Those of accounts that are online are kept in any case.',
    }),
  }),
  /** Of each user: contacts by bare JID, and what concerns the whole. */
  stores: { contacts: mapStore<StoredRoster>() },

  setup({ config, defer, domain, hooks, iq, log, on, router, signals, slot, stores: { contacts } }): RosterApi {
    const parts: RosterParts = { store: contacts, limits: config, push };
    const isOnline = (username: string) => router.resources(`${username}@${domain}`).length > 0;
    const report = (signal: string, error: unknown) => log.error('a listener failed', { signal, error });
    const load = (username: string): Promise<Roster> => Roster.load(username, parts).then((roster) => given.complete(roster));
    const rosters = new Rosters(config.cached, load, isOnline);
    const given = new GivenContacts({ rosters, jidOf: (username) => Jid.of(username, domain), report });
    const interest = slot(() => false, { write: Boolean, read: Boolean });
    const removed = new Signal<Removal>('removed', report);
    /** Clients that are about to be sent what they have missed, and that. */
    const catchingUp = new Map<Session, Stanza[]>();

    on(hooks.streamFeatures, offerVersions, Priority.serve);
    on(hooks.iqReceived, refuseOthers, Priority.guard);
    on(signals.accountDeleted, ({ username }) => rosters.drop(username));
    defer(() => given.stop());
    iq.get('self', NS, 'query', show);
    iq.set('self', NS, 'query', edit);

    function offerVersions({ stream, features }: FeaturesOffer): void {
      if (stream.username !== undefined) features.push(xml('ver', NS_VERSIONS));
    }

    /**
     * Nobody reads or writes what is another's, whether that account exists or not; and no client is ever sent what looks like a
     * push of its server, which is all that keeps a careless client from believing strangers (RFC 6121 section 2.1.6).
     */
    function refuseOthers({ stanza, from, to }: Envelope): void {
      if (to.local === '' || (stanza.type !== 'set' && stanza.type !== 'get') || !stanza.has('query', NS)) return;
      const isOwn = to.bare === from.bare && (to.isBare || stanza.type === 'get');
      if (!isOwn) throw new StanzaError('forbidden');
    }

    function show({ payload, from, env: { origin } }: Query): Maybe<Element | void> {
      const known: unknown = payload.attrs['ver'];
      const session = isSession(origin) ? origin : undefined;
      return after(rosters.get(from.local), (roster): Element | void => {
        const missed = session && typeof known === 'string' ? roster.changesSince(known) : undefined;
        if (session && missed) return catchUp(session, roster, missed);
        if (session) interest.set(session, true);
        const ver = known === undefined ? undefined : roster.version;
        const items = [...roster.contacts].filter(({ isListed }) => isListed).map((contact) => contact.toItem());
        return xml('query', { xmlns: NS, ver }, ...items);
      });
    }

    /** RFC 6121 section 2.6.3: an empty result, and behind it a push for each change, with those that come until then at the end. */
    function catchUp(session: Session, roster: Roster, missed: readonly Contact[]): void {
      const pushes = missed.map((contact) => writePush(roster, contact));
      catchingUp.set(session, pushes);
      setImmediate(() => {
        // Another request may have come in the same turn, and has the same answer.
        if (catchingUp.get(session) === pushes) catchingUp.delete(session);
        if (session.isClosed) return;
        for (const stanza of pushes) fanOut(stanza, [session]);
        interest.set(session, true);
      });
    }

    async function edit({ from, payload }: Query): Promise<void> {
      const { jid, isRemoval, name, groups } = readRequest(payload, config);
      if (jid.bare === from.bare) throw new StanzaError('not-allowed', { text: 'Nobody is their own contact' });
      const roster = await rosters.get(from.local);
      if (isRemoval) return remove(from, roster, jid);
      await roster.change(jid.bare, (contact) => contact.named(name, groups), { alwaysPush: true });
    }

    async function remove(from: Jid, roster: Roster, jid: Jid): Promise<void> {
      const { before } = await roster.change(jid.bare, (contact) => {
        if (!contact.isListed) throw new StanzaError('item-not-found');
        if (contact.given) throw new StanzaError('not-allowed', { text: 'This contact is in a group of the server' });
        return contact.removed();
      });
      removed.emit({ account: from.bareJid, contact: before });
    }

    function push(roster: Roster, contact: Contact): void {
      const { bare } = Jid.of(roster.username, domain);
      for (const [session, pushes] of catchingUp) if (session.jid.bare === bare) pushes.push(writePush(roster, contact));
      const clients = interested(bare).filter((client) => !isSession(client) || !catchingUp.has(client));
      if (clients.length > 0) fanOut(writePush(roster, contact), clients);
    }

    function interested(bare: string): readonly Resource[] {
      return router.resources(bare).filter((resource) => isSession(resource) && interest.peek(resource) === true);
    }

    return {
      of: (username) => rosters.get(username),
      sharesPresence(username, entity) {
        if (entity.domain === domain && entity.local === username) return true;
        return after(
          rosters.get(username),
          (roster) => roster.get(entity.bare)?.isSubscriber === true || given.isWatched(username, entity.bare),
        );
      },
      interested,
      removed,
      provide: (source) => given.provide(source),
      refresh: (usernames) => given.refresh(usernames),
      given: given.changed,
      watchersOf: (username) => given.watchersOf(username),
      isWatched: (username, bare) => given.isWatched(username, bare),
    };
  },
});

/** RFC 6121 section 2.1.6. */
function writePush(roster: Roster, contact: Contact): Stanza {
  const ver = roster.versionOf(contact);
  return Stanza.of(xml('iq', { type: 'set', id: `push-${ver}` }, xml('query', { xmlns: NS, ver }, contact.toItem())));
}
