// XEP-0045 section 6: what a service, its rooms and their occupants say to those who look at them (XEP-0030, XEP-0128).
import {
  type DiscoItem,
  type Element,
  type FormField,
  type Identity,
  type Jid,
  type Maybe,
  NS_RSM,
  readRsm,
  StanzaError,
  writeForm,
  writeRsm,
  xml,
} from '#core';
import { NS_ADMIN } from './admin.ts';
import { NS_MUC, NS_OCCUPANT } from './announce.ts';
import { NS_CONFIG } from './form.ts';
import { NS_OWNER } from './owner.ts';
import { isAffiliated } from './ranks.ts';
import { NS_REGISTER } from './register.ts';
import { ROOM, type Room, type RoomParts } from './room.ts';
import { NS_VERSIONS } from './versions.ts';

export const NS_INFO = 'http://jabber.org/protocol/disco#info';
export const NS_ITEMS = 'http://jabber.org/protocol/disco#items';
const NS_SELF_PING = `${NS_MUC}#self-ping-optimization`;
/** The node by which somebody asks for the nick that is kept for them (section 7.12). */
const NICK_NODE = 'x-roomuser-item';
/** The node by which somebody asks what may be sent through a room (section 18.2). */
const TRAFFIC_NODE = `${NS_MUC}#traffic`;
/** Rooms listed at once: for who does not ask for pages, and for who does. */
const MAX_LISTED = 1000;

/** What features add to what rooms and the service say of themselves. */
export interface RoomInfo {
  /** Features of the service. */
  service?(): readonly string[];
  /** Features of a room. */
  room?(room: Room): readonly string[];
  /** Fields of a room's `muc#roominfo` form. */
  fields?(room: Room): Maybe<readonly FormField[]>;
  /** Nodes of a room or the service (undefined): the whole answer; undefined for a node that is not the feature's. */
  node?(question: NodeQuestion): Maybe<NodeAnswer | undefined>;
}

/** Somebody asks for a node. */
export interface NodeQuestion {
  readonly from: Jid;
  readonly to: Jid;
  readonly node: string;
  readonly room: Room | undefined;
}

/** What a node is, and what is in it. */
export interface NodeAnswer {
  readonly identities?: readonly Identity[];
  readonly features?: readonly string[];
  readonly items?: readonly DiscoItem[];
}

/** What is said of a service. */
export interface ServiceInfo {
  readonly name: string;
  readonly extensions: ReadonlySet<RoomInfo>;
}

/** Answers disco#info at the service (section 6.2). */
export function describeService({ name, extensions }: ServiceInfo): Element {
  const features = [
    NS_INFO,
    NS_ITEMS,
    NS_MUC,
    'muc_rooms',
    NS_RSM,
    'urn:xmpp:ping',
    `${NS_MUC}#stable_id`,
    NS_SELF_PING,
    NS_OCCUPANT,
  ];
  for (const extension of extensions) features.push(...(extension.service?.() ?? []));
  return writeInfo({ name, features });
}

/** Answers disco#info at a room (section 6.4). */
export function describeRoom(room: Room, extensions: ReadonlySet<RoomInfo>): Maybe<Element> {
  const added = [...extensions].map((extension) => extension.fields?.(room) ?? []);
  const write = (fields: readonly (readonly FormField[])[]): Element => writeRoom(room, extensions, fields.flat());
  return isHere(added) ? write(added) : Promise.all(added).then(write);
}

function isHere<T>(values: readonly Maybe<T>[]): values is readonly T[] {
  return !values.some((value) => value instanceof Promise);
}

function writeRoom(room: Room, extensions: ReadonlySet<RoomInfo>, added: readonly FormField[]): Element {
  const { settings } = room;
  const features = [
    NS_INFO,
    NS_ITEMS,
    NS_MUC,
    `${NS_MUC}#stable_id`,
    NS_SELF_PING,
    'urn:xmpp:ping',
    NS_CONFIG,
    NS_ADMIN,
    NS_OWNER,
    NS_OCCUPANT,
    NS_VERSIONS,
    NS_REGISTER,
    settings.isPublic ? 'muc_public' : 'muc_hidden',
    settings.isMembersOnly ? 'muc_membersonly' : 'muc_open',
    settings.isModerated ? 'muc_moderated' : 'muc_unmoderated',
    settings.whois === 'anyone' ? 'muc_nonanonymous' : 'muc_semianonymous',
    settings.password === undefined ? 'muc_unsecured' : 'muc_passwordprotected',
    settings.isPersistent ? 'muc_persistent' : 'muc_temporary',
  ];
  for (const extension of extensions) features.push(...(extension.room?.(room) ?? []));
  const form = writeForm('result', `${NS_MUC}#roominfo`, [...infoFields(room), ...added]);
  return writeInfo({ name: settings.name || room.jid.local, features, forms: [form] });
}

