// Lists of abusers that servers share: nodes of XEP-0060 with an item for each address or domain.
import { createHash } from 'node:crypto';
import { type Element, Jid, type Log, NS_RSM, StanzaError, xml } from '#core';
import { NS_REPORTING } from '../blocking/index.ts';

const NS_PUBSUB = 'http://jabber.org/protocol/pubsub';
/** Of notifications. */
export const NS_EVENT = `${NS_PUBSUB}#event`;
const REASON = 'urn:xmpp:reporting:';
/** Items asked for at once, where the service gives pages. */
const PAGE = 1000;
/** Entries of one list: who runs it must not be able to fill our memory. */
const MAX_ENTRIES = 500_000;
const MAX_PAGES = 2 * (MAX_ENTRIES / PAGE);
const HASH = /^[0-9a-f]{64}$/;

/** Where a list is. */
export interface ListAddress {
  readonly jid: Jid;
  readonly node: string;
}

/** What keeping up with a list takes. */
export interface ListParts {
  readonly domain: string;
  readonly log: Log;
  /** Milliseconds after a failure; doubled with each that follows, up to `refresh`. */
  readonly retry: number;
  /** Milliseconds after which all is fetched anew, since a subscription may be lost. */
  readonly refresh: number;
  ask(to: Jid, type: 'get' | 'set', payload: Element): Promise<Element | undefined>;
  /** Told when there may be somebody on the list who was not. */
  grown(): void;
}

/** The SHA-256 of a bare JID or a domain, as these lists write it. */
export function hashOf(address: string): string {
  return createHash('sha256').update(address).digest('hex');
}

/** One list, kept in memory and up to date. */
export class SpamList {
  readonly address: ListAddress;
  readonly #parts: ListParts;
  /** Hashes, with why: `spam`, `abuse` or nothing (XEP-0377). */
  #entries = new Map<string, string>();
  /** What has happened while the list is being fetched, which may not know of it. */
  #meanwhile: (() => void)[] | undefined = undefined;
  #timer: NodeJS.Timeout | undefined = undefined;
  #failures = 0;
  #isStopped = false;
  #fetchedAt: number | undefined = undefined;

  constructor(address: ListAddress, parts: ListParts) {
    this.address = address;
    this.#parts = parts;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** When all of it was fetched last, in milliseconds since the epoch; undefined when it never was. */
  get fetchedAt(): number | undefined {
    return this.#fetchedAt;
  }

  /** Why a hash is listed; undefined when it is not. */
  reasonOf(hash: string): string | undefined {
    return this.#entries.get(hash);
  }

  /** Subscribes and fetches, and goes on trying until it works. Never rejects. */
  async keepUp(): Promise<void> {
    const { log, retry, refresh } = this.#parts;
    const { jid, node } = this.address;
    let wait = refresh;
    try {
      await this.#subscribe();
      await this.#fetch();
      this.#failures = 0;
    } catch (error) {
      // What is known stays in force.
      wait = Math.min(retry * 2 ** Math.min(this.#failures++, 20), refresh);
      const detail = { list: jid.bare, node, entries: this.size, error };
      if (this.#isStopped) return;
      // What is no answer of the other side is a fault of ours.
      if (error instanceof StanzaError) log.warn('a list of abusers is out of reach', detail);
      else log.error('a list of abusers cannot be kept up with', detail);
    }
    if (this.#isStopped) return;
    this.#timer = setTimeout(() => void this.keepUp(), wait).unref();
  }

  stop(): void {
    this.#isStopped = true;
    clearTimeout(this.#timer);
  }

  /** Takes a notification (XEP-0060 sections 7.1.2.1, 7.2.2, 8.4.2 and 8.5.3) of this list's service. False when it is of another node. */
  take(event: Element): boolean {
    const about = event.getChildElements().find(({ attrs }) => attrs['node'] === this.address.node);
    if (!about) return false;
    const change = () => this.#apply(about);
    this.#meanwhile?.push(change);
    change();
    return true;
  }

  #apply(about: Element): void {
    if (about.getName() === 'purge' || about.getName() === 'delete') return this.#entries.clear();
    if (about.getName() !== 'items') return;
    let isMore = false;
    for (const child of about.getChildElements()) {
      const hash = readId(child.attrs['id']);
      if (hash === undefined) continue;
      if (child.getName() === 'retract') this.#entries.delete(hash);
      else if (child.getName() === 'item' && this.size < MAX_ENTRIES) {
        this.#entries.set(hash, readReason(child));
        isMore = true;
      }
    }
    if (isMore) this.#parts.grown();
  }

  async #subscribe(): Promise<void> {
    const { node, jid } = this.address;
    await this.#parts.ask(jid, 'set', xml('pubsub', NS_PUBSUB, xml('subscribe', { node, jid: this.#parts.domain })));
  }

  /** All there is, in pages where the service gives them (XEP-0060 section 6.5.4). Rejects, and changes nothing, when a part is missing. */
  async #fetch(): Promise<void> {
    const entries = new Map<string, string>();
    const meanwhile: (() => void)[] = [];
    this.#meanwhile = meanwhile;
    try {
      let after: string | undefined;
      for (let page = 0; page < MAX_PAGES; page++) {
        after = await this.#fetchPage(entries, after);
        if (after === undefined || entries.size >= MAX_ENTRIES) break;
      }
    } finally {
      this.#meanwhile = undefined;
    }
    this.#entries = entries;
    for (const change of meanwhile) change();
    this.#fetchedAt = Date.now();
    this.#parts.grown();
  }

  /** Where the next page begins; undefined when there is none. */
  async #fetchPage(entries: Map<string, string>, after: string | undefined): Promise<string | undefined> {
    const { node, jid } = this.address;
    const set = xml(
      'set',
      { xmlns: NS_RSM },
      xml('max', {}, String(PAGE)),
      after === undefined ? undefined : xml('after', {}, after),
    );
    const answer = await this.#parts.ask(jid, 'get', xml('pubsub', NS_PUBSUB, xml('items', { node }), set));
    const items = answer?.getChild('items', NS_PUBSUB);
    if (!answer || items?.attrs['node'] !== node) throw new StanzaError('undefined-condition', { text: 'These are no items' });
    const before = entries.size;
    for (const item of items.getChildren('item', NS_PUBSUB)) {
      const hash = readId(item.attrs['id']);
      if (hash !== undefined && entries.size < MAX_ENTRIES) entries.set(hash, readReason(item));
    }
    // A service that gives the same page again and again has no more.
    if (entries.size === before) return undefined;
    return answer.getChild('set', NS_RSM)?.getChildText('last', NS_RSM) || undefined;
  }
}

/** An id is a hash, or the plain domain that some lists have instead. */
function readId(id: unknown): string | undefined {
  if (typeof id !== 'string' || id.length > 1024) return undefined;
  const text = id.toLowerCase();
  if (HASH.test(text)) return text;
  const jid = Jid.tryParse(id);
  return jid?.isDomain ? hashOf(jid.domain) : undefined;
}

function readReason(item: Element): string {
  const reason: unknown = item.getChild('report', NS_REPORTING)?.attrs['reason'];
  if (reason === `${REASON}spam`) return 'spam';
  return reason === `${REASON}abuse` ? 'abuse' : '';
}
