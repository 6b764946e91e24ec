// Which request is which (XEP-0060 sections 5 to 8), and what all of them need.
import { type Element, Jid, type Maybe, StanzaError, type XmlText } from '#core';
import { checkOwner } from './access.ts';
import { NS_OWNER, NS_PUBSUB, nodeRequired, pubsubError, unsupported } from './errors.ts';
import type { Node } from './node.ts';
import type { PubSubQuery } from './place.ts';

/** Answers one kind of request: the payload of the result, or nothing. */
export type RequestHandler = (query: PubSubQuery) => Maybe<Element | XmlText | void>;

/** The kinds of request: by the type of the IQ, the namespace, and the name of the element. */
export type Requests = Readonly<
  Record<'get' | 'set', Readonly<Record<'owner' | 'user', Readonly<Record<string, RequestHandler>>>>>
>;

/** Bytes that the name of a node may have, and the id of an item: those of a resource (RFC 7622 section 3.4). */
const MAX_NAME = 1023;

/** Which feature it takes to do what we do not. */
const UNSUPPORTED: ReadonlyMap<string, string> = new Map([['collection', 'collections']]);

/** Which request is made by a payload; undefined when it is none. Throws StanzaError for several, of which only one would be answered. */
export function requestIn(requests: Requests, type: 'get' | 'set', payload: Element): Element | undefined {
  const table = tableFor(requests, type, payload);
  let found: Element | undefined;
  for (const request of payload.getChildElements()) {
    if (request.getNS() !== payload.getNS() || !Object.hasOwn(table, request.getName())) continue;
    // Options go with a subscription, too (section 6.3.7).
    if (found?.getName() === 'subscribe' && request.getName() === 'options') continue;
    if (found) throw new StanzaError('bad-request', { text: 'One request at a time' });
    found = request;
  }
  return found;
}

/** Answers a request. Throws StanzaError for what is none. */
export function answer(
  requests: Requests,
  type: 'get' | 'set',
  query: Omit<PubSubQuery, 'request'>,
): Maybe<Element | XmlText | void> {
  const { payload } = query;
  const request = requestIn(requests, type, payload);
  if (request) return tableFor(requests, type, payload)[request.getName()]!({ ...query, request });
  for (const child of payload.getChildElements()) {
    const feature = UNSUPPORTED.get(child.getName());
    if (feature !== undefined) throw unsupported(feature);
  }
  throw new StanzaError('bad-request');
}

function tableFor(requests: Requests, type: 'get' | 'set', payload: Element): Readonly<Record<string, RequestHandler>> {
  return requests[type][payload.getNS() === NS_OWNER ? 'owner' : 'user'];
}

/** The name of the node that is asked about. Throws StanzaError when there is none. */
export function nodeName({ request }: Pick<PubSubQuery, 'request'>): string {
  const name = optionalNode(request);
  if (name === undefined) throw nodeRequired();
  return name;
}

/** As above; undefined when none is named. */
export function optionalNode(request: Element): string | undefined {
  const name: unknown = request.attrs['node'];
  if (typeof name !== 'string' || name === '') return undefined;
  checkLength(name, 'The name of the node');
  return name;
}

/** The node that is asked about. Throws StanzaError when it is not there. */
export function nodeOf(query: PubSubQuery): Node {
  return query.place.nodes.find(nodeName(query));
}

/** The same for owners only. Rejects with StanzaError `forbidden` for others. */
export async function ownNode(query: PubSubQuery): Promise<Node> {
  const node = nodeOf(query);
  await checkOwner(node, query.from);
  return node;
}

/** Throws StanzaError `not-acceptable` for what is longer than names may be. */
export function checkLength(text: string, what: string): void {
  if (Buffer.byteLength(text) > MAX_NAME) throw new StanzaError('not-acceptable', { text: `${what} is too long` });
}

/** The address in an attribute, prepared. Throws StanzaError `bad-request` with `invalid-jid` or `jid-required`. */
export function readJid(request: Element): Jid {
  const text: unknown = request.attrs['jid'];
  if (typeof text !== 'string') throw pubsubError('bad-request', 'jid-required');
  const jid = Jid.tryParse(text);
  if (!jid) throw pubsubError('bad-request', 'invalid-jid');
  return jid;
}

/**
 * What a request goes with: it stands behind it, and says of nothing to what it belongs. Throws StanzaError `bad-request` where it is
 * otherwise (sections 6.3.7 and 8.1.3).
 */
export function attachment({ payload, request }: PubSubQuery, name: string): Element | undefined {
  const found = payload.getChild(name, NS_PUBSUB);
  if (!found) return undefined;
  const elements = payload.getChildElements();
  const isBehind = elements.indexOf(found) > elements.indexOf(request);
  if (!isBehind || found.attrs['node'] !== undefined || found.attrs['jid'] !== undefined) {
    throw new StanzaError('bad-request', { text: `<${name}/> stands behind what it belongs to, without an address` });
  }
  return found;
}

/** A child of the request's payload, by name. */
export function companion({ payload }: PubSubQuery, name: string): Element | undefined {
  return payload.getChild(name, NS_PUBSUB);
}
