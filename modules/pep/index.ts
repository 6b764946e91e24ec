// XEP-0163: each account is a publish-subscribe service of its own, whose nodes are what its clients keep there for themselves, for each
// other, and for contacts.
import {
  after,
  type DiscoQuestion,
  defineModule,
  type Element,
  type Envelope,
  fanOut,
  HANDLED,
  isGuestName,
  isSession,
  Jid,
  type Log,
  type Maybe,
  option,
  Priority,
  type Query,
  type Router,
  type Session,
  Stanza,
  StanzaError,
  sortableId,
  type Verdict,
  type XmlText,
  xml,
} from '#core';
import caps from '../caps/index.ts';
import presence from '../presence/index.ts';
import { NS_EVENT, NS_OWNER } from '../pubsub/errors.ts';
import { Counter, DEFAULTS, type Item, NODE_STORES, type NodeConfig, NS_PUBSUB, type Place, showsOf } from '../pubsub/index.ts';
import { ACCOUNT_FEATURES, describeNode, listItems, listNodes, SERVER_FEATURES } from '../pubsub/info.ts';
import { RosterTrust } from '../pubsub/trust.ts';
import roster from '../roster/index.ts';
import { isAvailable, Listeners } from './audience.ts';
import { Greeter, NO_INTERESTS } from './greeting.ts';

/** Milliseconds between two looks for items that have become too old. */
const EXPIRE_EVERY = 3_600_000;

/** A node that a module keeps itself. */
export interface Provider {
  /** Answers requests of the account itself. */
  show(query: Query): Maybe<Element>;
  change(query: Query): Maybe<Element | XmlText | void>;
}

/** What other modules get from this one. */
export interface PepApi {
  /** What can be done with nodes; its signals tell of what happens to those of all accounts. */
  readonly counter: Counter;
  /** The nodes of an account; at once when they are in memory. */
  placeOf(username: string): Maybe<Place>;
  /**
   * Publishes in the name of an account: one item. A node that is not there is made with this configuration, and the usual one for what
   * is left out. Resolves once it is durable and told.
   */
  publish(username: string, node: string, item: Pick<Item, 'id' | 'value'>, config?: Partial<NodeConfig>): Promise<void>;
  /** Removes items of an account; those that are not there are passed over. */
  retract(username: string, node: string, ids: readonly string[]): Promise<void>;
  /** The items of a node, oldest first; those of these ids where some are given. None when there is no such node. */
  items(username: string, node: string, ids?: readonly string[]): Promise<readonly Item[]>;
  /** The last item of a node; undefined when there is none. */
  last(username: string, node: string): Promise<Item | undefined>;
  /**
   * Says how a node of this name is made where its client does not say it, such as one that is nobody else's business. Returns what takes
   * that back.
   */
  prefer(node: string, config: Partial<NodeConfig>): () => void;
  /**
   * Tells the account's interested clients of what a module keeps: the child of `event`, which is only made when there is somebody to tell.
   * Those that are just being asked what they are interested in are told as soon as they have said it.
   */
  tell(username: string, node: string, write: (clients: readonly Session[]) => Maybe<Element>): Promise<void>;
  /** Lets a module answer for a node of every account, as its own keeper; nobody else reads it. Returns what takes that back. */
  provide(node: string, provider: Provider): () => void;
}

/** What that takes. */
interface ApiParts {
  readonly counter: Counter;
  readonly domain: string;
  readonly listeners: Listeners;
  readonly log: Log;
  readonly placeOf: PepApi['placeOf'];
  readonly preferred: Map<string, Partial<NodeConfig>>;
  readonly providers: Map<string, Provider>;
  readonly router: Router;
}

