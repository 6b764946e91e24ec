import type { Element } from '#core';

/** Characters of each that are kept. */
const MAX = 128;

/** What somebody is called by their vCard. What is empty there is left out. */
export interface CardNames {
  /** N/GIVEN. */
  readonly first?: string;
  /** N/FAMILY. */
  readonly last?: string;
  /** FN. */
  readonly full?: string;
  /** NICKNAME. */
  readonly nick?: string;
  /** The first EMAIL. */
  readonly email?: string;
}

/** Reads what somebody is called (XEP-0054 section 2). */
export function readNames(card: Element): CardNames {
  const parts = card.getChild('N');
  const email = card.getChild('EMAIL');
  const texts = {
    first: parts?.getChildText('GIVEN'),
    last: parts?.getChildText('FAMILY'),
    full: card.getChildText('FN'),
    nick: card.getChildText('NICKNAME'),
    email: email && (email.getChildText('USERID') ?? email.getText()),
  };
  const found = Object.entries(texts).map(([name, text]) => [name, tidy(text ?? '')] as const);
  return Object.fromEntries(found.filter(([, text]) => text !== ''));
}

/** On one line, and no longer than names are. Characters outside the basic plane stay whole. */
function tidy(text: string): string {
  const line = text
    .slice(0, MAX * 4)
    .replace(/\s+/g, ' ')
    .trim();
  return line.length <= MAX ? line : [...line].slice(0, MAX).join('');
}
