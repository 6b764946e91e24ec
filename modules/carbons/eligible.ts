import type { Jid, Stanza } from '#core';

/** The namespace of XEP-0280. */
export const NS = 'urn:xmpp:carbons:2';
const NS_HINTS = 'urn:xmpp:hints';
const NS_STATES = 'http://jabber.org/protocol/chatstates';
const NS_RECEIPTS = 'urn:xmpp:receipts';
const NS_MARKERS = 'urn:xmpp:chat-markers:0';
const NS_CONFERENCE = 'jabber:x:conference';
const NS_MUC_USER = 'http://jabber.org/protocol/muc#user';

/** What instant messaging says without a body: XEP-0184, XEP-0085, XEP-0333. */
const PAYLOADS: readonly (readonly [name: string, xmlns: string])[] = [
  ['received', NS_RECEIPTS],
  ['request', NS_RECEIPTS],
  ['displayed', NS_MARKERS],
  ['markable', NS_MARKERS],
  ['received', NS_MARKERS],
  ['acknowledged', NS_MARKERS],
  ['composing', NS_STATES],
  ['active', NS_STATES],
  ['paused', NS_STATES],
  ['inactive', NS_STATES],
  ['gone', NS_STATES],
];

/** Whether its sender wants it to stay with whom it is addressed to. The hint counts for full JIDs only (XEP-0334 section 4.3). */
function isPrivate(message: Stanza, to: Jid): boolean {
  return message.has('private', NS) || (to.resource !== '' && message.has('no-copy', NS_HINTS));
}

/** Whether the other clients of its sender get to see it (XEP-0280 section 6.1). Errors are eligible by what they answer, not by this. */
export function isEligibleSent(message: Stanza, to: Jid): boolean {
  const { type } = message;
  if (type === 'groupchat' || type === 'error' || isPrivate(message, to)) return false;
  if (type === 'chat') return true;
  // A type nobody knows counts as normal (RFC 6121 section 5.2.2).
  if (type !== 'headline' && message.has('body')) return true;
  return PAYLOADS.some(([name, xmlns]) => message.has(name, xmlns)) || isInvitation(message);
}

/** Whether the other clients of its addressee get to see it. Rooms send private messages to each client that has joined themselves. */
export function isEligibleReceived(message: Stanza, from: Jid, to: Jid): boolean {
  if (!isEligibleSent(message, to)) return false;
  const isOfOccupant = from.resource !== '' && message.has('x', NS_MUC_USER);
  return !isOfOccupant || isInvitation(message);
}

/** XEP-0249, or mediated by the room (XEP-0045 section 7.8.2). */
function isInvitation(message: Stanza): boolean {
  if (message.has('x', NS_CONFERENCE)) return true;
  return message.child('x', NS_MUC_USER)?.getChild('invite', NS_MUC_USER) !== undefined;
}
