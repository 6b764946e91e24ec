import type { Stanza } from '#core';
import { judge, TAG } from '../mam/index.ts';

const NS_HINTS = 'urn:xmpp:hints';
const NS_CALL = 'urn:xmpp:jingle-message:0';
const NS_CALL_INVITE = 'urn:xmpp:call-invites:0';

/** Whether somebody is calling (XEP-0353 section 3.1, XEP-0482 section 2.1). What becomes of the call later is no reason to wake anybody. */
export function isCall(message: Stanza): boolean {
  return message.has('propose', NS_CALL) || message.has('invite', NS_CALL_INVITE);
}

/**
 * Whether a message is one that somebody wants to be told of at once: what a person says to a person, or a call, unless it is not to be
 * kept (XEP-0334). What is said in rooms is the rooms' own to judge.
 */
export function isWorthPushing(message: Stanza): boolean {
  const { type } = message;
  if (type === 'groupchat' || type === 'error' || type === 'headline' || message.has('no-store', NS_HINTS)) return false;
  if (isCall(message)) return true;
  // Not for the archive, but kept until it is delivered (XEP-0334 section 5.1).
  const plain = message.has('no-permanent-store', NS_HINTS)
    ? message.filter((child) => child.getName() !== 'no-permanent-store' || child.getNS() !== NS_HINTS)
    : message;
  return ((judge(plain, false) ?? 0) & TAG.conversation) !== 0;
}
