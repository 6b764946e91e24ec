// XEP-0377: what users report when they block somebody.
import { cutText, type Element, Jid } from '#core';

/** XEP-0377. */
export const NS_REPORTING = 'urn:xmpp:reporting:1';
/** In front of the names of reasons. */
export const REASON_PREFIX = 'urn:xmpp:reporting:';
const NS_SID = 'urn:xmpp:sid:0';
/** What one report may name. */
const MAX_IDS = 10;
/** Characters of what is kept of texts and ids. */
const MAX_TEXT = 1000;
const MAX_ID = 128;

/** A message that a report names, and what it said then: it may be retracted later. */
export interface Quoted {
  /** Its stanza-id (XEP-0359). */
  readonly id: string;
  readonly body: string;
}

/** A report, as it is kept. */
export interface Report {
  /** Milliseconds since the epoch. */
  readonly at: number;
  /** Bare JID. */
  readonly by: string;
  /** Whom it is about: by the address that was blocked. */
  readonly about: string;
  /** The account behind it, where somebody knows. */
  readonly account?: string;
  /** The room it is about, by its bare JID; the domain of the host where it is about none. */
  readonly place: string;
  /** `spam`, `abuse`, or what else was named. */
  readonly reason: string;
  readonly text: string;
  readonly messages: readonly Quoted[];
}

/** A report as it comes with a request to block somebody. */
export interface Complaint {
  /** Who makes it. */
  readonly from: Jid;
  /** The address that was blocked. */
  readonly about: Jid;
  readonly reason: string;
  readonly text: string;
  /** The messages it names, with who has given them these ids. */
  readonly ids: readonly { readonly id: string; readonly by: Jid }[];
  /** What else may be done with it (section 5). */
  readonly mayGoToOrigin: boolean;
  readonly mayGoToThirdParties: boolean;
}

/** Reads the report in an item; undefined when there is none. Whatever is wrong with it, the address is blocked all the same (section 6). */
export function readComplaint(from: Jid, item: Element): Complaint | undefined {
  const report = item.getChild('report', NS_REPORTING);
  const about = report && Jid.tryParse(String(item.attrs['jid'] ?? ''));
  if (!report || !about) return undefined;
  return {
    from,
    about,
    reason: readReason(report),
    text: cutText(report.getChildText('text', NS_REPORTING)?.trim() ?? '', MAX_TEXT),
    ids: readIds(report),
    mayGoToOrigin: report.getChild('report-origin', NS_REPORTING) !== undefined,
    mayGoToThirdParties: report.getChild('third-party', NS_REPORTING) !== undefined,
  };
}

/** A message as a report quotes it: the beginning of what it says. */
export function quote(id: string, body: string | null | undefined): Quoted {
  return { id, body: cutText(body ?? '', MAX_TEXT) };
}

/** A report in one line; who has made it is for those who administer the host. */
export function describeReport({ at, by, about, account, reason, text, messages }: Report, isForAdmins: boolean): string {
  const who = account === undefined || account === about ? about : `${about} (${account})`;
  const reporter = isForAdmins ? `${by} reports ` : '';
  const said = messages.map(({ id, body }) => (body === '' ? ` [${id}]` : ` [${id}] "${body}"`)).join('');
  const line = `${new Date(at).toISOString()} ${reporter}${who} for ${reason}${text === '' ? '' : `: ${text}`}${said}`;
  return line.replace(/\s+/g, ' ');
}

function readIds(report: Element): Complaint['ids'] {
  return report
    .getChildren('stanza-id', NS_SID)
    .slice(0, MAX_IDS)
    .flatMap(({ attrs: { id, by } }) => {
      const jid = typeof by === 'string' ? Jid.tryParse(by) : undefined;
      return jid && typeof id === 'string' && id.length <= MAX_ID ? [{ id, by: jid }] : [];
    });
}

function readReason({ attrs }: Element): string {
  const reason: unknown = attrs['reason'];
  const text = typeof reason === 'string' ? reason : '';
  const name = text.startsWith(REASON_PREFIX) ? text.slice(REASON_PREFIX.length) : text;
  return /^[\w-]{1,32}$/.test(name) ? name : 'abuse';
}
