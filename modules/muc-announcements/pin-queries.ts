// Pins as clients that know of them see them: by IQs, and when they come in.
import { type Element, type Jid, readDateTime, StanzaError, writeDateTime, xml } from '#core';
import { checkReader, type MucApi, type Occupant, type Room } from '../muc/index.ts';
import type { AnnouncementsApi } from './api.ts';
import { showsPins } from './fields.ts';
import { NS_PINS } from './namespaces.ts';
import { pinnedAt, writeShown } from './pin-messages.ts';
import type { Pin } from './pins.ts';

const NS_MUC = 'http://jabber.org/protocol/muc';

/** What people in rooms can ask for; returns what takes it back. */
export function answerPins(rooms: MucApi, api: AnnouncementsApi): readonly (() => void)[] {
  return [
    rooms.atRoom('get', NS_PINS, 'pins', async (room, { from }) => {
      checkReader(room, from);
      return xml('pins', NS_PINS, ...(await api.pins(room)).map(writePin));
    }),
    rooms.atRoom('set', NS_PINS, 'pin', async (room, { from, payload }) => {
      await api.pin(room, idOf(payload), from);
    }),
    rooms.atRoom('set', NS_PINS, 'unpin', async (room, { from, payload }) => {
      await api.unpin(room, idOf(payload), from);
    }),
  ];
}

/**
 * Shows what is pinned to somebody who comes in, once it has got the history and the subject (XEP-0045 section 7.1), the oldest first, as
 * all messages come. Whoever asks for no history wants none of them, and whoever has been here before asks for what is new since.
 */
export async function showPinsTo({ room, occupant }: Entered, api: AnnouncementsApi): Promise<void> {
  if (!showsPins(room)) return;
  const wanted = select(await api.pins(room), occupant);
  // It may have gone, or something may have kept it from coming in.
  if (room.occupants.of(occupant.real) !== occupant) return;
  for (const pin of wanted.toReversed()) {
    const stanza = writeShown(room, pin);
    if (room.arriving.has(occupant)) occupant.held.push({ id: undefined, stanza, from: room.jid });
    else room.send(stanza, room.jid, occupant.real);
  }
}

interface Entered {
  readonly room: Room;
  readonly occupant: Occupant;
}

/** Of the pins, newest first, those that a client asks for by what it says of the history (section 7.2.14). */
function select(pins: readonly Pin[], { presence }: Occupant): readonly Pin[] {
  if (pins.length === 0) return pins;
  const wish = presence.child('x', NS_MUC)?.getChild('history', NS_MUC);
  const most = readNumber(wish, 'maxstanzas') ?? pins.length;
  if (readNumber(wish, 'maxchars') === 0) return [];
  const seconds = readNumber(wish, 'seconds');
  const since = Math.max(
    seconds === undefined ? 0 : Date.now() - seconds * 1000,
    readDateTime(readAttribute(wish, 'since') ?? '') ?? 0,
  );
  return pins.filter((pin) => pinnedAt(pin) >= since).slice(0, most);
}

function writePin(pin: Pin): Element {
  const { id, nick, text, by } = pin;
  const attrs = { id, nick: nick || undefined, by: by || undefined, stamp: writeDateTime(pinnedAt(pin)) };
  return xml('pin', attrs, text === '' ? undefined : xml('body', {}, text));
}

function idOf(payload: Element): string {
  const id = readAttribute(payload, 'id');
  if (!id) throw new StanzaError('bad-request', { text: 'The id of a message is missing' });
  return id;
}

function readNumber(element: Element | undefined, name: string): number | undefined {
  const text = readAttribute(element, name);
  return text !== undefined && /^\d{1,9}$/.test(text) ? Number(text) : undefined;
}

function readAttribute(element: Element | undefined, name: string): string | undefined {
  const value: unknown = element?.attrs[name];
  return typeof value === 'string' ? value : undefined;
}

/** Whether somebody may see what is pinned. */
export function mayRead(room: Room, from: Jid): boolean {
  try {
    checkReader(room, from);
    return true;
  } catch {
    return false;
  }
}
