// What can be configured of a node (XEP-0060 section 16.4.4), as values and as fields of a form.
import { Jid, StanzaError } from '#core';
import { pubsubError, unsupported } from './errors.ts';

/** Who may subscribe and read (section 4.5). */
export type AccessModel = 'authorize' | 'open' | 'presence' | 'roster' | 'whitelist';
/** Who may publish. */
export type PublishModel = 'open' | 'publishers' | 'subscribers';

/** The configuration of a node. */
export interface NodeConfig {
  readonly title: string;
  readonly description: string;
  readonly language: string;
  /** What the payloads are, mostly a namespace. */
  readonly type: string;
  readonly contact: readonly string[];
  readonly accessModel: AccessModel;
  /** With the access model `roster`. */
  readonly rosterGroups: readonly string[];
  readonly publishModel: PublishModel;
  readonly persistItems: boolean;
  /** Items kept; 'max' for as many as the server allows. */
  readonly maxItems: number | 'max';
  /** Seconds after which an item is thrown away; 'max' for never. */
  readonly itemExpire: number | 'max';
  /** Bytes of one payload. */
  readonly maxPayload: number;
  readonly whenFull: 'discard-oldest' | 'reject' | 'retract-oldest';
  readonly subscribe: boolean;
  readonly deliverNotifications: boolean;
  readonly deliverPayloads: boolean;
  readonly notifyConfig: boolean;
  readonly notifyDelete: boolean;
  readonly notifyRetract: boolean;
  /** Whether owners are told of who subscribes and unsubscribes. */
  readonly notifySub: boolean;
  /** Whether only those who are online are notified. */
  readonly presenceBased: boolean;
  readonly sendLast: 'never' | 'on_sub' | 'on_sub_and_presence';
  readonly notificationType: 'headline' | 'normal';
  /** To whom answers to an item go (section 12.17). */
  readonly itemReply: 'none' | 'owner' | 'publisher';
}

/** What a server allows at most. */
export interface NodeLimits {
  /** Items of one node, which is also what `max` means. */
  readonly maxItems: number;
  /** Bytes of one payload. */
  readonly maxPayload: number;
}

/** How one setting is a field of the form. */
export interface ConfigField {
  /** As in `var`. */
  readonly name: string;
  readonly key: keyof NodeConfig;
  readonly type: 'boolean' | 'jid-multi' | 'list-single' | 'text-multi' | 'text-single';
  readonly label: string;
  /** What can be chosen from, each with what it means. */
  readonly options?: readonly { readonly value: string; readonly label: string }[];
  /** The value that was written; undefined when it cannot be read. */
  read(values: readonly string[], limits: NodeLimits): NodeConfig[keyof NodeConfig] | undefined;
  write(config: NodeConfig): readonly string[];
}

/** What a title or the like may have, and how many of a list. */
const MAX_TEXT = 1024;
const MAX_LIST = 100;

const NUMBER = /^\d{1,15}$/;

function field<K extends keyof NodeConfig>(
  name: string,
  key: K,
  rest: Pick<ConfigField, 'label' | 'options' | 'type'> & {
    readonly read: (values: readonly string[], limits: NodeLimits) => NodeConfig[K] | undefined;
    readonly write: (value: NodeConfig[K]) => readonly string[];
  },
): ConfigField {
  return { ...rest, name: `pubsub#${name}`, key, write: (config) => rest.write(config[key]) };
}

type KeyOf<T> = {
  [K in keyof NodeConfig]: NodeConfig[K] extends T ? (T extends NodeConfig[K] ? K : never) : never;
}[keyof NodeConfig];

function text(name: string, key: KeyOf<string>, label: string): ConfigField {
  const read = (values: readonly string[]) => {
    const value = values[0] ?? '';
    return values.length <= 1 && value.length <= MAX_TEXT ? value : undefined;
  };
  return field(name, key, { type: 'text-single', label, read, write: (value) => (value === '' ? [] : [value]) });
}

