// Which picture somebody has, in their presence (XEP-0153 section 3.1 and XEP-0398 section 4).
import { Element, Stanza, xml } from '#core';

export const NS_UPDATE = 'vcard-temp:x:update';

/** What is said of an account's picture when it is no hash. */
export const SAYS = {
  /** It has never had one. */
  nothing: 'nothing',
  /** It has none any more. */
  none: 'none',
  /** It has one that not everybody may see: who may is told by its nodes. */
  hidden: 'hidden',
} as const;

/** Whether it is a picture that is said of it. */
export function isHash(says: string): boolean {
  return says !== SAYS.none && !isSilent(says);
}

/**
 * A presence that says which picture its account has: `says` is a hash, or one of SAYS. The same stanza when it is right as it is. With
 * `isOurs` what it says of that so far was put there by the server, and not by the client.
 */
export function stamp(presence: Stanza, says: string, isOurs: boolean): Stanza {
  if (!presence.has('x', NS_UPDATE)) return isSilent(says) ? presence : withPhoto(presence, says);
  if (isOurs) return isSilent(says) ? presence.filter(isOther) : withPhoto(presence, says);
  return isLeft(presence, says) ? presence : withPhoto(presence, says);
}

/** Whether nothing is said to those who do not ask. */
function isSilent(says: string): boolean {
  return says === SAYS.nothing || says === SAYS.hidden;
}

/** Whether what a client says itself stays as it is (XEP-0398 section 4). */
function isLeft(presence: Stanza, says: string): boolean {
  if (says === SAYS.hidden) return true;
  const photo = presence.child('x', NS_UPDATE)?.getChild('photo', NS_UPDATE)?.getText().trim().toLowerCase();
  // A client that shows none on purpose, though its account may have one.
  if (photo === '') return true;
  if (photo === undefined) return false;
  return says === SAYS.nothing || photo === says;
}

function withPhoto(presence: Stanza, says: string): Stanza {
  const { element } = presence;
  const hash = isHash(says) ? says : undefined;
  const copy = new Element(element.name);
  copy.attrs = element.attrs;
  copy.children = element.children.filter((child) => !(child instanceof Element) || isOther(child));
  copy.children.push(xml('x', NS_UPDATE, xml('photo', {}, hash)));
  return Stanza.of(copy);
}

function isOther(child: Element): boolean {
  return !child.is('x', NS_UPDATE);
}
