import { createHash } from 'node:crypto';
import { detachText } from '#core';

/** How many of the last messages of one client may still be answered with an error that is copied. */
const MOST = 64;
/** Longer ids are remembered by their hash. */
const MAX_ID = 64;

/** Who had sent the message: the client, or somebody to it. */
export type Direction = 'sent' | 'received';

/**
 * Which eligible messages one client has sent and been given lately: an error is eligible when it answers one of them (XEP-0280
 * section 6.1), and nothing but the id says what it answers (section 10.3). Bounded, whatever ids people make up.
 */
export class Answerable {
  readonly #keys = new Set<string>();

  /** Remembers a message, and forgets the oldest when there are too many. */
  add(direction: Direction, peer: string, id: string): void {
    const key = keyOf(direction, peer, id);
    this.#keys.delete(key);
    this.#keys.add(key);
    if (this.#keys.size <= MOST) return;
    for (const oldest of this.#keys) {
      this.#keys.delete(oldest);
      return;
    }
  }

  /** Whether an error with this id from (or to) the peer answers a message that was sent to (or received from) it. */
  has(direction: Direction, peer: string, id: string): boolean {
    return this.#keys.has(keyOf(direction, peer, id));
  }
}

/** There is no space in a bare JID (RFC 7622 section 3.3). */
function keyOf(direction: Direction, peer: string, id: string): string {
  const short = id.length <= MAX_ID ? id : createHash('sha256').update(id).digest('base64');
  return detachText(`${direction} ${peer} ${short}`);
}
