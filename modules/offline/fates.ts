import {
  type ArchiveItem,
  type Envelope,
  type Handover,
  isSession,
  type Log,
  type Resource,
  sortableId,
  writeStanza,
} from '#core';
import type { Waiting } from './backlog.ts';
import type { Box, Boxes } from './box.ts';
import { KEPT_HERE, withoutForgedDelay } from './delivery.ts';
import type { Marks } from './mark.ts';

/** What following messages needs of its surroundings. */
export interface FatesParts {
  readonly domain: string;
  readonly marks: Marks;
  readonly boxes: Boxes;
  readonly log: Log;
  /** Who a message is given to now. */
  recipients(env: Envelope): readonly Resource[];
}

/** Follows messages that are kept to the clients that confirm what they get (XEP-0198), and knows what became of them. */
export class Fates {
  readonly #parts: FatesParts;

  constructor(parts: FatesParts) {
    this.#parts = parts;
  }

  /** A message that nothing else keeps is kept here while it is on its way to who confirms what they get. */
  keepUntilConfirmed(env: Envelope): void {
    const { boxes, domain, recipients } = this.#parts;
    const { to, stanza } = env;
    if (stanza.type === 'groupchat') return;
    if (!recipients(env).some((resource) => isSession(resource) && resource.keeper !== undefined)) return;
    const item = { ...itemOf(env, domain), isArchived: false };
    const box = boxes.get(to.local);
    env.stanza = stanza.kept(`${KEPT_HERE}${item.id}`);
    box.hand(item);
    const appended = box.append(item).then((hasRoom) => {
      // It is delivered all the same, and nobody keeps it.
      if (!hasRoom) env.stanza = stanza;
    });
    env.wait(appended);
    void watchDelivery(box, item, env.stored!);
  }

  readonly given = ({ session, id }: Handover): void => {
    const { boxes, marks } = this.#parts;
    if (id.startsWith(KEPT_HERE)) boxes.get(session.jid.local).given(id.slice(KEPT_HERE.length));
    else marks.get(session.jid.local).given(id);
  };

  /** As above, before this module was started. */
  readonly givenBefore = ({ session, id }: Handover): void => {
    const { boxes, marks } = this.#parts;
    if (id.startsWith(KEPT_HERE)) boxes.get(session.jid.local).given(id.slice(KEPT_HERE.length));
    else marks.get(session.jid.local).givenBefore(id);
  };

  readonly arrived = (handover: Handover): void => this.#settle(handover, true);

  readonly returned = (handover: Handover): void => this.#settle(handover, false);

  /** Notes what an account has got. Resolves once that is durable; undefined when it is. */
  readonly note = (username: string): Promise<unknown> | undefined => {
    const { boxes, marks } = this.#parts;
    const mark = marks.get(username);
    const removing = boxes.peek(username)?.removing;
    return mark.isUnsaved ? Promise.all([mark.save(), removing]) : removing;
  };

  #settle({ session, id }: Handover, hasArrived: boolean): void {
    const { boxes, marks, log } = this.#parts;
    const { local, bare } = session.jid;
    if (id.startsWith(KEPT_HERE)) {
      const settled = boxes.get(local).settleOne(id.slice(KEPT_HERE.length), hasArrived);
      settled.catch((error: unknown) => log.error('a message that has arrived is still kept', { account: bare, error }));
    } else if (hasArrived) marks.get(local).arrived(id);
    else marks.get(local).returned(id);
  }
}

/** A message as it is kept here. */
export function itemOf({ stanza, from }: Envelope, domain: string): ArchiveItem {
  return { id: sortableId(), with: from.bare, stanza: writeStanza(withoutForgedDelay(stanza, domain)) };
}

/** Waits until it has come to all who get it now. */
async function watchDelivery(box: Box, item: Waiting, stored: Promise<unknown>): Promise<void> {
  try {
    await stored;
    await new Promise((resolve) => setImmediate(resolve));
    box.landed(item.id);
  } catch {
    // Its sender is told that it was not taken.
    await box.settled();
    await box.settle([item], true).catch(() => {});
  }
}
