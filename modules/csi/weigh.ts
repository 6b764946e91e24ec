import { Element, type Stanza } from '#core';

const NS_CLIENT = 'jabber:client';
const NS_CARBONS = 'urn:xmpp:carbons:2';
const NS_FORWARD = 'urn:xmpp:forward:0';
const NS_EVENT = 'http://jabber.org/protocol/pubsub#event';
const NS_MUC_USER = 'http://jabber.org/protocol/muc#user';
const NS_STATES = 'http://jabber.org/protocol/chatstates';

/** A room's word for "this is you" (XEP-0045 section 7.2.2). */
const SELF_PRESENCE = '110';

/** What may stand beside a chat state without making more of it: hints, ids, the time. */
const TRIMMINGS: ReadonlySet<string> = new Set(['urn:xmpp:hints', 'urn:xmpp:sid:0', 'urn:xmpp:occupant-id:0', 'urn:xmpp:delay']);

/** What the config says about inactive clients. */
export interface Weights {
  readonly holdPresence: boolean;
  readonly holdNotifications: boolean;
  readonly dropChatStates: boolean;
  readonly urgentNodes: ReadonlySet<string>;
}

/** For a stanza that is to be written at once, and for one that nobody will miss. */
export const IMPORTANT = Symbol('important');
export const IDLE = Symbol('idle');

/** What a stanza is to somebody who does not look: important, idle, or worth holding, and then the key of what it makes obsolete. */
export type Weight = typeof IMPORTANT | typeof IDLE | string;

/** Weighs a stanza for an inactive client. In doubt it is important. */
export function weigh(stanza: Stanza, weights: Weights): Weight {
  if (stanza.name === 'presence') return weighPresence(stanza, weights);
  // A message that is kept somewhere counts as not arrived until it is written.
  if (stanza.name !== 'message' || stanza.type === 'error' || stanza.keptAs !== undefined) return IMPORTANT;
  const hasBody = stanza.has('body');
  if (hasBody && stanza.type !== 'headline') return IMPORTANT;
  if (weights.holdNotifications && stanza.has('event', NS_EVENT)) return weighNotification(stanza, weights.urgentNodes);
  if (!hasBody && weights.dropChatStates && holdsOnlyChatStates(stanza)) return IDLE;
  return IMPORTANT;
}

/** Of each sender the last counts. What is asked or answered about subscriptions does not wait, nor does one's own coming into a room. */
function weighPresence(presence: Stanza, { holdPresence }: Weights): Weight {
  const { type } = presence;
  if (!holdPresence || (type !== undefined && type !== 'unavailable') || isOwnInRoom(presence)) return IMPORTANT;
  return `presence ${presence.from ?? ''}`;
}

function isOwnInRoom(presence: Stanza): boolean {
  if (!presence.has('x', NS_MUC_USER)) return false;
  const statuses = presence.child('x', NS_MUC_USER)?.getChildren('status') ?? [];
  return statuses.some(({ attrs }) => attrs['code'] === SELF_PRESENCE);
}

/**
 * Of each item the last counts, whether published or retracted (XEP-0060 section 7). Not of each node: the items of some, such as
 * bookmarks, each say something else, and a client that was told of the last only would believe that it knows them all.
 */
function weighNotification(message: Stanza, urgentNodes: ReadonlySet<string>): Weight {
  const news = message.child('event', NS_EVENT)?.getChildElements()[0];
  const node: unknown = news?.attrs['node'];
  if (!news || typeof node !== 'string' || urgentNodes.has(node)) return IMPORTANT;
  const kind = news.getName();
  if (kind !== 'items') return JSON.stringify([message.from, node, kind]);
  const ids = news.getChildElements().map(({ attrs }): unknown => attrs['id']);
  // Nobody knows what an item without an id makes obsolete.
  return ids.includes(undefined) ? IMPORTANT : JSON.stringify([message.from, node, ids]);
}

/** XEP-0085, also of a copy (XEP-0280). */
function holdsOnlyChatStates(message: Stanza): boolean {
  if (message.childCount === 0) return false;
  const { element } = message;
  const wrapper = message.child('received', NS_CARBONS) ?? message.child('sent', NS_CARBONS);
  if (!wrapper) return areChatStates(element);
  const forwarded = wrapper.getChild('forwarded', NS_FORWARD)?.getChild('message', NS_CLIENT);
  return forwarded !== undefined && element.getChildElements().length === 1 && areChatStates(forwarded);
}

function areChatStates(message: Element): boolean {
  let found = false;
  for (const child of message.children as readonly unknown[]) {
    if (!(child instanceof Element)) continue;
    const xmlns = child.attrs['xmlns'] === undefined && !child.name.includes(':') ? NS_CLIENT : child.getNS();
    if (xmlns === NS_STATES) found = true;
    else if (!isTrimming(child, xmlns)) return false;
  }
  return found;
}

function isTrimming(child: Element, xmlns: string | undefined): boolean {
  if (xmlns === undefined) return false;
  // Rooms mark private messages with an empty element (XEP-0045 section 7.5).
  if (xmlns === NS_MUC_USER) return child.getChildElements().length === 0;
  return TRIMMINGS.has(xmlns) || (xmlns === NS_CLIENT && child.getName() === 'thread');
}