function infoFields(room: Room): readonly FormField[] {
  const { settings, subject, occupants, parts } = room;
  const shown = [...parts.fields].filter((field) => field.isShown);
  const one = (name: string, label: string, value: string): FormField => ({ name, label, values: [value] });
  return [
    one('muc#roominfo_description', 'Description', settings.description),
    one('muc#roomconfig_roomname', 'Name', settings.name),
    { name: 'muc#roominfo_contactjid', label: 'Contact addresses', values: contactsOf(room) },
    // What is talked about is told to those who may come in (section 6.4: what is private is left out).
    ...(settings.isMembersOnly || settings.password !== undefined
      ? []
      : [one('muc#roominfo_subject', 'Current subject', subject?.text ?? '')]),
    one('muc#roominfo_subjectmod', 'Occupants may change the subject', settings.mayOccupantsChangeSubject ? '1' : '0'),
    one('muc#roomconfig_changesubject', 'Occupants may change the subject', settings.mayOccupantsChangeSubject ? '1' : '0'),
    one('muc#roominfo_occupants', 'Number of occupants', String(occupants.size)),
    one('muc#roominfo_lang', 'Language of discussions', settings.lang),
    one('muc#maxhistoryfetch', 'Messages of history at most', String(settings.maxHistory)),
    one('muc#roomconfig_allowinvites', 'Members may invite', settings.mayMembersInvite ? '1' : '0'),
    one('muc#roomconfig_allowpm', 'Who may send private messages', settings.privateMessages),
    ...(settings.pubsub === undefined ? [] : [one('muc#roomconfig_pubsub', 'Associated node', settings.pubsub)]),
    ...shown.map(({ name, label, type }) => ({
      name,
      ...(label !== undefined && { label }),
      ...(type && { type }),
      values: parts.fields.valuesOf(settings, name),
    })),
  ];
}

/** Owners, where real addresses are no secret. */
function contactsOf(room: Room): readonly string[] {
  return room.settings.whois === 'anyone' ? room.affiliated('owner').map(([jid]) => jid) : [];
}

/** Answers disco#items at the service: the public rooms by name, in pages for those who ask for them (section 6.3, XEP-0059). */
export async function listRooms({ listed }: Pick<RoomParts, 'listed'>, query: Element): Promise<Element> {
  const rsm = readRsm(query);
  if (rsm?.index !== undefined || rsm?.before !== undefined) throw new StanzaError('feature-not-implemented');
  const max = Math.min(rsm?.max ?? MAX_LISTED, MAX_LISTED);
  const rows = max === 0 ? [] : await listed.scan(ROOM, rsm?.after, max);
  const items = rows.map(([jid, { name }]) => xml('item', { jid, name: name || undefined }));
  const set = rsm && writeRsm({ first: rows[0]?.[0], last: rows.at(-1)?.[0] });
  return xml('query', { xmlns: NS_ITEMS }, ...items, set);
}

/** Answers disco#items at a room: who is in it, to those who may know (section 6.5). */
export function listOccupants(room: Room, from: Jid): Element {
  const occupant = room.occupants.of(from);
  const mayKnow = occupant !== undefined || isAffiliated(room.affiliationOf(from), 'member');
  const all = mayKnow ? [...room.occupants.firsts()] : [];
  const shown = all.filter(({ isTold }) => isTold).slice(0, MAX_LISTED);
  return xml('query', { xmlns: NS_ITEMS }, ...shown.map(({ jid, nick }) => xml('item', { jid: jid.full, name: nick })));
}

/** Answers a question for a node. Throws StanzaError `item-not-found` for one that nobody knows. */
export async function answerNode(
  asks: 'info' | 'items',
  question: NodeQuestion,
  extensions: ReadonlySet<RoomInfo>,
): Promise<Element> {
  const { node, from, room } = question;
  if (room && node === NICK_NODE && asks === 'info') return showNick(room, from);
  // Everything may be sent through a room (section 18.2).
  if (room && node === TRAFFIC_NODE) throw new StanzaError('service-unavailable');
  for (const extension of extensions) {
    const answer = await extension.node?.(question);
    if (!answer) continue;
    const { identities = [], features = [], items = [] } = answer;
    if (asks === 'items') {
      return xml(
        'query',
        { xmlns: NS_ITEMS, node },
        ...items.map(({ jid, node: inner, name }) => xml('item', { jid, node: inner, name })),
      );
    }
    return xml(
      'query',
      { xmlns: NS_INFO, node },
      ...identities.map(({ category, type, name }) => xml('identity', { category, type, name })),
      ...features.map((feature) => xml('feature', { var: feature })),
    );
  }
  throw new StanzaError('item-not-found');
}

/** Section 7.12: which nick is kept for whoever asks. */
function showNick(room: Room, { bare }: Jid): Element {
  const nick = room.members.get(bare)?.nick;
  const identity = nick === undefined ? undefined : xml('identity', { category: 'conference', type: 'text', name: nick });
  return xml('query', { xmlns: NS_INFO, node: NICK_NODE }, identity);
}

interface Info {
  readonly name: string;
  readonly features: readonly string[];
  readonly forms?: readonly Element[];
}

function writeInfo({ name, features, forms = [] }: Info): Element {
  return xml(
    'query',
    { xmlns: NS_INFO },
    xml('identity', { category: 'conference', type: 'text', name }),
    ...[...new Set(features)].sort().map((feature) => xml('feature', { var: feature })),
    ...forms,
  );
}
