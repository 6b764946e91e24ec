// The <body/> of XEP-0124 (1.11.2) with the attributes of XEP-0206 (1.4): read from requests, written into responses.
import { Element } from '../xml/element.ts';
import { escapeXml } from '../xml/escape.ts';
import { serialize } from '../xml/serialize.ts';
import { parseMessage, type SplitterLimits } from '../xml/splitter.ts';
import { toWire } from '../xml/wire.ts';

export const NS_BOSH = 'http://jabber.org/protocol/httpbind';
const NS_XBOSH = 'urn:xmpp:xbosh';
const NS_STREAM = 'http://etherx.jabber.org/streams';
const NS_CLIENT = 'jabber:client';
const NS_FRAMING = 'urn:ietf:params:xml:ns:xmpp-framing';
const MAX_RID = Number.MAX_SAFE_INTEGER;

/** Terminal binding conditions (XEP-0124 section 17.2) that this server uses. */
export type BoshCondition =
  | 'bad-request'
  | 'host-gone'
  | 'host-unknown'
  | 'improper-addressing'
  | 'internal-server-error'
  | 'item-not-found'
  | 'policy-violation'
  | 'remote-stream-error'
  | 'system-shutdown';

/** Ends a session, or a request that belongs to none. */
export class BoshError extends Error {
  readonly condition: BoshCondition;

  constructor(condition: BoshCondition) {
    super(condition);
    this.condition = condition;
  }
}

/** What a request asks for. */
export interface BoshRequest {
  readonly rid: number;
  readonly sid: string | undefined;
  readonly to: string | undefined;
  readonly from: string | undefined;
  readonly lang: string | undefined;
  /** The version of XMPP. */
  readonly version: string | undefined;
  /** Major and minor number of the version of BOSH. */
  readonly ver: readonly [number, number] | undefined;
  readonly wait: number | undefined;
  readonly hold: number | undefined;
  readonly ack: number | undefined;
  readonly pause: number | undefined;
  readonly content: string | undefined;
  readonly key: string | undefined;
  readonly newKey: string | undefined;
  readonly isTerminate: boolean;
  readonly isRestart: boolean;
  /** The payloads, each with all it needs to stand alone. */
  readonly payloads: readonly Buffer[];
}

/** Reads a request. Throws BoshError `bad-request` for what is none. */
export function readBody(bytes: Buffer, limits: SplitterLimits): BoshRequest {
  const element = parse(trim(bytes), limits);
  const attrs = new Map(Object.entries(element.attrs as Record<string, string>));
  const rid = readNumber(attrs.get('rid'), MAX_RID);
  if (rid === undefined || rid === 0) throw new BoshError('bad-request');
  const xbosh = prefixOf(attrs, NS_XBOSH);
  const restart = attrs.get(`${xbosh}:restart`);
  return {
    rid,
    sid: attrs.get('sid'),
    to: attrs.get('to'),
    from: attrs.get('from'),
    lang: attrs.get('xml:lang'),
    version: attrs.get(`${xbosh}:version`),
    ver: readVersion(attrs.get('ver')),
    wait: readNumber(attrs.get('wait'), 0xffff),
    hold: readNumber(attrs.get('hold'), 0xff),
    ack: readNumber(attrs.get('ack'), MAX_RID),
    pause: readNumber(attrs.get('pause'), 0xffff),
    content: attrs.get('content'),
    key: attrs.get('key'),
    newKey: attrs.get('newkey'),
    isTerminate: attrs.get('type') === 'terminate',
    isRestart: restart === 'true' || restart === '1',
    payloads: readPayloads(element, attrs),
  };
}

function parse(bytes: Buffer, limits: SplitterLimits): Element {
  if (bytes.length > limits.maxBytes) throw new BoshError('policy-violation');
  try {
    const stanza = parseMessage(bytes, limits);
    if (stanza.name === 'body' && stanza.xmlns === NS_BOSH) return stanza.element;
  } catch {
    // Whatever is wrong with it, this is the one condition for it.
  }
  throw new BoshError('bad-request');
}

/** A document may have a declaration before its element, and white space around it (XML 1.0 section 2.1). */
function trim(bytes: Buffer): Buffer {
  const start = /^(?:<\?xml[ \t\r\n][^?<>]{0,100}\?>)?[ \t\r\n]*/.exec(bytes.toString('latin1', 0, 256))![0].length;
  let end = bytes.length;
  while (end > start && bytes[end - 1]! <= 32) end--;
  return bytes.subarray(start, end);
}

function readNumber(text: string | undefined, max: number): number | undefined {
  if (text === undefined) return undefined;
  const value = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
  if (!(value <= max)) throw new BoshError('bad-request');
  return value;
}

