import { Jid, type MapStore, type ModuleContext, readStanza, type SavedSlots, type Session, writeStanza } from '#core';
import { Managed, type Surroundings } from './managed.ts';

/** Accounts looked up at once. */
const OWNERS = 1000;

/** A session that waits for its client while the server is restarted. */
export interface Parked {
  readonly resource: string;
  /** Milliseconds for which it waits. */
  readonly patience: number;
  readonly handled: number;
  readonly acked: number;
  readonly carbons: boolean;
  readonly priority?: number;
  /** Its presence as XML. */
  readonly presence?: string;
  /** What its client has not confirmed, as XML, and as what it is kept. */
  readonly queue: readonly (readonly [stanza: string, keptAs?: string])[];
  readonly slots: SavedSlots;
}

/** What keeping sessions needs of its surroundings. */
export interface ParkingParts {
  readonly ctx: Pick<ModuleContext<unknown, Record<never, never>>, 'domain' | 'log' | 'revive' | 'slots'>;
  /** All that can be resumed, by SM-ID. */
  readonly sessions: Map<string, Managed>;
  /** Those that have ended lately. */
  readonly past: ReadonlyMap<string, unknown>;
  readonly surroundings: Surroundings;
  /** Sessions by account and SM-ID. */
  readonly store: MapStore<Parked>;
  /** Writes what is held back for a client, so that it is kept with the rest. */
  settle(session: Session): void;
}

/** Keeps the sessions that wait for their clients while the server is restarted. */
export class Parking {
  readonly #parts: ParkingParts;

  constructor(parts: ParkingParts) {
    this.#parts = parts;
  }

  /** Writes down all that waits. The sessions stay where they are too: it may be that only this module is restarted. */
  async park(): Promise<void> {
    const { ctx, sessions, store, settle } = this.#parts;
    const writes: Promise<void>[] = [];
    // All first: what one client has sent may be on its way to another.
    await Promise.all([...sessions.values()].map(({ session }) => session.inHand));
    for (const [id, managed] of sessions) {
      const { session } = managed;
      if (session.stream || session.isClosed) continue;
      settle(session);
      writes.push(store.update(session.jid.local, new Map([[id, writeParked(managed, ctx.slots.save(session))]])));
    }
    const failed = (await Promise.allSettled(writes)).filter(({ status }) => status === 'rejected').length;
    if (failed > 0) ctx.log.error('sessions cannot be resumed after the restart', { failed });
  }

  /** Takes up again what was written down. */
  async unpark(): Promise<void> {
    const { store } = this.#parts;
    for (let after: string | undefined; ; ) {
      const owners = await store.owners(after, OWNERS);
      for (const owner of owners) await this.#unparkOf(owner);
      if (owners.length < OWNERS) return;
      after = owners.at(-1);
    }
  }

  async #unparkOf(username: string): Promise<void> {
    const { past, sessions, store } = this.#parts;
    const entries = await store.entries(username);
    // First, so that no crash lets a session be taken up twice.
    await store.clear(username);
    for (const [id, parked] of entries) {
      // Where only this module was restarted, it is still here, or has ended meanwhile.
      if (!sessions.has(id) && !past.has(id) && isParked(parked)) this.#takeUp(username, id, parked);
    }
  }

  #takeUp(username: string, id: string, parked: Parked): void {
    const { ctx, sessions, surroundings } = this.#parts;
    const session = ctx.revive(Jid.of(username, ctx.domain).withResource(parked.resource));
    // Somebody else may have its address.
    if (!session) return;
    try {
      const managed = readParked(parked, { session, id, surroundings });
      ctx.slots.restore(session, parked.slots);
      sessions.set(id, managed);
      managed.wait();
      surroundings.takenUp(session);
    } catch (error) {
      ctx.log.error('a session cannot be taken up', { username, error });
      session.close();
    }
  }
}

function writeParked(managed: Managed, slots: SavedSlots): Parked {
  const { session, patience, handled, acked, unconfirmed } = managed;
  const { jid, carbons, priority, presence } = session;
  return {
    resource: jid.resource,
    patience,
    handled,
    acked,
    carbons,
    ...(priority !== undefined && { priority }),
    ...(presence && { presence: writeStanza(presence) }),
    queue: unconfirmed.map((stanza) =>
      stanza.keptAs === undefined ? [writeStanza(stanza)] : [writeStanza(stanza), stanza.keptAs],
    ),
    slots,
  };
}

/** An older version may have written otherwise. */
function isParked(value: Parked | null): value is Parked {
  if (typeof value?.resource !== 'string' || value.resource === '' || !Array.isArray(value.queue)) return false;
  return [value.patience, value.handled, value.acked].every(Number.isFinite) && typeof value.slots === 'object';
}

function readParked(parked: Parked, parts: { session: Session; id: string; surroundings: Surroundings }): Managed {
  const { session } = parts;
  session.carbons = parked.carbons;
  session.priority = parked.priority;
  session.presence = parked.presence === undefined ? undefined : readStanza(parked.presence);
  const { patience, handled, acked } = parked;
  const managed = new Managed(session, { ...parts, patience, counts: { handled, acked } });
  managed.restore(
    parked.queue.map(([text, keptAs]) => {
      const stanza = readStanza(text);
      return keptAs === undefined ? stanza : stanza.kept(keptAs);
    }),
  );
  return managed;
}
