// XEP-0160: messages for who is offline are kept until somebody of the account comes online. XEP-0013: or until they are asked for.
import {
  archiveStore,
  defineModule,
  type Envelope,
  HANDLED,
  type Handover,
  isSession,
  type Maybe,
  mapStore,
  option,
  Priority,
  type Resource,
  type Session,
  type Verdict,
} from '#core';
import mam, { type Reading } from '../mam/index.ts';
import { Backlog } from './backlog.ts';
import { type Box, Boxes } from './box.ts';
import { Delivery, KEPT_HERE } from './delivery.ts';
import { Fates, itemOf } from './fates.ts';
import { Marks, type StoredMark } from './mark.ts';
import { Readers } from './readers.ts';
import { NS_OFFLINE, Retrieval } from './retrieval.ts';
import { judge } from './worth.ts';

/** When the message has passed all who may refuse, change, keep or answer it, and is about to be delivered. */
const BEFORE_DELIVERY = Priority.serve / 2;

/** Milliseconds after which it is noted which messages clients have got that do not confirm them. */
const NOTE_EVERY = 1000;

/** What other modules get from this one. */
export interface OfflineApi {
  /** Notes which messages an account has got. Resolves once that is durable: after a crash they do not come again. Undefined when it is. */
  note(username: string): Promise<unknown> | undefined;
  /** A client that was given a kept message before the server was restarted may still confirm it. */
  givenBefore(handover: Handover): void;
  /** A client is taken up again after a restart: what waits for it it had not been given yet. */
  takenUp(session: Session): void;
}

