import type { Element } from 'ltx';
import { PUBSUB } from '../support/pubsub-scene.ts';
import type { Change } from './ledger.ts';
import { type Question, readItems } from './node-changes.ts';

export const NS_BOOKMARKS = 'urn:xmpp:bookmarks:1';
export const NS_STORAGE = 'storage:bookmarks';
const NS_PRIVATE = 'jabber:iq:private';

/** What is bookmarked. */
export interface BookmarkState {
  /** What is said of rooms, by their addresses. */
  readonly rooms: ReadonlyMap<string, Room>;
  /** The address of a web page, which only the older specification has; empty for none. */
  readonly url: string;
}

/** What is said of a room; each name is given once. */
export interface Room {
  readonly name: string;
  readonly autojoin: boolean;
  readonly nick: string;
}

/** A change of bookmarks, and how it is asked for. */
export interface BookmarkChange extends Change<BookmarkState> {
  readonly kind: string;
  /** The payload of the IQ. */
  readonly request: string;
}

/** Bookmarks in one line. */
export function writeBookmarks({ rooms, url }: BookmarkState): string {
  const list = [...rooms].map(([room, { name, autojoin, nick }]) => `${room}=${name},${autojoin},${nick}`);
  return `${list.sort().join(' ')} ${url}`;
}

/** By XEP-0402. */
export function publishRoom(address: string, room: Room): BookmarkChange {
  const item = `<item id='${address}'>${writeRoom(address, room, NS_BOOKMARKS)}</item>`;
  return {
    kind: 'publish',
    key: room.name,
    what: `publish ${address} ${room.name}`,
    request: `<pubsub xmlns='${PUBSUB}'><publish node='${NS_BOOKMARKS}'>${item}</publish></pubsub>`,
    answer: () => 'result',
    apply: put(address, room),
  };
}

export function retractRoom(address: string): BookmarkChange {
  const item = `<item id='${address}'/>`;
  return {
    kind: 'retract',
    what: `retract ${address}`,
    request: `<pubsub xmlns='${PUBSUB}'><retract node='${NS_BOOKMARKS}' notify='true'>${item}</retract></pubsub>`,
    answer: ({ rooms }) => (rooms.has(address) ? 'result' : 'item-not-found'),
    apply: put(address, undefined),
  };
}

/**
 * By private storage, where all there is is written: rooms that are other than before, with undefined for those that are gone, and the
 * address of a page.
 */
export function writeList(
  before: BookmarkState,
  changes: ReadonlyMap<string, Room | undefined>,
  url = before.url,
): BookmarkChange {
  type Step = (state: BookmarkState) => BookmarkState;
  const steps: Step[] = [...changes].map(([address, room]) => put(address, room));
  if (url !== before.url) steps.push((state) => ({ ...state, url }));
  const apply = (state: BookmarkState) => steps.reduce((so, step) => step(so), state);
  const { rooms } = apply(before);
  const list = [...rooms].map(([address, room]) => writeRoom(address, room, NS_STORAGE));
  const page = url === '' ? '' : `<url name='page' url='${url}'/>`;
  return {
    kind: 'list',
    what: `write ${JSON.stringify([...changes])} ${url}`,
    request: `<query xmlns='${NS_PRIVATE}'><storage xmlns='${NS_STORAGE}'>${list.join('')}${page}</storage></query>`,
    answer: () => 'result',
    apply,
    // Each bookmark is an item of its own.
    partly: (state) =>
      Array.from({ length: 2 ** steps.length }, (_, some) =>
        steps.reduce((so, step, i) => (some & (1 << i) ? step(so) : so), state),
      ).slice(1),
  };
}

/** What a client sees by the older specification. */
export async function readList(ask: Question): Promise<BookmarkState> {
  const answer = await ask(`<query xmlns='${NS_PRIVATE}'><storage xmlns='${NS_STORAGE}'/></query>`);
  const storage = answer!.getChild('storage')!;
  const rooms = storage.getChildren('conference').map((element) => [String(element.attrs['jid']), readRoom(element)] as const);
  return { rooms: new Map(rooms), url: String(storage.getChild('url')?.attrs['url'] ?? '') };
}

/** What a client sees by XEP-0402; pages by the older one. `parse` reads XML. */
export async function readRooms(
  ask: Question,
  parse: (xml: string) => Element,
  faults: string[],
): Promise<BookmarkState['rooms']> {
  const items = await readItems(ask, NS_BOOKMARKS, faults);
  return new Map([...items].map(([address, payload]) => [address, readRoom(parse(payload))]));
}

function readRoom(element: Element): Room {
  const { name, autojoin } = element.attrs;
  return { name: String(name), autojoin: autojoin === 'true' || autojoin === '1', nick: element.getChildText('nick') ?? '' };
}

function writeRoom(address: string, { name, autojoin, nick }: Room, xmlns: string): string {
  const jid = xmlns === NS_STORAGE ? ` jid='${address}'` : '';
  return `<conference xmlns='${xmlns}'${jid} name='${name}' autojoin='${autojoin}'>${nick && `<nick>${nick}</nick>`}</conference>`;
}

function put(address: string, room: Room | undefined): (state: BookmarkState) => BookmarkState {
  return (state) => {
    const rooms = new Map([...state.rooms].filter(([other]) => other !== address));
    if (room) rooms.set(address, room);
    return { ...state, rooms };
  };
}
