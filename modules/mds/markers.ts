import type { Envelope, Jid, Log } from '#core';
import type { MamApi } from '../mam/index.ts';

const NS_MARKERS = 'urn:xmpp:chat-markers:0';
const NS_MUC_USER = 'http://jabber.org/protocol/muc#user';

/** Markers of one account that wait to be looked up. A flood of them is not worth more: each stands for all that were before it. */
const MAX_WAITING = 16;

/** What it takes to understand markers. */
export interface MarkersParts {
  readonly archive: Pick<MamApi, 'find'>;
  readonly log: Log;
  /** A chat of an account has been displayed up to this id of its archive. */
  mark(account: Jid, chat: string, id: string): Promise<void>;
}

/** Look-ups of one account. */
interface Line {
  waiting: number;
  end: Promise<void>;
}

/**
 * Markers that clients send to contacts (XEP-0333) say by the contact's id of a message what a displayed state says by ours: so clients that
 * know nothing else mark chats for their account's other devices, too.
 */
export class Markers {
  readonly #parts: MarkersParts;
  readonly #lines = new Map<string, Line>();

  constructor(parts: MarkersParts) {
    this.#parts = parts;
  }

  /** Takes note of a marker. It is not held up by that, and counts once it is on its way itself. */
  readonly note = ({ stanza, from, to, stored }: Envelope): void => {
    if (!stanza.has('displayed', NS_MARKERS) || to.local === '' || to.bare === from.bare) return;
    // In rooms ids and chats are others: those of what the room reflects, and those of its occupants (XEP-0490 section 4.1).
    if (stanza.type === 'groupchat' || stanza.type === 'error' || stanza.has('x', NS_MUC_USER)) return;
    const id: unknown = stanza.child('displayed', NS_MARKERS)?.attrs['id'];
    if (typeof id !== 'string' || id === '') return;
    this.#inLine(from.local, async () => {
      // One that was refused was never sent, and its sender knows.
      const isSent = await Promise.resolve(stored).then(
        () => true,
        () => false,
      );
      if (isSent) await this.#lookUp(from, to.bare, id);
    });
  };

  /** Waits for what is under way. */
  async settled(): Promise<void> {
    await Promise.all([...this.#lines.values()].map(({ end }) => end));
  }

  async #lookUp(account: Jid, chat: string, messageId: string): Promise<void> {
    const { archive, mark } = this.#parts;
    const id = await archive.find(account.local, chat, messageId);
    if (id !== undefined) await mark(account, chat, id);
  }

  /** One after the other: a look-up may go through a good part of an archive. */
  #inLine(username: string, task: () => Promise<void>): void {
    const line = this.#lines.get(username) ?? { waiting: 0, end: Promise.resolve() };
    if (line.waiting >= MAX_WAITING) return;
    line.waiting++;
    this.#lines.set(username, line);
    line.end = line.end
      .then(task)
      .catch((error: unknown) => this.#parts.log.error('a displayed marker was not noted', { username, error }))
      .then(() => {
        if (--line.waiting === 0) this.#lines.delete(username);
      });
  }
}