export default defineModule({
  name: 'pep',
  doc: 'Personal eventing: what clients keep at the account, such as avatars, keys and bookmarks, and tell contacts of.',
  xeps: [
    { xep: 60, version: '1.30.0' },
    { xep: 163, version: '1.2.2' },
  ],
  needs: [caps],
  wants: [presence, roster],
  config: option.object({
    maxNodes: option.integer({ default: 500, min: 10, max: 100_000, doc: 'Nodes of one account.' }),
    maxItems: option.integer({ default: 10_000, min: 10, max: 1_000_000, doc: 'Items kept of one node at most.' }),
    maxPayload: option.bytes({ default: '256KiB', min: 1024, max: '16MiB', doc: 'Size of one item.' }),
    maxMembers: option.integer({
      default: 1000,
      min: 10,
      max: 100_000,
      doc: 'People who may have subscribed to one node, or have an affiliation with it.',
    }),
    maxPage: option.integer({ default: 1000, min: 10, max: 10_000, doc: 'Items sent at once.' }),
  }),
  stores: NODE_STORES,

  setup(ctx): PepApi {
    const { accounts, config, disco, domain, every, hooks, iq, log, on, router, signals, slot, stopping, stores, use } = ctx;
    const features = use(caps);
    const rosters = use(roster);
    const trust = new RosterTrust(rosters, domain);
    const listeners = new Listeners({ caps: features, router, rosters, trust, domain, audience: use(presence)?.audience });
    const defaults: NodeConfig = { ...DEFAULTS, accessModel: 'presence', maxItems: 1, maxPayload: config.maxPayload };
    const preferred = new Map<string, Partial<NodeConfig>>();
    const counter = new Counter({
      router,
      log,
      stores,
      limits: config,
      defaultsFor: (node) => ({ ...defaults, ...preferred.get(node) }),
      trust,
      mayCreate: ({ jid }, by) => jid.bare === by.bare,
      audience: ({ jid }, node, members) => listeners.of(jid, node, members),
      hidesFrom: ({ jid }, entity) => after(listeners.visibility(jid), (seen) => !seen.includes(entity)),
      shows: (entity) => showsOf(router, entity, domain),
    });
    const greeter = new Greeter({
      counter,
      caps: features,
      rosters,
      trust,
      listeners,
      domain,
      log,
      greeted: slot(() => ({ interests: NO_INTERESTS }), {
        write: ({ interests }) => [...interests],
        read: (saved) => ({ interests: new Set(saved as readonly string[]) }),
      }),
      placeOf,
    });
    const providers = new Map<string, Provider>();

    disco.identity('account', { category: 'pubsub', type: 'pep' });
    for (const feature of ACCOUNT_FEATURES) disco.feature('registered', feature);
    // Where some clients look, who take what the server says for what accounts can do.
    disco.identity('server', { category: 'pubsub', type: 'pep' });
    for (const feature of SERVER_FEATURES) disco.feature('server', feature);
    disco.extend({ node: describe, items: list });
    for (const xmlns of [NS_PUBSUB, NS_OWNER]) {
      iq.get('account', xmlns, 'pubsub', (query) => answer('get', query));
      iq.set('account', xmlns, 'pubsub', (query) => answer('set', query));
    }
    on(hooks.messageReceived, takeApproval, Priority.serve);
    on(hooks.presenceSent, forgetOffline, Priority.record);
    on(hooks.presenceReceived, introduce, Priority.record);
    on(features.learned, ({ session }) => session && greeter.greet(session));
    on(signals.sessionAvailable, greeter.greet);
    on(hooks.accountDeleting, ({ username }) => counter.forgetEverywhere(username, Jid.of(username, domain).bare, placeOf), 0);
    on(signals.accountDeleted, ({ username }) => counter.shop.library.drop(username));
    every(EXPIRE_EVERY, () => counter.expire(stopping));

    function placeOf(username: string): Maybe<Place> {
      const jid = Jid.of(username, domain);
      return after(counter.nodesOf(username), (nodes) => ({ jid, nodes }));
    }

    function answer(type: 'get' | 'set', query: Query): Maybe<Element | XmlText | void> {
      const { from, to, payload } = query;
      const isOwn = from.bare === to.bare;
      if (isGuestName(to.local)) throw new StanzaError('service-unavailable');
      const provider = providers.get(counter.nodeIn(type, payload) ?? '');
      if (provider && isOwn && payload.getNS() === NS_PUBSUB)
        return type === 'get' ? provider.show(query) : provider.change(query);
      return after(placeOf(to.local), (place) => counter.take(type, { place, from, payload }));
    }

    /** An owner's answer about who wants to subscribe: from one of the account's own clients, to the account. */
    function takeApproval(env: Envelope): Maybe<Verdict> {
      const { from, to } = env;
      if (to.resource !== '' || to.local === '' || !counter.approval.isAnswer(env)) return;
      return after(placeOf(to.local), async (place) => {
        if (from.bare === to.bare || (await accounts.exists(to.local))) await counter.approval.take(place, env);
        return HANDLED;
      });
    }

    function forgetOffline({ stanza, origin }: Envelope): void {
      if (stanza.type === 'unavailable' && stanza.to === undefined && isSession(origin)) greeter.forget(origin);
    }

    /** An account lets another one see its presence. */
    function introduce({ stanza, from, to }: Envelope): void {
      if (stanza.type !== 'subscribed' || to.local === '' || from.domain !== domain) return;
      // Once what it means has been written down, which other handlers do.
      setImmediate(() => {
        const clients = router.resources(to.bare).filter((client): client is Session => isSession(client));
        greeter.introduce(clients, from.bareJid).catch((error: unknown) => log.error('last items were not sent', { error }));
      });
    }

    function describe({ from, to, node }: DiscoQuestion) {
      if (to.local === '' || node === undefined) return undefined;
      return after(placeOf(to.local), ({ nodes }) => {
        const found = nodes.get(node);
        return found && describeNode(found, from, trust);
      });
    }

    function list({ from, to, node }: DiscoQuestion) {
      if (to.local === '') return [];
      return after(placeOf(to.local), (place) => {
        if (node === undefined) return listNodes(place, from, trust);
        const found = place.nodes.get(node);
        return found ? listItems(found, place, from, trust) : [];
      });
    }

    return openApi({ counter, domain, listeners, log, placeOf, preferred, providers, router });
  },
});