function flag(name: string, key: KeyOf<boolean>, label: string): ConfigField {
  return field(name, key, { type: 'boolean', label, read: readFlag, write: (value) => [value ? '1' : '0'] });
}

function choice<K extends keyof NodeConfig>(
  name: string,
  key: K,
  label: string,
  options: readonly { readonly value: NodeConfig[K] & string; readonly label: string }[],
): ConfigField {
  const read = (values: readonly string[]) =>
    values.length === 1 ? options.find(({ value }) => value === values[0])?.value : undefined;
  return field(name, key, { type: 'list-single', label, options, read, write: (value) => [String(value)] });
}

function list(name: string, key: KeyOf<readonly string[]>, type: 'jid-multi' | 'text-multi', label: string): ConfigField {
  const read = (values: readonly string[]) => {
    if (values.length > MAX_LIST || values.some((value) => value.length > MAX_TEXT)) return undefined;
    if (type !== 'jid-multi') return values;
    const jids = values.map((value) => Jid.tryParse(value)?.full);
    return jids.every((jid) => jid !== undefined) ? jids : undefined;
  };
  return field(name, key, { type, label, read, write: (value) => value });
}

function upTo(name: string, key: 'itemExpire' | 'maxItems', label: string, most: (limits: NodeLimits) => number): ConfigField {
  const read = (values: readonly string[], limits: NodeLimits): number | 'max' | undefined => {
    const [value = '', second] = values;
    if (second !== undefined) return undefined;
    if (value === 'max') return 'max';
    return NUMBER.test(value) && Number(value) <= most(limits) ? Number(value) : undefined;
  };
  return field(name, key, { type: 'text-single', label, read, write: (value) => [String(value)] });
}

/** All fields, in the order of the form. */
export const FIELDS: readonly ConfigField[] = [
  text('title', 'title', 'Name'),
  text('description', 'description', 'What it is about'),
  text('type', 'type', 'What the payloads are, as a namespace'),
  text('language', 'language', 'Language'),
  list('contact', 'contact', 'jid-multi', 'Who can be asked about it'),
  choice('access_model', 'accessModel', 'Who may subscribe and read', [
    { value: 'open', label: 'Everybody' },
    { value: 'presence', label: "Those who see the owner's presence" },
    { value: 'roster', label: "Those in certain groups of the owner's contacts" },
    { value: 'authorize', label: 'Those whom an owner has approved' },
    { value: 'whitelist', label: 'Members' },
  ]),
  list('roster_groups_allowed', 'rosterGroups', 'text-multi', 'Groups of contacts who may'),
  choice('publish_model', 'publishModel', 'Who may publish', [
    { value: 'publishers', label: 'Publishers' },
    { value: 'subscribers', label: 'Publishers and subscribers' },
    { value: 'open', label: 'Everybody' },
  ]),
  flag('persist_items', 'persistItems', 'Items are kept'),
  upTo('max_items', 'maxItems', 'Items kept at most', ({ maxItems }) => maxItems),
  upTo('item_expire', 'itemExpire', 'Seconds for which an item is kept', () => Number.MAX_SAFE_INTEGER),
  choice('publish_node_full', 'whenFull', 'When there are as many as are kept', [
    { value: 'retract-oldest', label: 'The oldest one goes' },
    { value: 'discard-oldest', label: 'The oldest one goes, and nobody is told' },
    { value: 'reject', label: 'New ones are refused' },
  ]),
  field('max_payload_size', 'maxPayload', {
    type: 'text-single',
    label: 'Bytes of one item at most',
    read: (values, { maxPayload }) =>
      values.length === 1 && NUMBER.test(values[0]!) && Number(values[0]) <= maxPayload ? Number(values[0]) : undefined,
    write: (value) => [String(value)],
  }),
  flag('subscribe', 'subscribe', 'There can be subscriptions'),
  flag('deliver_notifications', 'deliverNotifications', 'Subscribers are notified'),
  flag('deliver_payloads', 'deliverPayloads', 'Notifications have the payload'),
  flag('notify_config', 'notifyConfig', 'Subscribers are told when the configuration changes'),
  flag('notify_delete', 'notifyDelete', 'Subscribers are told when the node is deleted'),
  flag('notify_retract', 'notifyRetract', 'Subscribers are told when items are removed'),
  flag('notify_sub', 'notifySub', 'Owners are told who subscribes and unsubscribes'),
  flag('presence_based_delivery', 'presenceBased', 'Only those who are online are notified'),
  choice('send_last_published_item', 'sendLast', 'When the last item is sent', [
    { value: 'never', label: 'Never' },
    { value: 'on_sub', label: 'To new subscribers' },
    { value: 'on_sub_and_presence', label: 'To new subscribers, and to those who come online' },
  ]),
  choice('notification_type', 'notificationType', 'The type of notifications', [
    { value: 'headline', label: 'Headlines' },
    { value: 'normal', label: 'Messages' },
  ]),
  choice('itemreply', 'itemReply', 'To whom answers go', [
    { value: 'none', label: 'That is not said' },
    { value: 'owner', label: 'To the owners' },
    { value: 'publisher', label: 'To the publisher' },
  ]),
];

