import {
  after,
  type Element,
  type Envelope,
  Jid,
  type Maybe,
  type Query,
  type RsmRequest,
  readForm,
  readRsm,
  type Shelf,
  StanzaError,
  writeRsm,
  xml,
} from '#core';
import { NS_EVENT, NS_PUBSUB, nodeRequired, pubsubError, unsupported } from '../pubsub/errors.ts';
import type { Chats, Mark } from './chats.ts';
import { NS, readChat, readMark, writeItem } from './payload.ts';

const NS_OPTIONS = `${NS_PUBSUB}#publish-options`;
const NS_DATA = 'jabber:x:data';

/** Which feature it takes to do what we do not (XEP-0060 section 11): by the name of the element that asks for it. */
const UNSUPPORTED: ReadonlyMap<string, string> = new Map([
  ['affiliations', 'retrieve-affiliations'],
  ['create', 'create-nodes'],
  ['default', 'retrieve-default-sub'],
  ['options', 'subscription-options'],
  ['subscribe', 'subscribe'],
  ['subscriptions', 'retrieve-subscriptions'],
  ['unsubscribe', 'subscribe'],
]);

/** What the node needs of its surroundings. */
export interface NodeParts {
  readonly shelf: Shelf<Chats>;
  /** Chats one account may have marked. */
  readonly maxChats: number;
  /** A mark is durable now. */
  published(account: Jid, chat: string, mark: Mark): void;
  /** A mark is gone; `isTold` says whether clients are to be told. */
  retracted(account: Jid, chat: string, isTold: boolean): void;
}

/**
 * The node of displayed states of each account (XEP-0490 section 4.1), as much of XEP-0060 as that takes. Every account has it, without
 * anybody making it, and nobody else sees it: as if it had the access model `whitelist` and nobody on the list.
 */
export class Node {
  readonly #parts: NodeParts;

  constructor(parts: NodeParts) {
    this.#parts = parts;
  }

  /** Answers a get. */
  readonly show = ({ from, payload }: Query): Maybe<Element> => {
    const items = payload.getChild('items', NS_PUBSUB);
    if (!items) throw notDone(payload);
    if (nodeOf(items) !== NS) throw new StanzaError('item-not-found');
    const rsm = readRsm(payload);
    const wanted = items.getChildren('item', NS_PUBSUB).map(chatOf);
    const most = readMost(items);
    return after(this.#parts.shelf.get(from.local), (chats) => {
      if (wanted.length > 0) return writeItems(pick(chats, wanted));
      const all = [...chats.all()];
      return rsm ? writePage(all, rsm) : writeItems(most === undefined ? all : all.slice(Math.max(all.length - most, 0)));
    });
  };

  /** Answers a set. */
  readonly change = (query: Query): Maybe<Element | void> => {
    const { payload } = query;
    const publish = payload.getChild('publish', NS_PUBSUB);
    if (publish) return this.#publish(query, publish);
    const retract = payload.getChild('retract', NS_PUBSUB);
    if (retract) return this.#retract(query, retract);
    throw notDone(payload);
  };

  /** Nobody sees what is another's, or whether there is such an account. */
  readonly refuse = ({ stanza, from, to }: Envelope): void => {
    if (to.local === '' || to.resource !== '' || to.bare === from.bare || !stanza.has('pubsub', NS_PUBSUB)) return;
    const request = stanza.child('pubsub', NS_PUBSUB)?.getChildElements()[0];
    if (request?.attrs['node'] !== NS) return;
    // XEP-0060 sections 7.1.3.1 and 6.5.9.8.
    if (stanza.type === 'set') throw new StanzaError('forbidden');
    if (stanza.type === 'get') throw pubsubError('not-allowed', 'closed-node');
  };

  #publish({ from, payload }: Query, publish: Element): Maybe<Element> {
    if (nodeOf(publish) !== NS) throw unsupported('publish');
    const [item, second] = publish.getChildren('item', NS_PUBSUB);
    if (!item) throw pubsubError('bad-request', 'item-required');
    // One at a time: several in one request are an extension of its own (XEP-0060 section 13.11).
    if (second) throw new StanzaError('bad-request', { text: 'One item at a time' });
    this.#checkOptions(payload);
    const chat = readChat(item.attrs['id']);
    const [displayed, another] = item.getChildElements();
    if (!displayed) throw pubsubError('bad-request', 'payload-required');
    if (another || !displayed.is('displayed', NS)) throw pubsubError('bad-request', 'invalid-payload');
    const mark = readMark(displayed, from);
    return after(this.publish(from, chat, mark), () =>
      // The id may have been written in another way than the one under which it is found.
      xml('pubsub', NS_PUBSUB, xml('publish', { node: NS }, xml('item', { id: chat }))),
    );
  }

  /** Marks a chat for an account, and tells who is interested. Resolves once it is durable. */
  publish(account: Jid, chat: string, mark: Mark): Maybe<void> {
    const { shelf, published } = this.#parts;
    return after(shelf.get(account.local), (chats) =>
      after(chats.publish(chat, mark), (isNew) => {
        if (isNew) published(account, chat, mark);
      }),
    );
  }

  async #retract({ from }: Query, retract: Element): Promise<void> {
    const node = nodeOf(retract);
    const [item, second] = retract.getChildren('item', NS_PUBSUB);
    if (!item || item.attrs['id'] === undefined || second) throw pubsubError('bad-request', 'item-required');
    if (node !== NS) throw new StanzaError('item-not-found');
    const chat = chatOf(item);
    const chats = await this.#parts.shelf.get(from.local);
    if (chat === undefined || !(await chats.retract(chat))) throw new StanzaError('item-not-found');
    this.#parts.retracted(from, chat, isTrue(retract.attrs['notify']));
  }

  /**
   * The options are preconditions (XEP-0060 section 7.1.5): each has to be as the node is, and one that is not known refuses the request.
   * The node is as XEP-0490 section 7 wants it, and cannot be configured otherwise.
   */
  #checkOptions(payload: Element): void {
    const options = payload.getChild('publish-options', NS_PUBSUB);
    if (!options) return;
    const form = options.getChild('x', NS_DATA);
    if (form?.attrs['type'] !== 'submit') throw new StanzaError('bad-request', { text: 'Options are a form that is submitted' });
    const fields = readForm(form);
    if (fields.get('FORM_TYPE')?.[0] !== NS_OPTIONS)
      throw new StanzaError('bad-request', { text: 'This is a form of another type' });
    for (const [name, values] of fields) {
      if (name === 'FORM_TYPE') continue;
      const isMet = values.length === 1 && this.#isMet(name, values[0]!);
      if (!isMet) throw pubsubError('conflict', 'precondition-not-met');
    }
  }

  #isMet(name: string, value: string): boolean {
    switch (name) {
      case 'pubsub#access_model':
        return value === 'whitelist';
      case 'pubsub#publish_model':
        return value === 'publishers';
      case 'pubsub#send_last_published_item':
        return value === 'never';
      case 'pubsub#notification_type':
        return value === 'headline';
      case 'pubsub#type':
        return value === NS;
      case 'pubsub#item_expire':
        return value === 'max';
      case 'pubsub#max_items':
        return value === 'max' || (/^\d{1,9}$/.test(value) && Number(value) >= this.#parts.maxChats);
      case 'pubsub#persist_items':
      case 'pubsub#deliver_notifications':
      case 'pubsub#deliver_payloads':
      case 'pubsub#notify_retract':
        return isTrue(value);
      default:
        return false;
    }
  }
}

