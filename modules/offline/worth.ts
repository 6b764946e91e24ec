import type { Stanza } from '#core';

const NS_CHATSTATES = 'http://jabber.org/protocol/chatstates';
const NS_HINTS = 'urn:xmpp:hints';

/**
 * What to do with a message nobody can take now: keep it; forget it, since nothing is lost with it; or refuse it, so that its sender
 * knows.
 */
export type Worth = 'keep' | 'forget' | 'refuse';

/** Judges by type (XEP-0160 section 3), by the sender's hints (XEP-0334 section 4), and by whether there is anything in it. */
export function judge(message: Stanza): Worth {
  const { type } = message;
  if (type === 'groupchat' || type === 'headline' || type === 'error') return 'refuse';
  // Without a text it says nothing that will matter later; and an answer would tell any stranger who is online.
  if (message.has('no-store', NS_HINTS)) return message.has('body') ? 'refuse' : 'forget';
  if (message.has('store', NS_HINTS) || message.has('body')) return 'keep';
  return isFleeting(message) ? 'forget' : 'keep';
}

/** Nothing but chat states (XEP-0085), with or without the thread they belong to. */
function isFleeting(message: Stanza): boolean {
  const { childCount, payloadNS, payloadName } = message;
  if (childCount === 0) return true;
  if (childCount === 1) return payloadNS === NS_CHATSTATES || payloadName === 'thread';
  return message.element.getChildElements().every((child) => child.getNS() === NS_CHATSTATES || child.getName() === 'thread');
}
