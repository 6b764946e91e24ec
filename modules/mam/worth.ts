import type { Stanza } from '#core';
import { TAG } from './tag.ts';

const NS_HINTS = 'urn:xmpp:hints';
const NS_RETRACT = 'urn:xmpp:message-retract:1';

/** What makes a message worth keeping though it has no text: name and namespace of a child. */
const CONTENTS: readonly (readonly [name: string, xmlns: string])[] = [
  // Somebody has got or seen something (XEP-0184, XEP-0333): history on another device should say so, too.
  ['received', 'urn:xmpp:receipts'],
  ['displayed', 'urn:xmpp:chat-markers:0'],
  ['received', 'urn:xmpp:chat-markers:0'],
  ['acknowledged', 'urn:xmpp:chat-markers:0'],
  // What changes an earlier message (XEP-0444, XEP-0424 and its older form, XEP-0425, XEP-0422).
  ['reactions', 'urn:xmpp:reactions:0'],
  ['retract', NS_RETRACT],
  ['apply-to', 'urn:xmpp:fasten:0'],
  ['moderate', 'urn:xmpp:message-moderate:1'],
  // Text that only its readers can read (XEP-0380, XEP-0384, XEP-0373, XEP-0027).
  ['encryption', 'urn:xmpp:eme:0'],
  ['encrypted', 'eu.siacs.conversations.axolotl'],
  ['encrypted', 'urn:xmpp:omemo:2'],
  ['openpgp', 'urn:xmpp:openpgp:0'],
  ['x', 'jabber:x:encrypted'],
  // Calls (XEP-0353, XEP-0482): a device that slept shows that somebody has called.
  ['propose', 'urn:xmpp:jingle-message:0'],
  ['proceed', 'urn:xmpp:jingle-message:0'],
  ['reject', 'urn:xmpp:jingle-message:0'],
  ['retract', 'urn:xmpp:jingle-message:0'],
  ['finish', 'urn:xmpp:jingle-message:0'],
  ['accept', 'urn:xmpp:jingle-message:0'],
  ['invite', 'urn:xmpp:call-invites:0'],
  ['retract', 'urn:xmpp:call-invites:0'],
  ['accept', 'urn:xmpp:call-invites:0'],
  ['reject', 'urn:xmpp:call-invites:0'],
  ['left', 'urn:xmpp:call-invites:0'],
  // Invitations to rooms (XEP-0249, XEP-0045 section 7.8.2), files (XEP-0447, XEP-0066).
  ['x', 'jabber:x:conference'],
  ['x', 'http://jabber.org/protocol/muc#user'],
  ['file-sharing', 'urn:xmpp:sfs:0'],
  ['x', 'jabber:x:oob'],
];

/** Text that is not for the reader's eyes as a message of its own: it stands for those who do not know what it comes with. */
const ABOUT_OTHERS: readonly (readonly [name: string, xmlns: string])[] = [
  ['replace', 'urn:xmpp:message-correct:0'],
  ['reactions', 'urn:xmpp:reactions:0'],
  ['retract', NS_RETRACT],
  ['apply-to', 'urn:xmpp:fasten:0'],
];

/** Encrypted text; a key that is handed over without any has no payload, and is no message to a person (XEP-0384 section 4.5). */
const ENCRYPTED: readonly (readonly [name: string, xmlns: string])[] = [
  ['encrypted', 'eu.siacs.conversations.axolotl'],
  ['encrypted', 'urn:xmpp:omemo:2'],
];

/**
 * Whether a message is kept, and with which tag (without TAG.outgoing): by type, by the sender's hints (XEP-0334), and by what is in it
 * (XEP-0313 section 6.1.1 and what has been written since). Undefined for one that is not kept.
 */
export function judge(message: Stanza, keepsGroupchat: boolean): number | undefined {
  const { type } = message;
  if (type === 'error' || type === 'headline' || (type === 'groupchat' && !keepsGroupchat)) return undefined;
  const kind = type === 'groupchat' ? TAG.groupchat : 0;
  if (message.has('body')) {
    // Without hints, which nearly all messages are, nothing else is looked for but what says that it is about another message.
    if (isRefused(message)) return undefined;
    return holdsAny(message, ABOUT_OTHERS) ? kind : kind | TAG.conversation;
  }
  if (isRefused(message)) return undefined;
  if (ENCRYPTED.some(([name, xmlns]) => message.child(name, xmlns)?.getChild('payload', xmlns))) return kind | TAG.conversation;
  if (message.has('store', NS_HINTS) || holdsAny(message, CONTENTS)) return kind;
  return undefined;
}

function isRefused(message: Stanza): boolean {
  return message.has('no-store', NS_HINTS) || message.has('no-permanent-store', NS_HINTS);
}

function holdsAny(message: Stanza, children: readonly (readonly [name: string, xmlns: string])[]): boolean {
  return children.some(([name, xmlns]) => message.has(name, xmlns));
}
