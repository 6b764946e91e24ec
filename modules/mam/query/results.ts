import { escapeXml, type Jid, Stanza, sortableId, timeOf, toWire, writeDateTime } from '#core';
import { NS_MAM } from './form.ts';
import type { Item } from './page.ts';

const NS_FORWARD = 'urn:xmpp:forward:0';
const NS_DELAY = 'urn:xmpp:delay';

/** Who is sent results, and of which archive. */
export interface ResultHeading {
  /** What the client wants to find in each result. */
  readonly queryId: string | undefined;
  /** The address of the archive, by which clients tell true results from forged ones (XEP-0313 section 8.2). */
  readonly archive: Jid;
  readonly to: Jid;
}

/**
 * Makes messages of items (XEP-0313 section 4.2). What was kept is put in as it is: nothing is parsed, and a page costs about as much
 * as its bytes.
 */
export function resultWriter({ queryId, archive, to }: ResultHeading): (item: Item) => Stanza {
  const mark = queryId === undefined ? '' : ` queryid='${toWire(escapeXml(queryId))}'`;
  const head = `<result xmlns='${NS_MAM}'${mark} id='`;
  const middle = `'><forwarded xmlns='${NS_FORWARD}'><delay xmlns='${NS_DELAY}' stamp='`;
  return ({ id, stanza }) => {
    const stamp = writeDateTime(timeOf(id) ?? 0);
    const inner = `${head}${id}${middle}${stamp}'/>${toWire(stanza)}</forwarded></result>`;
    return Stanza.written({ name: 'message', id: sortableId(), from: archive.bare, to: to.full }, inner);
  };
}
