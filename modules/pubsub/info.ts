// What nodes say of themselves to service discovery (XEP-0060 sections 5.1 to 5.5 and 10).
import { type DiscoItem, type Element, type Jid, type NodeInfo, writeDateTime, writeForm } from '#core';
import { checkRead, checkSubscribe, isInForce, type Trust } from './access.ts';
import { NS_PUBSUB } from './errors.ts';
import type { Member } from './members.ts';
import type { Node } from './node.ts';
import type { Place } from './place.ts';

const NS_META_DATA = `${NS_PUBSUB}#meta-data`;

/** What can be done here, of the features of section 10, without the namespace in front. */
const COMMON = [
  'auto-create',
  'config-node',
  'config-node-max',
  'create-and-configure',
  'create-nodes',
  'delete-items',
  'delete-nodes',
  'item-ids',
  'last-published',
  'leased-subscription',
  'manage-subscriptions',
  'member-affiliation',
  'meta-data',
  'modify-affiliations',
  'multi-items',
  'outcast-affiliation',
  'persistent-items',
  'presence-notifications',
  'publish',
  'publish-node-full',
  'publish-only-affiliation',
  'publish-options',
  'publisher-affiliation',
  'purge-nodes',
  'retract-items',
  'retrieve-affiliations',
  'retrieve-default',
  'retrieve-default-sub',
  'retrieve-items',
  'retrieve-subscriptions',
  'rsm',
  'subscribe',
  'subscription-notifications',
  'subscription-options',
];

/** The features of a service. Of the access models the default one is named. */
export const SERVICE_FEATURES: readonly string[] = [
  NS_PUBSUB,
  ...[...COMMON, 'access-open', 'get-pending', 'instant-nodes'].sort().map((name) => `${NS_PUBSUB}#${name}`),
];

/** The features of an account (XEP-0163 section 6.1). */
export const ACCOUNT_FEATURES: readonly string[] = [
  NS_PUBSUB,
  ...[...COMMON, 'access-presence', 'auto-subscribe', 'filtered-notifications', 'instant-nodes', 'pubsub-on-a-jid']
    .sort()
    .map((name) => `${NS_PUBSUB}#${name}`),
];

/** Those of them that clients ask the host of the account for. */
export const SERVER_FEATURES: readonly string[] = [
  'auto-create',
  'filtered-notifications',
  'persistent-items',
  'publish',
  'publish-options',
].map((name) => `${NS_PUBSUB}#${name}`);

/** Items that a question about a node is answered with at most. */
const MAX_ITEMS = 250;

/** What a node is, for whoever may subscribe to it. Rejects with StanzaError for others. */
export async function describeNode(node: Node, from: Jid, trust: Trust): Promise<NodeInfo> {
  await checkSubscribe(node, from, trust);
  return {
    identities: [{ category: 'pubsub', type: 'leaf', name: node.config.title || undefined }],
    features: [NS_PUBSUB],
    forms: [await writeMetaData(node)],
  };
}

/** The items of a node by their ids, for whoever may read them. Rejects with StanzaError for others. */
export async function listItems(node: Node, { jid }: Place, from: Jid, trust: Trust): Promise<readonly DiscoItem[]> {
  await checkRead(node, from, trust);
  const { items } = await node.query({ max: MAX_ITEMS, last: true });
  return items.map(({ id }) => ({ jid: jid.full, name: id }));
}

/** Which nodes are listed: those behind one of this name, and how many. */
export interface NodeRange {
  readonly after?: string | undefined;
  readonly max?: number;
}

/** The nodes of a place that whoever asks may subscribe to. Rejects with StanzaError when there is none of which to be behind. */
export async function listNodes(
  { jid, nodes }: Place,
  from: Jid,
  trust: Trust,
  range: NodeRange = {},
): Promise<readonly DiscoItem[]> {
  const { after, max = Number.POSITIVE_INFINITY } = range;
  const found: DiscoItem[] = [];
  let isBehind = after === undefined;
  if (after !== undefined) nodes.find(after);
  for (const node of nodes.all()) {
    if (found.length >= max) break;
    if (!isBehind) {
      isBehind = node.name === after;
      continue;
    }
    const isVisible = await checkSubscribe(node, from, trust).then(
      () => true,
      () => false,
    );
    if (isVisible) found.push({ jid: jid.full, node: node.name, name: node.config.title || undefined });
  }
  return found;
}

/** Section 5.4. Who has subscribed is nobody's business; how many is. */
async function writeMetaData(node: Node): Promise<Element> {
  const { config } = node;
  const members = await node.members();
  const subscribers = [...members.values()].reduce((sum, { subscriptions }) => sum + subscriptions.filter(isInForce).length, 0);
  const text = (name: string, value: string) => ({
    name: `pubsub#${name}`,
    type: 'text-single' as const,
    values: value === '' ? [] : [value],
  });
  return writeForm('result', NS_META_DATA, [
    text('type', config.type),
    { name: 'pubsub#creator', type: 'jid-single', values: [node.creator] },
    text('creation_date', writeDateTime(node.created)),
    text('title', config.title),
    text('description', config.description),
    { name: 'pubsub#language', type: 'list-single', values: config.language === '' ? [] : [config.language] },
    { name: 'pubsub#contact', type: 'jid-multi', values: config.contact },
    { name: 'pubsub#owner', type: 'jid-multi', values: node.owners(members) },
    { name: 'pubsub#publisher', type: 'jid-multi', values: publishersOf(members) },
    { name: 'pubsub#access_model', type: 'list-single', values: [config.accessModel] },
    { name: 'pubsub#publish_model', type: 'list-single', values: [config.publishModel] },
    text('max_items', String(config.maxItems)),
    text('num_subscribers', String(subscribers)),
  ]);
}

function publishersOf(members: ReadonlyMap<string, Member>): readonly string[] {
  return [...members].filter(([, { affiliation }]) => affiliation === 'publisher').map(([bare]) => bare);
}
