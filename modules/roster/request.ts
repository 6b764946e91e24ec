import { type Element, Jid, StanzaError } from '#core';

/** What a client may write into a roster item, in UTF-8 bytes and numbers. */
export interface ItemLimits {
  readonly maxNameBytes: number;
  readonly maxGroups: number;
}

/** A roster set (RFC 6121 sections 2.3 to 2.5). */
export interface ItemRequest {
  readonly jid: Jid;
  readonly isRemoval: boolean;
  readonly name: string | undefined;
  readonly groups: readonly string[];
}

/**
 * Reads a roster set. Throws StanzaError as RFC 6121 section 2.3.3 says: `bad-request` when there is not exactly one item, with a
 * bare JID and no group twice; `jid-malformed`; `not-acceptable` for names too long or empty.
 */
export function readRequest(query: Element, limits: ItemLimits): ItemRequest {
  const [item, second] = query.getChildElements().filter((child) => child.getName() === 'item');
  if (!item || second) throw new StanzaError('bad-request', { text: 'A roster set has exactly one item' });
  const jid = readJid(item.attrs['jid']);
  // Every other value is ignored (section 2.1.2.5).
  if (item.attrs['subscription'] === 'remove') return { jid, isRemoval: true, name: undefined, groups: [] };
  const name: unknown = item.attrs['name'];
  const text = typeof name === 'string' && name !== '' ? name : undefined;
  if (text !== undefined) checkLength(text, limits);
  return { jid, isRemoval: false, name: text, groups: readGroups(item, limits) };
}

function readJid(text: unknown): Jid {
  if (typeof text !== 'string') throw new StanzaError('bad-request', { text: 'A roster item has a JID' });
  const jid = Jid.tryParse(text);
  if (!jid) throw new StanzaError('jid-malformed');
  if (!jid.isBare) throw new StanzaError('bad-request', { text: 'The JID of a roster item is bare' });
  return jid;
}

function readGroups(item: Element, limits: ItemLimits): readonly string[] {
  const groups = new Set<string>();
  for (const child of item.getChildElements()) {
    if (child.getName() !== 'group') continue;
    const group = child.getText();
    if (group === '') throw new StanzaError('not-acceptable', { text: 'A group has a name' });
    checkLength(group, limits);
    if (groups.has(group)) throw new StanzaError('bad-request', { text: 'A group is named twice' });
    if (groups.size >= limits.maxGroups) throw new StanzaError('not-acceptable', { text: 'The item is in too many groups' });
    groups.add(group);
  }
  return [...groups];
}

function checkLength(text: string, { maxNameBytes }: ItemLimits): void {
  if (Buffer.byteLength(text) > maxNameBytes) throw new StanzaError('not-acceptable', { text: 'A name is too long' });
}