/** The fields by their names. */
export const FIELD_BY_NAME: ReadonlyMap<string, ConfigField> = new Map(FIELDS.map((each) => [each.name, each]));

/** Read, and thrown away: there is one kind of node (XEP-0248 has the other). */
export const NODE_TYPE = 'pubsub#node_type';

/**
 * Reads a submitted configuration. Fields that were not sent keep their values; unknown ones are passed over (XEP-0004 section 3.2).
 * Throws StanzaError `not-acceptable` for values that are none, or are beyond the limits (sections 8.1.2 and 8.2.5.2).
 */
export function readConfig(values: ReadonlyMap<string, readonly string[]>, limits: NodeLimits): Partial<NodeConfig> {
  const changes = new Map<string, unknown>();
  for (const [name, given] of values) {
    if (name === NODE_TYPE) checkType(given[0]);
    const known = FIELD_BY_NAME.get(name);
    if (!known) continue;
    const value = known.read(given, limits);
    if (value === undefined) throw invalid(name);
    changes.set(known.key, value);
  }
  // Keys are those of the table above, and their readers give what belongs there.
  return Object.fromEntries(changes) as Partial<NodeConfig>;
}

/** The names of the fields in which a configuration is not as was asked for, as it never is where that is no value. */
export function differences(
  config: NodeConfig,
  wanted: ReadonlyMap<string, readonly string[]>,
  limits: NodeLimits,
): readonly string[] {
  const differing: string[] = [];
  for (const [name, given] of wanted) {
    const known = FIELD_BY_NAME.get(name);
    if (known ? !isAsGiven(config, known, known.read(given, limits)) : name === NODE_TYPE && given[0] !== 'leaf')
      differing.push(name);
  }
  return differing;
}

function isAsGiven(config: NodeConfig, { key, write }: ConfigField, value: NodeConfig[keyof NodeConfig] | undefined): boolean {
  if (value === undefined) return false;
  const [have, want] = [write(config), write({ ...config, [key]: value })];
  return have.length === want.length && have.every((each, i) => each === want[i]);
}

/** XEP-0004 takes four ways to write one of two. */
export function readFlag(values: readonly string[]): boolean | undefined {
  if (values.length !== 1) return undefined;
  if (values[0] === '1' || values[0] === 'true') return true;
  return values[0] === '0' || values[0] === 'false' ? false : undefined;
}

/** Throws StanzaError for another kind of node than ours. */
export function checkType(type: string | undefined): void {
  if (type === 'collection') throw unsupported('collections');
  if (type !== undefined && type !== 'leaf') throw invalid(NODE_TYPE);
}

function invalid(name: string): StanzaError {
  if (name === 'pubsub#access_model') return pubsubError('not-acceptable', 'unsupported-access-model');
  return new StanzaError('not-acceptable', { text: `${name} cannot have this value` });
}
