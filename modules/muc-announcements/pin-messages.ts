// What is said about pinned messages. Whoever reads that in the archive is not told the text: when it is retracted, it has to be gone
// there too; clients find it by the reply (XEP-0461), and those who come in are shown it by messages that are not archived.
// Clients take them for the room's own only when they come from the address of the room itself.
import { Stanza, timeOf, writeDateTime, xml } from '#core';
import type { Room } from '../muc/index.ts';
import { NS_PINS } from './namespaces.ts';
import type { Pin } from './pins.ts';

const NS_DELAY = 'urn:xmpp:delay';
const NS_FALLBACK = 'urn:xmpp:fallback:0';
const NS_REPLY = 'urn:xmpp:reply:0';
const NS_HINTS = 'urn:xmpp:hints';

/** When a message was pinned. */
export function pinnedAt({ mark }: Pin): number {
  return timeOf(mark) ?? 0;
}

/** Tells everybody that a message is pinned. */
export function writePinned(room: Room, pin: Pin): Stanza {
  return write(room, pin, { id: pin.mark, body: `Pinned by ${nameOf(pin.by)}: a message of ${nameOf(pin.nick, 'the room')}` });
}

/** Tells everybody that a message is not pinned any more; `by` is a nick. */
export function writeUnpinned(room: Room, pin: Pin, by: string): Stanza {
  const body = `Unpinned by ${nameOf(by)}: a message of ${nameOf(pin.nick, 'the room')}`;
  return write(room, { ...pin, by }, { id: `${pin.mark}-unpinned`, body, name: 'unpinned' });
}

/** Shows a pinned message to somebody who comes in. Its id is the same every time, so that a client can tell that it has it. */
export function writeShown(room: Room, pin: Pin): Stanza {
  const message = write(room, pin, { id: `${pin.mark}-shown`, body: `Pinned by ${nameOf(pin.by)}: ${showText(pin)}` });
  const delay = { from: room.jid.full, stamp: writeDateTime(pinnedAt(pin)) };
  return message.plus('delay', NS_DELAY, delay).plus('no-store', NS_HINTS, {});
}

/** Who has said what, as people read it. */
export function showText({ nick, text }: Pick<Pin, 'nick' | 'text'>): string {
  const shown = text === '' ? '(encrypted)' : text;
  return nick === '' ? shown : `${nick}: ${shown}`;
}

interface Message {
  readonly id: string;
  readonly body: string;
  readonly name?: string;
}

function write(room: Room, pin: Pin, { id, body, name = 'pinned' }: Message): Stanza {
  const to = pin.nick === '' ? room.jid : room.addressOf(pin.nick);
  const by = pin.by === '' ? undefined : pin.by;
  return Stanza.of(
    xml(
      'message',
      { type: 'groupchat', id },
      xml('body', {}, body),
      xml(name, { xmlns: NS_PINS, id: pin.id, by }),
      xml('reply', { xmlns: NS_REPLY, to: to.full, id: pin.id }),
      xml('fallback', { xmlns: NS_FALLBACK, for: NS_PINS }, xml('body')),
    ),
  );
}

/** A nick, or what stands for those who have none. */
export function nameOf(nick: string, otherwise = 'an admin'): string {
  return nick === '' ? otherwise : nick;
}