export default defineModule({
  name: 'offline',
  doc: 'Keeps messages for accounts that are offline.',
  xeps: [
    { xep: 13, version: '1.3' },
    { xep: 160, version: '1.0.1' },
    { xep: 203, version: '2.0' },
    { xep: 334, version: '1.0.0' },
  ],
  wants: [mam],
  features: ['msgoffline', NS_OFFLINE],
  config: option.object({
    maxMessages: option.integer({
      default: 1000,
      min: 1,
      max: 100_000,
      doc: 'Messages kept for one account; further ones are refused.',
    }),
    maxBytes: option.bytes({ default: '4MiB', min: '16KiB', max: '1GiB', doc: 'Size of all messages kept for one account.' }),
    keepFor: option.duration({ default: 0, doc: 'Messages older than this are thrown away; 0 for never. Archived ones stay.' }),
    patience: option.duration({
      default: '3s',
      max: '1m',
      doc: 'Time that a client which may read its archive has to begin, before it is given what waits there.',
    }),
  }),
  stores: { messages: archiveStore(), marks: mapStore<StoredMark>() },

  setup(ctx): OfflineApi {
    const { config, defer, disco, domain, every, hooks, iq, keep, log, on, router, signals, stopping, stores, use } = ctx;
    const archive = use(mam);
    const marks = new Marks(stores.marks);
    const boxes = new Boxes({
      messages: stores.messages,
      ...config,
      backlogOf: (owner) => new Backlog(marks.get(owner), archive),
    });
    const readers = new Readers(ctx.slot, config.patience, stopping);
    const delivery = new Delivery({ domain, router, log, stopping, hasRead: (resource) => readers.hasRead(resource) });
    // Clients that fetch for themselves: they and their account's others are not given anything (XEP-0013 section 2.2).
    const fetchers = keep('fetchers', () => new WeakSet<Resource>());
    const fates = new Fates({ domain, marks, boxes, log, recipients: ctx.recipients });
    const retrieval = new Retrieval({ boxes, domain, router, fetchers });

    on(hooks.messageUndeliverable, keepMessage, Priority.serve);
    on(hooks.messageReceived, putBehind, BEFORE_DELIVERY);
    on(hooks.presenceSent, deliver, Priority.record);
    on(hooks.iqReceived, retrieval.refuseOthers, Priority.guard);
    on(signals.messageGiven, fates.given);
    on(signals.messageArrived, fates.arrived);
    on(signals.messageReturned, fates.returned);
    on(signals.sessionClosed, passOn);
    on(signals.accountDeleted, forget);
    if (archive) on(archive.reading, noteReading);
    iq.get('self', NS_OFFLINE, 'offline', retrieval.show);
    iq.set('self', NS_OFFLINE, 'offline', retrieval.remove);
    disco.extend({ node: retrieval.describe, items: retrieval.list });
    every(NOTE_EVERY, () => marks.save());
    defer(() => delivery.settled().then(() => marks.save()));

    function keepMessage(env: Envelope): Maybe<Verdict> {
      const { keptAs } = env.stanza;
      const worth = keptAs === undefined ? judge(env.stanza) : 'keep';
      if (worth === 'refuse') return;
      if (worth === 'forget') return HANDLED;
      if (keptAs?.startsWith(KEPT_HERE)) return leaveInBox(env.to.local, keptAs.slice(KEPT_HERE.length));
      // Somebody may have come online since it was found that nobody is.
      const there = boxes.peek(env.to.local)?.target ? [] : takers(env.to.bare);
      for (const resource of there) resource.send(env.stanza);
      if (there.length > 0) return HANDLED;
      if (keptAs === undefined) return append(env);
      const mark = marks.get(env.to.local);
      mark.waits(keptAs);
      // Everything up to there was noted as delivered while this one was being stored.
      return keptAs <= mark.upTo ? mark.save().then(() => HANDLED) : HANDLED;
    }

    /** Those whom it was for have gone while it was being stored. */
    function leaveInBox(username: string, id: string): Verdict {
      const box = boxes.get(username);
      box.landed(id);
      const [next] = takers(`${username}@${domain}`);
      if (next) begin(box, next);
      return HANDLED;
    }

    /** What is sent to an account that is being given its messages comes after them (RFC 6120 section 10.1). */
    function putBehind(env: Envelope): Maybe<Verdict> {
      const { to, stanza } = env;
      if (to.local === '') return;
      const { keptAs } = stanza;
      if (keptAs === undefined && judge(stanza) !== 'keep') return;
      if (keptAs !== undefined) marks.get(to.local).coming(keptAs);
      const target = boxes.peek(to.local)?.target;
      // Where there are others, they have their messages already, and are to get this one now.
      const isDirect = !target || (to.resource === '' ? takers(to.bare).length > 1 : to.full !== target.jid.full);
      if (isDirect) return keptAs === undefined ? fates.keepUntilConfirmed(env) : undefined;
      if (keptAs === undefined) return append(env);
      const stored = env.stored ?? Promise.resolve();
      boxes.get(to.local).putBehind(stored);
      marks.get(to.local).waits(keptAs);
      return stored.then(() => HANDLED);
    }

    async function append(env: Envelope): Promise<Verdict> {
      return (await boxes.get(env.to.local).append(itemOf(env, domain))) ? HANDLED : undefined;
    }

    /** Begins with the first presence that lets messages come, before anything else can (RFC 6121 section 8.5.2.1.1). */
    function deliver({ stanza, origin }: Envelope): void {
      if (stanza.to === undefined && stanza.type === undefined && isSession(origin)) takenUp(origin);
    }

    function takenUp(session: Session): void {
      if (session.priority !== undefined && session.priority >= 0) begin(boxes.get(session.jid.local), session);
    }

    function begin(box: Box, resource: Resource): void {
      // A client that has to be waited for gives way to one that has not.
      const isTaken = box.target !== undefined && !(box.isHeld && readers.hasNothingToRead(resource));
      if (isTaken) hurry(box, resource);
      if (isTaken || !box.mayHold || isFetched(resource.jid.bare)) return;
      delivery.start(box, resource, () => {
        const next = takers(resource.jid.bare)[0];
        if (next && next !== resource && !stopping.aborted) begin(box, next);
      });
    }

    /** From now on messages come to both; what was put behind for the one that is waited for is not to be overtaken by them. */
    function hurry({ target, isHeld, begun, begunBefore }: Box, other: Resource): void {
      if (isHeld && begun > begunBefore && target && target !== other && isSession(target)) readers.ended(target);
    }

    /** What is before the place where it began it may have missed, and is given like to any other; and so is what comes from now on. */
    async function noteReading({ session, reachedEnd, ids }: Reading): Promise<void> {
      readers.add(session, ids);
      if (!reachedEnd) return;
      const [from, to] = readers.range(session) ?? [];
      const { backlog, target } = boxes.get(session.jid.local);
      // What is being given to another device is owed to that one, whoever reads it.
      if (target !== undefined && target !== session) return readers.ended(session);
      const missed = from === undefined ? undefined : await backlog.before(from);
      if (from !== undefined && to !== undefined && missed) backlog.mark.readBetween(from, to, missed);
      readers.ended(session);
    }

    function forget({ username }: { readonly username: string }): void {
      boxes.drop(username);
      marks.drop(username);
    }

    function takers(bare: string): readonly Resource[] {
      return router.resources(bare).filter(({ priority }) => priority !== undefined && priority >= 0);
    }

    const isFetched = (bare: string): boolean => router.resources(bare).some((resource) => fetchers.has(resource));

    /** What a client has gone with goes to another one that is there, once all of it is known. */
    function passOn(session: Session): void {
      delivery.closed(session);
      readers.closed(session);
      if (!session.keeper) return;
      setImmediate(() => {
        const [next] = takers(session.jid.bare);
        if (next && !stopping.aborted) begin(boxes.get(session.jid.local), next);
      });
    }

    return { givenBefore: fates.givenBefore, note: fates.note, takenUp };
  },
});
