import { type Element, type Stanza, StanzaError } from '#core';
import { NS_RETRACT } from '../mam/index.ts';
import type { Saying, Whispering } from '../muc/index.ts';
import { NS_FASTEN, NS_MODERATE, NS_MODERATE_0, NS_RETRACT_0 } from './namespaces.ts';

const NAMESPACES: ReadonlySet<string> = new Set([NS_RETRACT, NS_RETRACT_0, NS_MODERATE, NS_MODERATE_0]);
/** What only the room says: that a message was retracted, and by which moderator. */
const VERDICTS: ReadonlySet<string> = new Set(['retracted', 'moderated']);

/** Looked for in every message without making a tree of it. */
const SUSPECT: readonly (readonly [name: string, xmlns: string])[] = [
  ['retract', NS_RETRACT],
  ['apply-to', NS_FASTEN],
  ['retracted', NS_RETRACT],
  ['moderated', NS_MODERATE],
  ['moderated', NS_MODERATE_0],
];

/**
 * Refuses tombstones and moderation in an occupant's own words: they come from the room, or they are forged (XEP-0425, Business Rules).
 * One message retracts one other. Throws StanzaError.
 */
export function refuseForged({ stanza }: Saying | Whispering): void {
  if (!SUSPECT.some(([name, xmlns]) => stanza.has(name, xmlns))) return;
  const suspects = suspectsOf(stanza);
  if (suspects.some((child) => isVerdict(child) || child.getChildElements().some(isVerdict))) {
    throw new StanzaError('forbidden', { text: 'Only the room says what its moderators have retracted' });
  }
  if (suspects.length > 1) throw new StanzaError('bad-request', { text: 'One message is retracted at a time' });
}

function suspectsOf({ element }: Stanza): readonly Element[] {
  return element.getChildElements().filter((child) => {
    const xmlns = child.getNS() ?? '';
    return SUSPECT.some(([name, of]) => child.getName() === name && xmlns === of);
  });
}

function isVerdict(element: Element): boolean {
  return VERDICTS.has(element.getName()) && NAMESPACES.has(element.getNS() ?? '');
}
