import { type Element, Jid, type Stanza } from '#core';
import { hasWord, simplify } from './words.ts';

/** The namespace of explicit mentions (XEP-0513). */
export const NS_MENTIONS = 'urn:xmpp:mentions:0';
/** A mention of everybody in the room. */
export const CHANNEL = `${NS_MENTIONS}#channel`;
/** XEP-0372. */
export const NS_REFERENCE = 'urn:xmpp:reference:0';
/** XEP-0461. */
const NS_REPLY = 'urn:xmpp:reply:0';
/** XEP-0428. */
const NS_FALLBACK = 'urn:xmpp:fallback:0';

/** Mentions of each kind that are looked at, and characters of a text. */
const MAX_READ = 100;
const MAX_TEXT = 8192;

/** Somebody who may be meant. */
export interface Mentionable {
  /** By which they are known in the room. */
  readonly nick: string;
  /** XEP-0421. */
  readonly occupantId: string;
  /** Their real bare JID. */
  readonly bare: string;
  /** Whether they are there and about: some mentions are only for those who are (XEP-0513 section 3.5.1). */
  readonly isActive?: boolean;
}

/**
 * Whether something that a room shows is a word to this very person, or to everybody: by an explicit mention (XEP-0513), a reference
 * (XEP-0372), because it replies to them (XEP-0461), or by their nick in the text. What is looked up in the message is looked up once, so
 * that it can be asked of many people. What the sender must not do, the room has taken out before.
 */
export function isMentioned(stanza: Stanza, who: Mentionable): boolean {
  const { toAll, toActive } = mentionsIn(stanza);
  return toAll || (toActive && who.isActive === true) || isNamed(stanza, who);
}

/** As `isMentioned`, without what is said to everybody. */
export function isNamed(stanza: Stanza, who: Mentionable): boolean {
  const { people, nicks, text } = mentionsIn(stanza);
  // What an occupant id is may have to be worked out, and mostly nobody is named by it.
  const found = people.size === 0 ? undefined : strongest(people.get(who.bare), people.get(who.occupantId));
  if (found === 'all' || (found === 'active' && who.isActive === true) || nicks.has(who.nick)) return true;
  // Whom the sender does not want to disturb is not disturbed by the name that stands there (XEP-0513 section 3.5.2).
  return found === undefined && hasWord(text, simplify(who.nick));
}

/** How somebody is mentioned: whatever they do, only when they are about, or not to be notified. */
type Kind = 'all' | 'active' | 'none';

/** What a message says of who is meant. */
interface Mentions {
  /** By occupant ids and real bare JIDs. */
  readonly people: ReadonlyMap<string, Kind>;
  readonly nicks: ReadonlySet<string>;
  readonly toAll: boolean;
  readonly toActive: boolean;
  /** What is said, simplified. */
  readonly text: string;
}

const known = new WeakMap<Stanza, Mentions>();

function mentionsIn(stanza: Stanza): Mentions {
  let mentions = known.get(stanza);
  if (!mentions) {
    mentions = read(stanza);
    known.set(stanza, mentions);
  }
  return mentions;
}

function read(stanza: Stanza): Mentions {
  const room = stanza.from === undefined ? undefined : Jid.tryParse(stanza.from)?.bare;
  const people = new Map<string, Kind>();
  const nicks = new Set<string>();
  const all: Kind[] = [];
  const add = (key: string | undefined, kind: Kind): void => {
    if (key !== undefined) people.set(key, strongest(people.get(key), kind)!);
  };
  /** An address of somebody in the room names them as well as their own. */
  const addAddress = (address: Jid | undefined): void => {
    if (address && address.bare === room && address.resource !== '') nicks.add(address.resource);
    else add(address?.bare, 'all');
  };
  for (const mention of childrenOf(stanza, 'mention', NS_MENTIONS)) {
    const kind = kindOf(mention);
    if (mention.attrs['mentions'] === undefined) {
      add(textOf(mention, 'occupantid'), kind);
      add(Jid.tryParse(textOf(mention, 'jid') ?? '')?.bare, kind);
    } else if (mention.attrs['mentions'] === CHANNEL && isOfRoom(mention, room)) all.push(kind);
  }
  for (const reference of childrenOf(stanza, 'reference', NS_REFERENCE)) {
    if (reference.attrs['type'] === 'mention') addAddress(readUri(textOf(reference, 'uri')));
  }
  const replyTo = childrenOf(stanza, 'reply', NS_REPLY)[0];
  if (replyTo) addAddress(Jid.tryParse(textOf(replyTo, 'to') ?? ''));
  return { people, nicks, toAll: all.includes('all'), toActive: all.includes('active'), text: simplify(ownText(stanza)) };
}

/** Whether a mention of everybody means everybody in this room. */
export function isOfRoom(mention: Element, room: string | undefined): boolean {
  const uri = textOf(mention, 'uri');
  return uri === undefined || (room !== undefined && readUri(uri)?.bare === room);
}

function kindOf(mention: Element): Kind {
  if (mention.getChild('noping', NS_MENTIONS)) return 'none';
  return mention.getChild('active', NS_MENTIONS) ? 'active' : 'all';
}

function strongest(one: Kind | undefined, other: Kind | undefined): Kind | undefined {
  if (one === 'all' || other === 'all') return 'all';
  return one === 'active' || other === 'active' ? 'active' : (one ?? other);
}

/** What is said, without what is quoted for those who cannot show what it replies to (XEP-0461 section 3.1). */
function ownText(stanza: Stanza): string {
  const body = stanza.text('body') ?? '';
  const fallback = childrenOf(stanza, 'fallback', NS_FALLBACK).find(({ attrs }) => attrs['for'] === NS_REPLY);
  if (!fallback) return body.slice(0, MAX_TEXT);
  const range = fallback.getChild('body', NS_FALLBACK);
  const [start, end] = [Number(range?.attrs['start']), Number(range?.attrs['end'])];
  if (!range || !Number.isInteger(start) || !Number.isInteger(end) || start < 0 || end < start) return '';
  const characters = [...body];
  return [...characters.slice(0, start), ' ', ...characters.slice(end, end + MAX_TEXT)].slice(0, MAX_TEXT).join('');
}

/** The address in an `xmpp:` URI (RFC 5122), without what is to be done there. */
function readUri(uri: string | undefined): Jid | undefined {
  if (!uri?.startsWith('xmpp:')) return undefined;
  const [address = ''] = uri.slice(5).split(/[?#]/, 1);
  try {
    return Jid.tryParse(decodeURIComponent(address));
  } catch {
    return undefined;
  }
}

function childrenOf(stanza: Stanza, name: string, xmlns: string): readonly Element[] {
  return stanza.has(name, xmlns) ? stanza.element.getChildren(name, xmlns).slice(0, MAX_READ) : [];
}

function textOf({ attrs }: Element, name: string): string | undefined {
  const value: unknown = attrs[name];
  return typeof value === 'string' ? value : undefined;
}
