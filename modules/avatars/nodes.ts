// The picture at the nodes of an account (XEP-0084).
import { readElement, writeElement, xml } from '#core';
import type { PepApi } from '../pep/index.ts';
import type { Item } from '../pubsub/index.ts';
import { type Bytes, isPicture, type Picture, readBytes } from './picture.ts';
import { sizeOf } from './sizes.ts';

export const DATA = 'urn:xmpp:avatar:data';
export const METADATA = 'urn:xmpp:avatar:metadata';

/** Formats of one avatar that are looked at. */
const MAX_FORMATS = 10;

/** The item that says that there is no avatar. */
const DISABLED = 'disabled';

/** What the avatar of an account is by its nodes. */
export interface Avatar {
  /**
   * `none`: there is none. `shown`: everybody may see it. `hidden`: not everybody may, or vCards have no place for it, since it is elsewhere
   * or of another kind. `missing`: there is no such picture. `broken`: it is another one than is named.
   */
  readonly is: 'broken' | 'hidden' | 'missing' | 'none' | 'shown';
  /** The hashes it goes by, of all formats that are not elsewhere. */
  readonly ids: readonly string[];
  /** When it is shown. */
  readonly picture?: Picture;
}

/** The hashes that the avatar of an account goes by now, as far as it is not elsewhere. */
export async function readIds(nodes: PepApi, username: string): Promise<readonly string[]> {
  const last = await nodes.last(username, METADATA);
  return last ? readMetadata(last).ids : [];
}

/** Reads what is published now. */
export async function readAvatar(nodes: PepApi, username: string): Promise<Avatar> {
  const last = await nodes.last(username, METADATA);
  const { ids, isElsewhere } = last ? readMetadata(last) : NONE;
  if (ids.length === 0) return { is: isElsewhere ? 'hidden' : 'none', ids };
  const items = await nodes.items(username, DATA, ids);
  const id = ids.find((each) => items.some((item) => item.id === each));
  const item = items.find((each) => each.id === id);
  if (!item) return { is: 'missing', ids };
  const bytes = readData(item);
  // XEP-0398 section 3.1: what is not what it is said to be is not passed on.
  if (bytes?.hash !== item.id.toLowerCase()) return { is: 'broken', ids };
  const place = await nodes.placeOf(username);
  const isOpen = place.nodes.get(DATA)?.config.accessModel === 'open';
  return isOpen && isPicture(bytes) ? { is: 'shown', ids, picture: bytes } : { is: 'hidden', ids };
}

/** The hash of the picture at the data node, where the server has put it there; undefined when it was a client. */
export async function publishedByUs(nodes: PepApi, username: string): Promise<string | undefined> {
  const { jid } = await nodes.placeOf(username);
  const last = await nodes.last(username, DATA);
  return last?.by === jid.bare ? last.id : undefined;
}

/** Publishes a picture as the avatar of an account; makes the nodes so that all who see the vCard see it. */
export async function publishAvatar(nodes: PepApi, username: string, picture: Picture): Promise<void> {
  const { hash, data, type } = picture;
  const size = sizeOf(data, type);
  const info = xml('info', {
    id: hash,
    bytes: String(data.length),
    type,
    width: size && String(size.width),
    height: size && String(size.height),
  });
  const isThere = (await nodes.items(username, DATA, [hash])).some((item) => readData(item)?.hash === hash);
  if (!isThere) await nodes.publish(username, DATA, { id: hash, value: writeData(picture) }, OPEN);
  await nodes.publish(username, METADATA, { id: hash, value: writeElement(xml('metadata', METADATA, info)) }, OPEN);
}

/** Says that an account has no avatar any more (XEP-0084 section 4.2.4), and removes the picture. */
export async function removeAvatar(nodes: PepApi, username: string, ids: readonly string[]): Promise<void> {
  await nodes.publish(username, METADATA, { id: DISABLED, value: writeElement(xml('metadata', METADATA)) }, OPEN);
  await nodes.retract(username, DATA, ids);
}

/** A picture as the data node has it. */
export function writeData({ data }: Picture): string {
  return `<data xmlns='${DATA}'>${data.toString('base64')}</data>`;
}

const OPEN = { accessModel: 'open' } as const;
const NONE: Metadata = { ids: [], isElsewhere: false };

interface Metadata {
  readonly ids: readonly string[];
  /** Whether there are formats that are not here. */
  readonly isElsewhere: boolean;
}

/** The first id is that of the item itself, where it is one of them. */
function readMetadata({ id, value }: Item): Metadata {
  const element = value === '' ? undefined : readElement(value);
  if (!element?.is('metadata', METADATA)) return NONE;
  const infos = element.getChildren('info', METADATA);
  const found = infos.filter(({ attrs }) => attrs['url'] === undefined).map(({ attrs }) => String(attrs['id'] ?? ''));
  const ids = [...new Set(found.filter((each) => each !== ''))].slice(0, MAX_FORMATS);
  ids.sort((a, b) => Number(b === id) - Number(a === id));
  return { ids, isElsewhere: element.getChildElements().length > 0 };
}

function readData({ value }: Item): Bytes | undefined {
  const element = value === '' ? undefined : readElement(value);
  return element?.is('data', DATA) ? readBytes(element.getText()) : undefined;
}