/** The payload of a notification that a chat was marked. */
export function writeEvent(chat: string, mark: Mark): Element {
  return xml('event', NS_EVENT, xml('items', { node: NS }, writeItem(chat, mark)));
}

/** The payload of a notification that a mark is gone (XEP-0060 section 7.2.2.1). */
export function writeRetraction(chat: string): Element {
  return xml('event', NS_EVENT, xml('items', { node: NS }, xml('retract', { id: chat })));
}

type Entry = readonly [chat: string, mark: Mark];

/** The address of the chat that an item is about; what is none is the item of no chat. */
function chatOf(item: Element): string | undefined {
  const id: unknown = item.attrs['id'];
  return typeof id === 'string' ? Jid.tryParse(id)?.full : undefined;
}

/** Those of these chats that are marked; the others are left out (XEP-0060 section 6.5.9.12). */
function pick(chats: Chats, wanted: readonly (string | undefined)[]): readonly Entry[] {
  const found = new Map<string, Mark>();
  for (const chat of wanted) {
    const mark = chat === undefined ? undefined : chats.get(chat);
    if (mark) found.set(chat!, mark);
  }
  return [...found];
}

function writeItems(entries: readonly Entry[], set?: Element): Element {
  const items = entries.map(([chat, mark]) => writeItem(chat, mark));
  return xml('pubsub', NS_PUBSUB, xml('items', { node: NS }, ...items), set);
}

/** A page by XEP-0059, in the order of publication. */
function writePage(all: readonly Entry[], { max = all.length, before, after: behind, index }: RsmRequest): Element {
  let start = index ?? 0;
  let end = Math.min(start + max, all.length);
  if (behind !== undefined) {
    start = placeOf(all, behind) + 1;
    end = Math.min(start + max, all.length);
  } else if (before !== undefined) {
    end = before === '' ? all.length : placeOf(all, before);
    start = Math.max(end - max, 0);
  }
  const page = all.slice(start, end);
  return writeItems(page, writeRsm({ first: page[0]?.[0], last: page.at(-1)?.[0], count: all.length }));
}

/** XEP-0059 section 2.4. */
function placeOf(all: readonly Entry[], id: string): number {
  const place = all.findIndex(([chat]) => chat === id);
  if (place < 0) throw new StanzaError('item-not-found');
  return place;
}

/** How many of the most recent items are asked for (XEP-0060 section 6.5.7); undefined for all. */
function readMost(items: Element): number | undefined {
  const text: unknown = items.attrs['max_items'];
  if (typeof text !== 'string') return undefined;
  if (!/^\d{1,9}$/.test(text)) throw new StanzaError('bad-request', { text: '"max_items" is a number' });
  return Number(text);
}

function nodeOf(request: Element): string {
  const node: unknown = request.attrs['node'];
  if (typeof node !== 'string' || node === '') throw nodeRequired();
  return node;
}

function notDone(payload: Element): StanzaError {
  for (const child of payload.getChildElements()) {
    const feature = UNSUPPORTED.get(child.getName());
    if (feature) return unsupported(feature);
  }
  return new StanzaError('bad-request');
}

function isTrue(value: unknown): boolean {
  return value === 'true' || value === '1';
}
