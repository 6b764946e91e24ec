// The node of XEP-0048: all bookmarks in its only item, whatever clients write there.
import { type Element, isSession, type Origin, type Query, readForm, type Session, StanzaError, xml } from '#core';
import { NS_PUBSUB, pubsubError, unsupported } from '../pubsub/errors.ts';
import { isConference, NS_STORAGE, roomOf } from './convert.ts';

const NS_DATA = 'jabber:x:data';
/** The only item. */
const CURRENT = 'current';

/** What can be done with bookmarks. `by` is the client that does it. */
export interface OldNodeParts {
  /** All of them; undefined when there is nothing. */
  read(username: string, by: Session | undefined): Promise<Element | undefined>;
  /** Writes all of them. */
  write(username: string, list: Element, by: Session | undefined): Promise<void>;
  /** Writes one of them. */
  add(username: string, conference: Element): Promise<void>;
}

/** Answers requests about the node. */
export class OldNode {
  readonly #parts: OldNodeParts;

  constructor(parts: OldNodeParts) {
    this.#parts = parts;
  }

  readonly show = async ({ from, payload, env }: Query): Promise<Element> => {
    const request = payload.getChild('items', NS_PUBSUB);
    if (!request) throw unsupported('subscribe');
    const wanted = request.getChildren('item', NS_PUBSUB).map(({ attrs }): unknown => attrs['id']);
    const isMeant = wanted.length === 0 || wanted.includes(CURRENT);
    const list = isMeant ? await this.#parts.read(from.local, clientOf(env.origin)) : undefined;
    return xml('pubsub', NS_PUBSUB, writeItems(list));
  };

  readonly change = async (query: Query): Promise<Element | undefined> => {
    const { payload } = query;
    const publish = payload.getChild('publish', NS_PUBSUB);
    if (publish) return await this.#publish(query, publish);
    const retract = payload.getChild('retract', NS_PUBSUB);
    if (retract) return await this.#retract(query, retract);
    // It is always there, as it is.
    if (payload.getChild('create', NS_PUBSUB)) throw new StanzaError('conflict');
    throw unsupported('subscribe');
  };

  async #publish({ from, payload, env }: Query, request: Element): Promise<Element> {
    checkOptions(payload);
    const [item, second] = request.getChildren('item', NS_PUBSUB);
    if (!item) throw pubsubError('bad-request', 'item-required');
    if (second) throw new StanzaError('bad-request', { text: 'One item at a time' });
    const [content, more] = item.getChildElements();
    if (!content) throw pubsubError('bad-request', 'payload-required');
    const isList = content.is('storage', NS_STORAGE);
    // XEP-0223 has each bookmark in an item of its own.
    const room = isConference(content) ? roomOf(content.attrs['jid']) : undefined;
    if (more || (!isList && room === undefined)) throw pubsubError('bad-request', 'invalid-payload');
    if (isList) await this.#parts.write(from.local, content, clientOf(env.origin));
    else await this.#parts.add(from.local, content);
    return xml('pubsub', NS_PUBSUB, xml('publish', { node: NS_STORAGE }, xml('item', { id: CURRENT })));
  }

  async #retract({ from, env }: Query, request: Element): Promise<undefined> {
    const ids = request.getChildren('item', NS_PUBSUB).map(({ attrs }): unknown => attrs['id']);
    if (ids.length === 0) throw pubsubError('bad-request', 'item-required');
    if (ids.some((id) => id !== CURRENT)) throw new StanzaError('item-not-found');
    await this.#parts.write(from.local, xml('storage', NS_STORAGE), clientOf(env.origin));
  }
}

/** The child of an event, or of an answer, that shows a list. */
export function writeItems(list: Element | undefined): Element {
  return xml('items', { node: NS_STORAGE }, list && xml('item', { id: CURRENT }, list));
}

/** Whoever asks for a node that others read does not get one (XEP-0060 section 7.1.5). */
function checkOptions(payload: Element): void {
  const form = payload.getChild('publish-options', NS_PUBSUB)?.getChild('x', NS_DATA);
  const access = form && readForm(form).get('pubsub#access_model')?.[0];
  if (access !== undefined && access !== 'whitelist') throw pubsubError('conflict', 'precondition-not-met');
}

/** The client that has sent something. */
function clientOf(origin: Origin): Session | undefined {
  return isSession(origin) ? origin : undefined;
}
