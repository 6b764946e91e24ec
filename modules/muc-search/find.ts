import type { Turns } from '#core';
import type { MucApi, Room } from '../muc/index.ts';
import { type Search, simplify } from './form.ts';

/** Rooms read at once. */
const PAGE = 100;

/** A room that was found. */
export interface Found {
  readonly address: string;
  readonly name: string;
  readonly description: string;
  readonly lang: string;
  readonly isOpen: boolean;
  readonly users: number;
  /** Undefined where it is not known. */
  readonly whois?: 'anyone' | 'moderators';
}

/** Behind which room a page begins, in the order that is asked for. */
export interface Place {
  readonly users: number;
  readonly address: string;
}

/** What is searched. Rooms that sleep are not woken: they are read from the list of public rooms, and have no users. */
export interface Source {
  readonly rooms: Pick<MucApi, 'open' | 'listed'>;
  readonly turns: Turns;
}

/** Finds rooms in the order that is asked for, one after the other, as they are wanted. */
export async function* find(source: Source, search: Search, after?: Place): AsyncGenerator<Found> {
  const awake = await findAwake(source, search);
  if (!search.byUsers) return yield* walk(source, search, { awake, after: after?.address });
  const busy = [...awake.values()].flatMap((found) => (found && found.users > 0 ? [found] : [])).sort(compare);
  for (const found of busy) if (!after || compare(after, found) < 0) yield found;
  // Behind them those in which nobody is.
  if (search.minUsers > 0) return;
  const start = after?.users === 0 ? after.address : undefined;
  for await (const found of walk(source, search, { awake, after: start })) if (found.users === 0) yield found;
}

/** The public rooms in memory, by address; undefined for those that are not meant, or not to be found yet. */
async function findAwake({ rooms, turns }: Source, search: Search): Promise<ReadonlyMap<string, Found | undefined>> {
  const awake = new Map<string, Found | undefined>();
  for (const room of rooms.open()) {
    if (turns.isOver()) await turns.next();
    if (!room.settings.isPublic || room.isGone) continue;
    const found = describe(room);
    awake.set(found.address, !room.isLocked && isMeant(search, found) ? found : undefined);
  }
  return awake;
}

interface Walk {
  readonly awake: ReadonlyMap<string, Found | undefined>;
  readonly after: string | undefined;
}

/** All public rooms that are meant, by address. */
async function* walk({ rooms, turns }: Source, search: Search, { awake, after }: Walk): AsyncGenerator<Found> {
  for (let last = after; ; ) {
    const rows = await rooms.listed(last, PAGE);
    for (const [address, listing] of rows) {
      if (turns.isOver()) await turns.next();
      const sleeping = { address, ...listing, users: 0 };
      const found = awake.has(address) ? awake.get(address) : isMeant(search, sleeping) ? sleeping : undefined;
      if (found) yield found;
    }
    if (rows.length < PAGE) return;
    last = rows.at(-1)![0];
  }
}

function describe(room: Room): Found {
  const { name, description, lang, isMembersOnly, password, whois } = room.settings;
  const isOpen = !isMembersOnly && password === undefined;
  return { address: room.jid.bare, name, description, lang, isOpen, whois, users: room.occupants.size };
}

function isMeant(search: Search, { address, name, description, users }: Found): boolean {
  if (users < search.minUsers) return false;
  if (search.terms.length === 0) return true;
  const texts: string[] = [];
  if (search.inName) texts.push(simplify(name));
  if (search.inDescription) texts.push(simplify(description));
  if (search.inAddress) texts.push(simplify(address));
  return search.terms.every((term) => texts.some((text) => text.includes(term)));
}

/** Most users first, then by address. */
function compare(one: Place, other: Place): number {
  return other.users - one.users || (one.address < other.address ? -1 : one.address > other.address ? 1 : 0);
}
