import { detachText, type Element, type Stanza } from '#core';

/** The namespace of XEP-0115. */
export const NS_LEGACY = 'http://jabber.org/protocol/caps';
/** The namespace of XEP-0390. */
export const NS_CAPS = 'urn:xmpp:caps';
/** The namespace of XEP-0300. */
export const NS_HASHES = 'urn:xmpp:hashes:2';

/** What is longer is no hash of anybody's. */
const MAX_LENGTH = 512;
/** So many bundles of the old format are asked for. */
const MOST_BUNDLES = 8;

/** What a client says of itself in its presence: where to ask what it supports, and how to verify the answer. */
export interface Announcement {
  /** By XEP-0390, not XEP-0115. */
  readonly isModern: boolean;
  /** The name of the algorithm; '' where there was none, as before version 1.4 of XEP-0115. */
  readonly hash: string;
  /** The verification string. */
  readonly ver: string;
  /** XEP-0115: what names the software. */
  readonly node: string;
  /** XEP-0115 before version 1.4: names of further bundles of features. */
  readonly ext: string;
}

/** Whether `ver` is a hash that we can compute. */
export function isVerifiable({ isModern, hash }: Announcement): boolean {
  return isModern ? hash === 'sha-256' || hash === 'sha3-256' : hash === 'sha-1';
}

/** Whether the same answer is to be expected for both. */
export function isSame(one: Announcement, other: Announcement): boolean {
  if (one.ver !== other.ver || one.hash !== other.hash || one.isModern !== other.isModern) return false;
  return isVerifiable(one) || (one.node === other.node && one.ext === other.ext);
}

/**
 * Reads it from presence; undefined when there is none that makes sense. Its strings may be parts of the stanza: `detach` is for what is
 * kept. A hash that can be verified is preferred, and XEP-0390 to XEP-0115.
 */
export function readAnnouncement(presence: Stanza): Announcement | undefined {
  const modern = presence.has('c', NS_CAPS) ? readModern(presence.child('c', NS_CAPS)!) : undefined;
  if (modern && isVerifiable(modern)) return modern;
  const legacy = presence.has('c', NS_LEGACY) ? readLegacy(presence.child('c', NS_LEGACY)!) : undefined;
  return legacy && isVerifiable(legacy) ? legacy : (modern ?? legacy);
}

/** A copy of its own: what was read from a stanza would keep the whole stanza in memory. */
export function detach({ isModern, hash, ver, node, ext }: Announcement): Announcement {
  return { isModern, hash: detachText(hash), ver: detachText(ver), node: detachText(node), ext: detachText(ext) };
}

/** The nodes of disco#info at which the client is asked (XEP-0115 section 6.2, XEP-0390 section 4.3). Together they say what it supports. */
export function nodesOf({ isModern, hash, ver, node, ext }: Announcement): readonly string[] {
  if (isModern) return [`${NS_CAPS}#${hash}.${ver}`];
  const bundles = hash === '' ? ext.split(/\s+/).filter((name) => name !== '' && name !== ver) : [];
  return [ver, ...new Set(bundles.slice(0, MOST_BUNDLES))].map((name) => `${node}#${name}`);
}

function readLegacy({ attrs }: Element): Announcement | undefined {
  const { node, ver, hash = '', ext = '' } = attrs as Readonly<Record<string, string | undefined>>;
  if (node === undefined || ver === undefined || node.length + ver.length + hash.length + ext.length > MAX_LENGTH)
    return undefined;
  return { isModern: false, hash, ver, node, ext };
}

function readModern(c: Element): Announcement | undefined {
  let best: Announcement | undefined;
  for (const child of c.getChildren('hash', NS_HASHES)) {
    const found = readHash(child);
    if (found && (!best || rank(found) > rank(best))) best = found;
  }
  return best;
}

function readHash(element: Element): Announcement | undefined {
  const hash = String(element.attrs['algo'] ?? '');
  const ver = element.getText().trim();
  if (hash === '' || ver === '' || hash.length + ver.length > MAX_LENGTH) return undefined;
  return { isModern: true, hash, ver, node: '', ext: '' };
}

/** Which hash of a set to ask for: whichever we like (XEP-0390 section 4.4). */
function rank({ hash }: Announcement): number {
  return hash === 'sha-256' ? 2 : hash === 'sha3-256' ? 1 : 0;
}
