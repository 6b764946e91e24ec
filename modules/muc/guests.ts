import { Jid, type Log, type MapStore, type Router, readStanza, writeStanza } from '#core';
import { leave } from './leaving.ts';
import { Occupant } from './occupant.ts';
import { ROLES, type Role } from './ranks.ts';
import type { Room } from './room.ts';
import type { Rooms } from './rooms.ts';

/** A client that was in a room when the server was stopped. */
export interface Guest {
  readonly nick: string;
  readonly role: Role;
  /** Its presence as XML. */
  readonly presence: string;
  readonly isTold: boolean;
}

/** What is needed to know who is still there after a restart. */
export interface GuestsParts {
  /** By the bare JID of the room, under the full JID of the client. */
  readonly store: MapStore<Guest>;
  readonly rooms: Rooms;
  readonly router: Router;
  readonly log: Log;
}

/**
 * Clients whose sessions outlive a restart of the server (XEP-0198) are still in their rooms afterwards: they never knew that they had
 * been anywhere else. So rooms tell nobody that they close (status 332 of XEP-0045 section 16.6): a client whose session does not outlive
 * it is told by the end of its stream, and one that is resumed would leave rooms in which it still is.
 */
export class Guests {
  readonly #parts: GuestsParts;

  constructor(parts: GuestsParts) {
    this.#parts = parts;
  }

  /** Writes down who is where. */
  async write(): Promise<void> {
    const { store, rooms, log } = this.#parts;
    const writes = [...rooms.open]
      .filter(({ occupants }) => occupants.size > 0)
      .map(({ jid, occupants }) => {
        const guests = [...occupants].map(({ real, nick, role, presence, isTold }): [string, Guest] => [
          real.full,
          { nick, role, presence: writeStanza(presence), isTold },
        ]);
        return store.update(jid.bare, new Map(guests));
      });
    const failed = (await Promise.allSettled(writes)).filter(({ status }) => status === 'rejected').length;
    if (failed > 0) log.error('clients have to enter their rooms again after the restart', { failed });
  }

  /** Lets those back in who are still here, and tells them who is not. */
  async takeBack(): Promise<void> {
    const { store } = this.#parts;
    for (let after: string | undefined; ; ) {
      const owners = await store.owners(after);
      for (const owner of owners) await this.#fill(Jid.parse(owner));
      after = owners.at(-1);
      if (after === undefined) return;
    }
  }

  async #fill(jid: Jid): Promise<void> {
    const { store, rooms, log } = this.#parts;
    const guests = await store.entries(jid.bare);
    // First, so that no crash lets anybody in twice.
    await store.clear(jid.bare);
    try {
      const room = await rooms.wake(jid);
      if (room) this.#letIn(room, guests);
    } catch (error) {
      log.error('nobody can be let back into a room', { room: jid.bare, error });
    }
  }

  #letIn(room: Room, guests: ReadonlyMap<string, Guest>): void {
    const { router, rooms } = this.#parts;
    const entered: Occupant[] = [];
    for (const [full, guest] of guests) {
      const real = Jid.tryParse(full);
      if (!real || room.occupants.of(real) || !ROLES.includes(guest.role)) continue;
      const parts = { real, jid: room.addressOf(guest.nick), role: guest.role, presence: readStanza(guest.presence) };
      const occupant = new Occupant({ ...parts, id: room.occupantId(real.bare) });
      occupant.isTold = guest.isTold;
      room.occupants.add(occupant);
      room.parts.events.signals.entered.emit({ room, occupant });
      entered.push(occupant);
    }
    // All first, since those who stay are told of those who do not.
    for (const occupant of entered) if (!router.resource(occupant.real)) leave(room, occupant);
    rooms.rest(room);
  }
}
