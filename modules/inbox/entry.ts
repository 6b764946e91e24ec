import { type ArchiveItem, escapeXml, Stanza, timeOf, toWire, writeDateTime } from '#core';
import type { Conversation } from './overview.ts';

/** The namespace of XEP-0430. */
export const NS = 'urn:xmpp:inbox:1';
const NS_MAM = 'urn:xmpp:mam:2';
const NS_FORWARD = 'urn:xmpp:forward:0';
const NS_DELAY = 'urn:xmpp:delay';

/** It is written into every entry, so a long one would cost many times its length. */
const MAX_QUERY_ID = 256;

/** Who is sent entries, and why. */
export interface EntryHeading {
  /** The address of the account. */
  readonly from: string;
  readonly to: string;
  /** The id of the request (XEP-0430 section 5). */
  readonly queryId: string | undefined;
}

/** A conversation as it is shown. */
export interface Entry extends Conversation {
  /** Its last instant message, when that is to be shown. */
  readonly item?: Required<ArchiveItem> | undefined;
}

/**
 * The message about one conversation (XEP-0430 section 3.1): what is known of it, and its last instant message as the archive shows it. What
 * was kept is put in as it is.
 */
export function writeEntry({ from, to, queryId }: EntryHeading, { chat, id, unread, item }: Entry): Stanza {
  const entry = `<entry xmlns='${NS}' jid='${toWire(escapeXml(chat))}' unread='${unread}' id='${id}'/>`;
  return Stanza.written({ name: 'message', from, to }, item ? entry + writeResult(item, queryId) : entry);
}

function writeResult({ id, stanza }: Required<ArchiveItem>, queryId: string | undefined): string {
  const mark = queryId === undefined || queryId.length > MAX_QUERY_ID ? '' : ` queryid='${toWire(escapeXml(queryId))}'`;
  const delay = `<delay xmlns='${NS_DELAY}' stamp='${writeDateTime(timeOf(id) ?? 0)}'/>`;
  const forwarded = `<forwarded xmlns='${NS_FORWARD}'>${delay}${toWire(stanza)}</forwarded>`;
  return `<result xmlns='${NS_MAM}'${mark} id='${id}'>${forwarded}</result>`;
}
