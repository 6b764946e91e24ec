import { setTimeout as sleep } from 'node:timers/promises';
import { Element, isSession, type Log, type Resource, type Router, readStanza, Stanza, timeOf, xml } from '#core';
import type { Waiting } from './backlog.ts';
import type { Box } from './box.ts';

const NS_DELAY = 'urn:xmpp:delay';
const NS_SID = 'urn:xmpp:sid:0';
const PAGE = 50;
/** How long is waited at most before a slow client is looked at again, in milliseconds. */
const PATIENCE = 200;
/** Turns of the event loop in which what was sent has left, where nothing holds it up: under TLS that is known a turn later. */
const TURNS = 3;
/** Milliseconds in which the rest may leave to a client that has said goodbye. Its line is cut soon after (Transport.end). */
const FAREWELL = 4000;

/** What is kept by this module, and not in the archive, is marked so (Stanza.keptAs). */
export const KEPT_HERE = 'offline:';

/** What delivery needs of its surroundings. */
export interface DeliveryParts {
  readonly domain: string;
  readonly router: Router;
  readonly log: Log;
  readonly stopping: AbortSignal;
  /** Waits until a client that reads the archive by itself has come to its end, or has had time to; undefined when that needs no waiting. */
  hasRead(resource: Resource): Promise<void> | undefined;
}

/** Gives the messages of a box to a resource, oldest first, and removes them once they have arrived. */
export class Delivery {
  readonly #parts: DeliveryParts;
  readonly #tasks = new Set<Promise<void>>();
  /** Of those who were waited for: aborted when they are gone. */
  readonly #gone = new WeakMap<Resource, AbortController>();

  constructor(parts: DeliveryParts) {
    this.#parts = parts;
  }

  /** A resource is gone; nobody waits for it any longer. */
  closed(resource: Resource): void {
    this.#gone.get(resource)?.abort();
  }

  /** Waits for what is under way. */
  async settled(): Promise<void> {
    await Promise.allSettled(this.#tasks);
  }

  /**
   * Begins to empty the box. Until `box.target` is undefined again, whatever comes for the account is to be put into the box, so that
   * it is not overtaken. `interrupted` is called when the resource is gone before it has got everything.
   */
  start(box: Box, resource: Resource, interrupted: () => void): void {
    box.target = resource;
    box.isHeld = false;
    box.begunBefore = box.begun;
    this.#watch(this.#empty(box, resource, interrupted), () => {
      if (box.target === resource) box.target = undefined;
    });
  }

  async #empty(box: Box, resource: Resource, interrupted: () => void): Promise<void> {
    // Where nothing has to be waited for, the presence that brings the messages is broadcast before they come.
    await nextTurn();
    await box.load();
    await box.expire();
    let hasWaited = false;
    let isFar = false;
    for (let after: string | undefined; ; ) {
      const { begun, isAppending } = box;
      const from = after;
      const { items, last, complete } = await box.read(after, PAGE);
      isFar ||= last !== undefined;
      if (!hasWaited && items.some(({ isArchived }) => isArchived)) {
        hasWaited = true;
        box.isHeld = true;
        await this.#parts.hasRead(resource);
        // One that had not to be waited for has come instead.
        if (box.target !== resource) return;
        box.isHeld = false;
        // The client, or somebody else, may have these by now; what came since waits like any other.
        continue;
      }
      if (!(await this.#give(box, { resource, items, interrupted }))) break;
      after = last ?? after;
      if (last !== undefined) box.backlog.mark.reached(last);
      if (!complete) {
        // A long archive with little in it that waits must not keep others waiting.
        if (items.length === 0) await nextTurn();
        continue;
      }
      if (!isAppending && box.begun === begun) {
        // Nothing was coming while we looked: in this very moment the direct way is open again.
        box.target = undefined;
        box.backlog.mark.clear(isFar);
        return;
      }
      await box.settled();
      // What was being written may belong before what was read; that is on its way, and will not be read again.
      after = from;
    }
    box.target = undefined;
    interrupted();
  }

  /** Writes messages to a resource; false when it has gone meanwhile. */
  async #give(box: Box, { resource, items, interrupted }: Giving): Promise<boolean> {
    const given: Waiting[] = [];
    const confirms = isSession(resource) && resource.keeper !== undefined;
    // Who leaves while we wait for room has no line any more.
    const line = isSession(resource) ? resource.stream?.transport : undefined;
    let isThere = this.#isThere(resource);
    for (const item of items) {
      if (hasLittleRoom(resource)) await this.#drained(resource, hasLittleRoom);
      isThere = this.#isThere(resource);
      if (!isThere) break;
      const stanza = this.#read(item, resource.jid.bare);
      // Who confirms what they get is told of by stream management; what cannot be read is out of the way at once.
      if (!confirms || !stanza || !item.isArchived) box.hand(item);
      if (!confirms || !stanza) given.push(item);
      if (stanza) resource.send(confirms ? stanza.kept(item.isArchived ? item.id : `${KEPT_HERE}${item.id}`) : stanza);
      if (confirms && stanza) box.landed(item.id);
    }
    if (given.length > 0) this.#watch(this.#settle(box, { resource, items: given, interrupted }, line));
    return isThere;
  }

  async #settle(box: Box, { resource, items, interrupted }: Giving, line: Line | undefined): Promise<void> {
    const haveArrived =
      (await this.#drained(resource, isWriting)) || (line !== undefined && (await this.#haveLeft(resource, line)));
    await box.settle(items, haveArrived);
    if (!haveArrived) interrupted();
  }

  /**
   * Whether a client that is gone has got all that was written to it: it has closed its stream as it should, and reads on until the server
   * does so too (RFC 6120 section 4.4). What a line still held when it broke has not arrived.
   */
  async #haveLeft(resource: Resource, line: Line): Promise<boolean> {
    if (!isSession(resource)) return false;
    const { stopping } = this.#parts;
    const end = performance.now() + FAREWELL;
    const isLeaving = (): boolean => resource.isFinished && line.queued > 0;
    for (let turns = 0; turns < TURNS && isLeaving(); turns++) await nextTurn();
    if (isLeaving()) {
      for (let pause = 10; isLeaving() && !stopping.aborted && performance.now() < end; pause = Math.min(2 * pause, PATIENCE)) {
        await sleep(pause, undefined, { ref: false, signal: stopping }).catch(() => {});
      }
      // One that breaks lets go of what it holds first, and then says so.
      await nextTurn();
    }
    return resource.isFinished && line.queued === 0 && performance.now() < end;
  }

  /** What is kept, with the time it came (XEP-0203). One that cannot be read any more keeps nobody from the others. */
  #read(item: Waiting, account: string): Stanza | undefined {
    try {
      return delayed(item, { account, domain: this.#parts.domain });
    } catch (error) {
      this.#parts.log.error('a kept message cannot be read', { id: item.id, error });
      return undefined;
    }
  }

  #isThere(resource: Resource): boolean {
    return (resource.priority ?? -1) >= 0 && this.#isBound(resource);
  }

  #isBound(resource: Resource): boolean {
    const { router, stopping } = this.#parts;
    return !stopping.aborted && router.resource(resource.jid) === resource;
  }

  /** Waits while a client's line is not as free as it should be. False when the client is gone before. */
  async #drained(resource: Resource, isBusy: (resource: Resource) => boolean): Promise<boolean> {
    // What was sent in this turn of the event loop leaves at its end. A client that leaves as soon as it has it must not come before us.
    for (let turns = 0; turns === 0 || (turns < TURNS && isBusy(resource)); turns++) await nextTurn();
    if (isBusy(resource)) await this.#waitUntil(resource, () => !isBusy(resource));
    return !isBusy(resource) && this.#parts.router.resource(resource.jid) === resource;
  }

  /** Looks again and again, less and less often, until it is so or the resource is gone. */
  async #waitUntil(resource: Resource, isSo: () => boolean): Promise<void> {
    const gone = this.#gone.get(resource) ?? new AbortController();
    this.#gone.set(resource, gone);
    const signal = AbortSignal.any([this.#parts.stopping, gone.signal]);
    for (let pause = 10; !isSo() && this.#isBound(resource); pause = Math.min(2 * pause, PATIENCE)) {
      await sleep(pause, undefined, { ref: false, signal }).catch(() => {});
    }
  }

  #watch(work: Promise<void>, ended?: () => void): void {
    const task: Promise<void> = work
      .catch((error: unknown) => {
        ended?.();
        this.#parts.log.error('kept messages were not delivered', { error });
      })
      .finally(() => void this.#tasks.delete(task));
    this.#tasks.add(task);
  }
}

