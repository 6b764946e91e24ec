import { type ArchiveFilter, type Element, type RsmRequest, readRsm, StanzaError } from '#core';
import { TAG } from '../tag.ts';
import { type Fields, NS_MAM, readFields } from './form.ts';
import { Words } from './words.ts';

/** It is written into every result, so a long one would cost many times its length. */
const MAX_QUERY_ID = 256;

/** What a client has asked for, checked as far as that can be done without the archive. */
export interface Request {
  /** To be repeated in each result. */
  readonly queryId: string | undefined;
  /** What is in the result set, all pages of it. */
  readonly filter: ArchiveFilter;
  /** The same between the ids that RSM names, from the end where that is wanted (`last`). */
  readonly page: ArchiveFilter;
  /** How many results at most. */
  readonly max: number;
  /** Every id the client has named, which has to be in the archive. */
  readonly named: ReadonlySet<string>;
  readonly words: Words | undefined;
  /** Whether the page is sent from its end (XEP-0313 section 4.3.4). */
  readonly isFlipped: boolean;
  /** Whether nothing in the request keeps the newest items away from who asks. */
  readonly isOpenEnded: boolean;
}

/** Reads a `<query/>`. Throws StanzaError for what cannot be answered. */
export function readRequest(query: Element, maxPage: number): Request {
  const attrs = query.attrs as Readonly<Record<string, string | undefined>>;
  const queryId = attrs['queryid'];
  if (queryId !== undefined && queryId.length > MAX_QUERY_ID) {
    throw new StanzaError('bad-request', { text: `"queryid" has at most ${MAX_QUERY_ID} characters` });
  }
  // Nodes are for archives of pubsub services (section 6.1.3).
  if (attrs['node'] !== undefined) throw new StanzaError('feature-not-implemented');
  const fields = readFields(query);
  const rsm = readRsm(query);
  // To find a place by its number, all before it would have to be counted (XEP-0059 section 2.6).
  if (rsm?.index !== undefined) throw new StanzaError('feature-not-implemented');
  const words = fields.text === undefined ? undefined : Words.read(fields.text);
  const filter = toFilter(fields);
  return {
    queryId,
    filter,
    page: narrow(filter, rsm),
    max: Math.min(rsm?.max ?? maxPage, maxPage),
    named: namedIds(fields, rsm),
    words,
    isFlipped: query.getChild('flip-page', NS_MAM) !== undefined,
    isOpenEnded: !fields.with && fields.end === undefined && !fields.before && !fields.ids && !words && !rsm?.before,
  };
}

function toFilter(fields: Fields): ArchiveFilter {
  const { with: other, start, end, before, after, ids } = fields;
  return {
    ...(other && { with: other.bare }),
    // With a bare JID all its resources are meant (XEP-0313 section 4.1.1).
    ...(other && !other.isBare && { resource: other.resource }),
    ...(start !== undefined && { start }),
    ...(end !== undefined && { end }),
    ...(before !== undefined && { before }),
    ...(after !== undefined && { after }),
    ...(ids && { ids }),
    ...(!fields.includesGroupchat && { tag: { mask: TAG.groupchat, value: 0 } }),
  };
}

/** `before` means the end of what is before it, also when the range is closed on the other side by `after` (XEP-0059 section 2.3). */
function narrow(filter: ArchiveFilter, rsm: RsmRequest | undefined): ArchiveFilter {
  if (!rsm) return filter;
  const before = rsm.before || undefined;
  return {
    ...filter,
    ...(before !== undefined && (filter.before === undefined || before < filter.before) && { before }),
    ...(rsm.after !== undefined && (filter.after === undefined || rsm.after > filter.after) && { after: rsm.after }),
    last: rsm.before !== undefined,
  };
}

function namedIds(fields: Fields, rsm: RsmRequest | undefined): ReadonlySet<string> {
  const ids = new Set(fields.ids);
  for (const id of [fields.before, fields.after, rsm?.before, rsm?.after]) if (id) ids.add(id);
  return ids;
}
