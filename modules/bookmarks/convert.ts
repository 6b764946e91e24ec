// A bookmark as XEP-0402 has it, in an item of its own, and as XEP-0048 has it, beside all others in one element.
import { createHash } from 'node:crypto';
import { type Element, Jid, readElement, writeElement, xml } from '#core';

/** The namespace and node of XEP-0402. */
export const NS_BOOKMARKS = 'urn:xmpp:bookmarks:1';
/** Those of XEP-0048. */
export const NS_STORAGE = 'storage:bookmarks';

/** What is said of a room. */
export interface Bookmark {
  readonly name: string | undefined;
  readonly autojoin: boolean;
  readonly nick: string | undefined;
  readonly password: string | undefined;
  /** What clients have added for themselves (XEP-0402 section 2); undefined where nothing is said of that. */
  readonly extensions: readonly Element[] | undefined;
  /**
   * What clients of the older specification have said beyond it: a `conference` of theirs with nothing else. Among the extensions it has its
   * place, where clients of the newer one keep it. Undefined where nothing is said of that.
   */
  readonly extra: Element | undefined;
}

/** By what versions of a bookmark are told apart, part by part; undefined for what is not said. */
export interface Digest {
  readonly core: string;
  readonly extensions: string | undefined;
  readonly extra: string | undefined;
}

const PARTS: ReadonlySet<string> = new Set(['nick', 'password', 'extensions']);
const ATTRS: ReadonlySet<string> = new Set(['jid', 'name', 'autojoin', 'xmlns']);
/** Characters of a hash that are kept: there are few to be told apart. */
const HASH_LENGTH = 16;

/** Reads the payload of an item; undefined when that is no bookmark. */
export function readItem(value: string): { readonly element: Element; readonly bookmark: Bookmark } | undefined {
  const element = value === '' ? undefined : readElement(value);
  if (!element?.is('conference', NS_BOOKMARKS)) return undefined;
  const all = element.getChild('extensions', NS_BOOKMARKS)?.getChildElements() ?? [];
  return {
    element,
    bookmark: {
      ...readCore(element, NS_BOOKMARKS),
      extensions: all.filter((child) => !isConference(child)),
      extra: all.find(isConference),
    },
  };
}

/** Writes the payload of an item. What the one before had that no specification knows of stays in it. */
export function writeItem({ name, autojoin, nick, password, extensions, extra }: Bookmark, before?: Element): string {
  const others = before?.getChildElements().filter((child) => !isPart(child, NS_BOOKMARKS)) ?? [];
  const all = [...(extensions ?? []), ...(extra ? [extra] : [])].map(copy);
  const attrs = { ...before?.attrs, xmlns: NS_BOOKMARKS, name, autojoin: autojoin ? 'true' : undefined };
  return writeElement(
    xml(
      'conference',
      attrs,
      nick === undefined ? undefined : xml('nick', {}, nick),
      password === undefined ? undefined : xml('password', {}, password),
      all.length > 0 ? xml('extensions', {}, ...all) : undefined,
      ...others.map(copy),
    ),
  );
}

/** Reads a `<conference/>` of XEP-0048. */
export function readConference(element: Element): Bookmark {
  const own = copy(element);
  const extensions = own.getChildElements().find((child) => child.getName() === 'extensions' && isKnown(child));
  const rest = own.getChildElements().filter((child) => !isPart(child, NS_STORAGE) && child !== extensions);
  const attrs = Object.entries<string>(own.attrs).filter(([name]) => !ATTRS.has(name));
  const isMore = rest.length > 0 || attrs.some(([name]) => !name.startsWith('xmlns:'));
  return {
    ...readCore(own, NS_STORAGE),
    extensions: extensions?.getChildElements(),
    extra: isMore ? xml('conference', { ...Object.fromEntries(attrs), xmlns: NS_STORAGE }, ...rest.map(copy)) : undefined,
  };
}

/** Writes a `<conference/>` of XEP-0048 (XEP-0402 section 5.1). */
export function writeConference(room: string, bookmark: Bookmark): Element {
  const { name, autojoin, nick, password, extensions, extra } = bookmark;
  return xml(
    'conference',
    { ...extra?.attrs, xmlns: NS_STORAGE, jid: room, name, autojoin: autojoin ? 'true' : 'false' },
    nick === undefined ? undefined : xml('nick', {}, nick),
    password === undefined ? undefined : xml('password', {}, password),
    extensions?.length ? xml('extensions', {}, ...extensions.map(copy)) : undefined,
    ...(extra?.getChildElements().map(copy) ?? []),
  );
}

/** By what this version is known again. How it is written makes no difference. */
export function digestOf({ name, autojoin, nick, password, extensions, extra }: Bookmark): Digest {
  return {
    core: hash([name ?? '', autojoin, nick ?? '', password ?? '']),
    extensions: extensions && hash(extensions.map((each) => JSON.stringify(plain(each))).sort()),
    extra: extra && hash(plain(extra)),
  };
}

/** The room that a bookmark by either specification is about, by its address; undefined when that is none. */
export function roomOf(address: unknown): string | undefined {
  return typeof address === 'string' ? Jid.tryParse(address)?.bare : undefined;
}

/** Whether it is a bookmark of a room by XEP-0048. */
export function isConference(element: Element): boolean {
  return element.is('conference', NS_STORAGE);
}

function readCore(element: Element, xmlns: string): Pick<Bookmark, 'name' | 'autojoin' | 'nick' | 'password'> {
  const { name, autojoin } = element.attrs as Readonly<Record<string, string | undefined>>;
  return {
    name,
    autojoin: autojoin === 'true' || autojoin === '1',
    nick: element.getChildText('nick', xmlns) ?? undefined,
    password: element.getChildText('password', xmlns) ?? undefined,
  };
}

function isPart(child: Element, xmlns: string): boolean {
  return child.getNS() === xmlns && PARTS.has(child.getName());
}

function isKnown(child: Element): boolean {
  return child.getNS() === NS_STORAGE || child.getNS() === NS_BOOKMARKS;
}

/** The same, that stands alone. */
export function copy(element: Element): Element {
  return readElement(writeElement(element));
}

/** What two ways of writing the same have in common. */
function plain(element: Element): unknown {
  const attrs = Object.entries<string>(element.attrs).filter(([name]) => name !== 'xmlns' && !name.startsWith('xmlns:'));
  const children = element.children.map((child) => (typeof child === 'object' ? plain(child) : String(child)));
  return [element.getName(), element.getNS() ?? '', attrs.sort(([a], [b]) => (a < b ? -1 : 1)), children];
}

function hash(value: unknown): string {
  return createHash('sha256').update(JSON.stringify(value)).digest('base64').slice(0, HASH_LENGTH);
}
