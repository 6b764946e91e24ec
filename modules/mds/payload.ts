import { detachText, type Element, Jid, xml } from '#core';
import { pubsubError } from '../pubsub/errors.ts';
import type { Mark } from './chats.ts';

/** The namespace of displayed states, and the node that holds them (XEP-0490 section 4.1). */
export const NS = 'urn:xmpp:mds:displayed:0';
const NS_SID = 'urn:xmpp:sid:0';

/** Addresses are keys of the store, and databases bound those. Nobody's address is that long, and no id either. */
const MAX_BYTES = 1024;

/**
 * The address of a chat, prepared, so that all of its spellings mean one chat. XEP-0490 section 5.2 wants nothing more to be checked than
 * pubsub needs; but what is no address is no chat either. Throws StanzaError.
 */
export function readChat(text: unknown): string {
  const jid = typeof text === 'string' ? Jid.tryParse(text) : undefined;
  if (!jid) throw pubsubError('bad-request', 'invalid-payload');
  if (Buffer.byteLength(jid.full) > MAX_BYTES) throw pubsubError('not-acceptable', 'payload-too-big');
  return jid.full;
}

/**
 * Reads a `<displayed/>` with exactly one `<stanza-id/>` (XEP-0490 section 4.1). Of the ids nothing is checked but their length; the account's
 * own address is prepared, since by it its own ids are told from others. Throws StanzaError for what is none.
 */
export function readMark(displayed: Element, own: Jid): Mark {
  const [stanzaId, second] = displayed.getChildren('stanza-id', NS_SID);
  const by: unknown = stanzaId?.attrs['by'];
  const id: unknown = stanzaId?.attrs['id'];
  if (second || typeof by !== 'string' || typeof id !== 'string' || by === '' || id === '') {
    throw pubsubError('bad-request', 'invalid-payload');
  }
  if (Buffer.byteLength(by) > MAX_BYTES || Buffer.byteLength(id) > MAX_BYTES)
    throw pubsubError('not-acceptable', 'payload-too-big');
  return { by: Jid.tryParse(by)?.full === own.bare ? own.bare : detachText(by), id: detachText(id) };
}

/** An item of the node. */
export function writeItem(chat: string, { by, id }: Mark): Element {
  return xml('item', { id: chat }, xml('displayed', NS, xml('stanza-id', { xmlns: NS_SID, by, id })));
}