function readVersion(text: string | undefined): readonly [number, number] | undefined {
  const match = /^(\d{1,4})\.(\d{1,4})$/.exec(text ?? '');
  return match ? [Number(match[1]), Number(match[2])] : undefined;
}

function prefixOf(attrs: ReadonlyMap<string, string>, xmlns: string): string {
  for (const [name, value] of attrs) if (value === xmlns && name.startsWith('xmlns:')) return name.slice(6);
  return 'xmpp';
}

function readPayloads(body: Element, attrs: ReadonlyMap<string, string>): readonly Buffer[] {
  const declared = [...attrs].filter(([name]) => name.startsWith('xmlns:'));
  const payloads: Buffer[] = [];
  for (const child of body.children as readonly unknown[]) {
    if (child instanceof Element) payloads.push(Buffer.from(standAlone(child, declared)));
    else if (!/^[ \t\r\n]*$/.test(String(child))) throw new BoshError('bad-request'); // XEP-0124 section 5
  }
  return payloads;
}

/** With what it uses of the declarations on <body/>. Stanzas without a namespace are taken for clients' (XEP-0206 section 2). */
function standAlone(child: Element, declared: readonly (readonly [string, string])[]): string {
  const attrs = child.attrs as Record<string, string>;
  const { xmlns } = attrs;
  const isStanza = child.name === 'message' || child.name === 'presence' || child.name === 'iq';
  const own = xmlns === undefined || (isStanza && xmlns === NS_BOSH) ? (isStanza ? NS_CLIENT : NS_BOSH) : xmlns;
  const copy = new Element(child.name);
  copy.children = child.children;
  copy.attrs = Object.assign(Object.create(null), attrs, { xmlns: own });
  const text = serialize(copy);
  const used = declared.filter(([name]) => attrs[name] === undefined && usesPrefix(text, name.slice(6)));
  if (used.length === 0) return text;
  Object.assign(copy.attrs, Object.fromEntries(used));
  return serialize(copy);
}

function usesPrefix(text: string, prefix: string): boolean {
  return text.includes(`<${prefix}:`) || text.includes(` ${prefix}:`);
}

/** The <open/> that begins or restarts the stream for a request (RFC 7395 section 3.3.2). */
export function writeOpen({ to, from, lang, version }: Pick<BoshRequest, 'to' | 'from' | 'lang' | 'version'>): Buffer {
  const attrs = { to, from, 'xml:lang': lang, version: version ?? '1.0' };
  return Buffer.from(`<open xmlns='${NS_FRAMING}'${writeAttributes(attrs)}/>`);
}

/** The <close/> that ends the stream. */
export const CLOSE = Buffer.from(`<close xmlns='${NS_FRAMING}'/>`);

/** The attributes of our own <open/>, by which the creation response tells of the stream. */
export function readOpen(wire: string, limits: SplitterLimits): ReadonlyMap<string, string> {
  return new Map(Object.entries(parseMessage(Buffer.from(wire, 'latin1'), limits).element.attrs as Record<string, string>));
}

/** A response as a byte string; `payloads` are joined byte strings. */
export function writeBody(attrs: Readonly<Record<string, string | number | undefined>>, payloads: string): string {
  const usesStream = payloads.includes('<stream:');
  const usesXbosh = Object.keys(attrs).some((name) => name.startsWith('xmpp:'));
  const head = `<body xmlns='${NS_BOSH}'${usesXbosh ? ` xmlns:xmpp='${NS_XBOSH}'` : ''}${usesStream ? ` xmlns:stream='${NS_STREAM}'` : ''}`;
  const rest = toWire(writeAttributes(attrs));
  return payloads === '' ? `${head}${rest}/>` : `${head}${rest}>${payloads}</body>`;
}

function writeAttributes(attrs: Readonly<Record<string, string | number | undefined>>): string {
  let text = '';
  for (const [name, value] of Object.entries(attrs)) if (value !== undefined) text += ` ${name}='${escapeXml(String(value))}'`;
  return text;
}

/** The response that ends a session (XEP-0124 section 17.2). */
export function writeTermination(condition: BoshCondition | undefined, payloads = ''): string {
  return writeBody({ type: 'terminate', condition }, payloads);
}

/** Stream errors that have a condition of their own; all others are `remote-stream-error`. */
const CONDITIONS: readonly BoshCondition[] = ['host-gone', 'host-unknown', 'improper-addressing', 'system-shutdown'];

/** The condition for our own <stream:error/>. */
export function conditionOf(streamError: string): BoshCondition {
  return CONDITIONS.find((condition) => streamError.includes(`<${condition} `)) ?? 'remote-stream-error';
}