/** Where what was written may still be. */
interface Line {
  readonly queued: number;
}

interface Giving {
  readonly resource: Resource;
  readonly items: readonly Waiting[];
  interrupted(): void;
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** Whether something that was sent has not left yet. */
function isWriting(resource: Resource): boolean {
  return isSession(resource) && resource.queued > 0;
}

/** Whether more would bring a slow client near the limit at which it is closed. */
function hasLittleRoom(resource: Resource): boolean {
  return isSession(resource) && resource.queued > resource.server.limits.queueBytes / 4;
}

/**
 * A kept message with the time it came (XEP-0203 section 3), with its id when it is in the archive of the account (a bare JID; XEP-0313
 * section 3.5), and with what else is to be put in.
 */
export function delayed(
  item: Waiting,
  at: { readonly account: string; readonly domain: string },
  ...more: readonly Element[]
): Stanza {
  const { id, stanza, isArchived } = item;
  const { element } = readStanza(stanza);
  const stanzaId = isArchived ? [xml('stanza-id', { xmlns: NS_SID, by: at.account, id })] : [];
  const stamp = new Date(timeOf(id) ?? 0).toISOString();
  const delay = xml('delay', { xmlns: NS_DELAY, from: at.domain, stamp }, 'Offline Storage');
  return extend(element, [...element.children, ...stanzaId, ...more, delay]);
}

/** Without delays that somebody else has written in our name (XEP-0203 section 6). */
export function withoutForgedDelay(stanza: Stanza, domain: string): Stanza {
  if (!stanza.has('delay', NS_DELAY)) return stanza;
  const { element } = stanza;
  const isForged = (child: unknown) =>
    child instanceof Element && child.getName() === 'delay' && child.getNS() === NS_DELAY && child.attrs['from'] === domain;
  return extend(
    element,
    element.children.filter((child) => !isForged(child)),
  );
}

function extend(element: Element, children: Element['children']): Stanza {
  const copy = new Element(element.name);
  copy.attrs = element.attrs;
  copy.children = children;
  return Stanza.of(copy);
}
