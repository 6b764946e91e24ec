// XEP-0060: nodes to which some publish and others subscribe, at a service of their own. Those of accounts are in modules/pep.
import {
  type Jid as Address,
  defineModule,
  isGuestName,
  isSession,
  itemStore,
  Jid,
  mapStore,
  option,
  Priority,
  type Resource,
  type Router,
} from '#core';
import commands from '../commands/index.ts';
import roster from '../roster/index.ts';
import type { NodeConfig } from './config.ts';
import { Counter } from './counter.ts';
import type { StoredNode } from './node.ts';
import { pendingCommand } from './pending.ts';
import type { Place } from './place.ts';
import { PubSubService } from './service.ts';
import { RosterTrust } from './trust.ts';

export type { NodeConfig } from './config.ts';
export { Counter } from './counter.ts';
export { NS_PUBSUB } from './errors.ts';
export type { Audience, Configured, Item, Place, Published, Publishing, Retracted } from './place.ts';

/** Milliseconds between two looks for items that have become too old. */
const EXPIRE_EVERY = 3_600_000;

const CREATORS = ['anyone', 'local', 'admins'] as const;

/** Of a new node of the service, unless the config allows less. */
const MAX_ITEMS = 100;
const MAX_PAYLOAD = 65_536;

/** How a new node is, unless its owner or the module's config says otherwise. */
export const DEFAULTS: NodeConfig = {
  title: '',
  description: '',
  language: '',
  type: '',
  contact: [],
  accessModel: 'open',
  rosterGroups: [],
  publishModel: 'publishers',
  persistItems: true,
  maxItems: MAX_ITEMS,
  itemExpire: 'max',
  maxPayload: MAX_PAYLOAD,
  whenFull: 'retract-oldest',
  subscribe: true,
  deliverNotifications: true,
  deliverPayloads: true,
  notifyConfig: false,
  notifyDelete: true,
  notifyRetract: true,
  notifySub: false,
  presenceBased: false,
  sendLast: 'on_sub_and_presence',
  notificationType: 'headline',
  itemReply: 'none',
};

/** What the nodes of a module are kept in: see Surroundings. */
export const NODE_STORES = {
  nodes: mapStore<StoredNode>(),
  items: itemStore(),
  members: itemStore({ isFoundById: true }),
};

/** What other modules get from this one. */
export interface PubSubApi {
  readonly jid: Address;
  /** The nodes of the service, and what can be done with them. */
  readonly place: Place;
  readonly counter: Counter;
}

export default defineModule({
  name: 'pubsub',
  doc: 'Publish-subscribe: nodes to which some publish and others subscribe.',
  xeps: [{ xep: 60, version: '1.30.0' }],
  wants: [commands, roster],
  config: option.object({
    host: option.string({ default: '', doc: 'The domain of the service; pubsub. in front of that of the host when empty.' }),
    name: option.string({ default: 'Publish-subscribe', doc: 'What clients show as the name of the service.' }),
    create: option.choice(CREATORS, {
      default: 'local',
      doc: 'Who may make nodes: anyone, those with an account here, or admins.',
    }),
    maxNodes: option.integer({ default: 10_000, min: 1, max: 1_000_000, doc: 'Nodes of the service.' }),
    maxItems: option.integer({ default: 10_000, min: 1, max: 10_000_000, doc: 'Items kept of one node at most.' }),
    maxPayload: option.bytes({ default: '256KiB', min: 1024, max: '16MiB', doc: 'Size of one item.' }),
    maxMembers: option.integer({
      default: 10_000,
      min: 10,
      max: 1_000_000,
      doc: 'People who may have subscribed to one node, or have an affiliation with it.',
    }),
    maxPage: option.integer({ default: 100, min: 10, max: 1000, doc: 'Items sent at once.' }),
  }),
  stores: NODE_STORES,

  async setup(ctx): Promise<PubSubApi> {
    const { config, defer, disco, domain, every, hooks, isAdmin, log, on, router, serve, signals, stopping, stores, use } = ctx;
    const jid = Jid.of('', config.host || `pubsub.${domain}`);
    const defaults: NodeConfig = {
      ...DEFAULTS,
      maxItems: Math.min(MAX_ITEMS, config.maxItems),
      maxPayload: Math.min(MAX_PAYLOAD, config.maxPayload),
    };
    const counter = new Counter({
      router,
      log,
      stores,
      limits: config,
      defaultsFor: () => defaults,
      trust: new RosterTrust(use(roster), domain),
      mayCreate: (_, by) => isAdmin(by) || config.create === 'anyone' || (config.create === 'local' && hasAccount(by)),
      audience: () => ({ sessions: [], remote: [], undecided: [] }),
      hidesFrom: () => false,
      shows: (entity) => showsOf(router, entity, domain),
    });
    const place: Place = { jid, nodes: await counter.nodesOf('') };
    const desk = use(commands)?.desk<Place>();

    if (desk) defer(desk.offer(pendingCommand(counter)));
    serve(jid.domain, new PubSubService({ counter, place, name: config.name, desk }));
    disco.extend({ items: ({ to, node }) => (to.local === '' && !node ? [{ jid: jid.domain, name: config.name }] : []) });
    every(EXPIRE_EVERY, () => counter.expire(stopping));
    on(hooks.accountDeleting, ({ username }) => counter.forget(place, Jid.of(username, domain).bare), Priority.record);
    on(signals.sessionAvailable, (session) => sendLast(session.jid));

    function hasAccount(by: Address): boolean {
      return by.domain === domain && !isGuestName(by.local);
    }

    /** Section 12.2: whoever comes online is sent the last item of what they have subscribed to. */
    async function sendLast(client: Jid): Promise<void> {
      for (const name of (await stores.members.find('', client.bare)).keys()) {
        const node = place.nodes.get(name);
        if (node?.config.sendLast === 'on_sub_and_presence') await counter.notifier.lastTo(place, node, client);
      }
    }

    return { jid, place, counter };
  },
});

/** The show values of the clients behind a local address; undefined for others, of whom nobody here knows. */
export function showsOf(router: Router, entity: Address, domain: string): readonly string[] | undefined {
  if (entity.domain !== domain) return undefined;
  const one = entity.resource === '' ? undefined : router.resource(entity);
  const clients = entity.resource === '' ? router.resources(entity.bare) : one ? [one] : [];
  return clients.filter((client) => isSession(client) && client.priority !== undefined).map(showOf);
}

function showOf({ presence }: Resource): string {
  return presence?.text('show')?.trim() || 'online';
}
