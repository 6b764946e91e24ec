import { Jid } from '../jid.ts';
import { randomToken } from '../random.ts';
import { StreamError } from '../stanza/errors.ts';
import { escapeXml } from '../xml/escape.ts';

export const NS_STREAM = 'http://etherx.jabber.org/streams';
export const NS_CLIENT = 'jabber:client';
export const NS_FRAMING = 'urn:ietf:params:xml:ns:xmpp-framing';

/** What a client says when it opens a stream (RFC 6120 section 4.7, RFC 7395 section 3.3.2). */
export interface ClientHeader {
  /** The prepared domain it wants to speak to. */
  readonly domain: string;
  /** The `from` as written; only echoed. */
  readonly from: string | undefined;
  readonly lang: string | undefined;
}

/** Checks a client's stream header. Throws StreamError with the condition of RFC 6120 section 4.9.3. */
export function readHeader(attrs: ReadonlyMap<string, string>): ClientHeader {
  checkVersion(attrs.get('version'));
  const to = attrs.get('to');
  if (to === undefined || to === '') throw new StreamError('improper-addressing', { text: 'A stream needs a "to"' });
  const domain = Jid.tryParse(to);
  if (!domain?.isDomain) throw new StreamError('host-unknown');
  return { domain: domain.domain, from: attrs.get('from'), lang: attrs.get('xml:lang') };
}

/** RFC 6120 section 4.7.5: a missing version is 0.9, whose streams have no features. A higher one is answered with ours. */
function checkVersion(version: string | undefined): void {
  const match = /^(\d{1,3})\.(\d{1,3})$/.exec(version ?? '0.9');
  if (!match || Number(match[1]) < 1) throw new StreamError('unsupported-version');
}

/** Our own header, in the framing of the transport. `domain` is what we serve, or what was asked for when we do not know it. */
export function writeHeader(framed: boolean, domain: string | undefined, to: string | undefined): string {
  const id = randomToken(16);
  const addresses = `${domain === undefined ? '' : ` from='${escapeXml(domain)}'`}${to === undefined ? '' : ` to='${escapeXml(to)}'`}`;
  const common = `${addresses} id='${id}' version='1.0' xml:lang='en'`;
  if (framed) return `<open xmlns='${NS_FRAMING}'${common}/>`;
  return `<?xml version='1.0'?><stream:stream xmlns='${NS_CLIENT}' xmlns:stream='${NS_STREAM}'${common}>`;
}

/** Our own footer. */
export function writeFooter(framed: boolean): string {
  return framed ? `<close xmlns='${NS_FRAMING}'/>` : '</stream:stream>';
}
