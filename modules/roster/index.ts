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
import { readRequest } from './request.ts';
import { Roster, type RosterParts, type StoredRoster } from './roster.ts';
import { Rosters } from './rosters.ts';

export { Contact, STATE, type Subscription } from './contact.ts';
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
  /** Whether this entity may see the presence of a local account: the account itself, and its subscribers. */
  sharesPresence(username: string, entity: Jid): Maybe<boolean>;
  /** The clients of an account that have asked for its roster (RFC 6121 section 2.2). */
  interested(bare: string): readonly Resource[];
  /** Told once a removal is durable and clients know. */
  readonly removed: Signal<Removal>;
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

  setup({ config, domain, hooks, iq, log, on, router, signals, slot, stores: { contacts } }): RosterApi {
    const parts: RosterParts = { store: contacts, limits: config, push };
    const isOnline = (username: string) => router.resources(`${username}@${domain}`).length > 0;
    const rosters = new Rosters(config.cached, (username) => Roster.load(username, parts), isOnline);
    const interest = slot(() => false, { write: Boolean, read: Boolean });
    const removed = new Signal<Removal>('removed', (signal, error) => log.error('a listener failed', { signal, error }));

    on(hooks.streamFeatures, offerVersions, Priority.serve);
    on(hooks.iqReceived, refuseOthers, Priority.guard);
    on(signals.accountDeleted, ({ username }) => rosters.drop(username));
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
        if (session && typeof known === 'string' && roster.changesSince(known)) return catchUp(session, roster, known);
        if (session) interest.set(session, true);
        const ver = known === undefined ? undefined : roster.version;
        const items = [...roster.contacts].filter(({ isListed }) => isListed).map((contact) => contact.toItem());
        return xml('query', { xmlns: NS, ver }, ...items);
      });
    }

    /** RFC 6121 section 2.6.3: an empty result, and behind it a push for each change. Until then no others, to keep their order. */
    function catchUp(session: Session, roster: Roster, known: string): void {
      setImmediate(() => {
        if (session.isClosed) return;
        for (const contact of roster.changesSince(known) ?? []) fanOut(writePush(roster, contact), [session]);
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
        return contact.removed();
      });
      removed.emit({ account: from.bareJid, contact: before });
    }

    function push(roster: Roster, contact: Contact): void {
      const clients = interested(Jid.of(roster.username, domain).bare);
      if (clients.length > 0) fanOut(writePush(roster, contact), clients);
    }

    function interested(bare: string): readonly Resource[] {
      return router.resources(bare).filter((resource) => isSession(resource) && interest.peek(resource) === true);
    }

    return {
      of: (username) => rosters.get(username),
      sharesPresence(username, entity) {
        if (entity.domain === domain && entity.local === username) return true;
        return after(rosters.get(username), (roster) => roster.get(entity.bare)?.isSubscriber === true);
      },
      interested,
      removed,
    };
  },
});

/** RFC 6121 section 2.1.6. */
function writePush(roster: Roster, contact: Contact): Stanza {
  const ver = roster.versionOf(contact);
  return Stanza.of(xml('iq', { type: 'set', id: `push-${ver}` }, xml('query', { xmlns: NS, ver }, contact.toItem())));
}