/** What other modules can do. */
function openApi(parts: ApiParts): PepApi {
  const { counter, domain, listeners, log, placeOf, preferred, providers, router } = parts;
  return {
    counter,
    placeOf,
    async publish(username, node, { id, value }, given) {
      await counter.publish(await placeOf(username), node, [{ id, value }], given);
    },
    async retract(username, node, ids) {
      await counter.retract(await placeOf(username), node, ids);
    },
    async items(username, node, ids) {
      const { nodes } = await placeOf(username);
      const page = await nodes.get(node)?.query(ids ? { ids } : {});
      return page?.items ?? [];
    },
    async last(username, node) {
      const { nodes } = await placeOf(username);
      return nodes.get(node)?.last();
    },
    prefer(node, given) {
      preferred.set(node, given);
      return () => void preferred.delete(node);
    },
    async tell(username, node, write) {
      const { bare } = Jid.of(username, domain);
      const send = async (clients: readonly Session[]): Promise<void> => {
        const event = xml('event', NS_EVENT, await write(clients));
        fanOut(Stanza.of(xml('message', { from: bare, type: 'headline', id: sortableId() }, event)), clients);
      };
      for (const decision of listeners.undecided(bare, node)) {
        const told = decision.then((client) => (client && !client.isClosed ? send([client]) : undefined));
        told.catch((error: unknown) => log.error('a client was not told', { node, error }));
      }
      const clients = router
        .resources(bare)
        .filter((client): client is Session => isAvailable(client) && listeners.isInterested(client, node));
      if (clients.length > 0) await send(clients);
    },
    provide(node, provider) {
      if (providers.has(node)) throw new Error(`two modules keep the node ${node}`);
      providers.set(node, provider);
      return () => void providers.delete(node);
    },
  };
}
