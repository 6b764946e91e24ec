import assert from 'node:assert/strict';
import type { Element } from 'ltx';
import { hashLegacy, hashModern } from '../../modules/caps/hash.ts';
import type { CapsApi, Features, Learned } from '../../modules/caps/index.ts';
import type { Jid } from '../../src/index.ts';
import { type Probe, settle } from './probe.ts';

/** Of disco#info. */
export const NS_INFO = 'http://jabber.org/protocol/disco#info';

/** A kind of client: what it supports, and the hashes of that. */
export interface Kind {
  readonly features: readonly string[];
  /** By XEP-0115. */
  readonly ver: string;
  /** By XEP-0390: of SHA-256, and SHA3-256. */
  readonly sha256: string;
  readonly sha3: string;
}

/** A kind of client that supports this. */
export function kindOf(...more: readonly string[]): Kind {
  const features = [NS_INFO, ...more];
  const info = { identities: [{ category: 'client', type: 'pc', name: 'Test' }], features, forms: [] };
  const modern = hashModern(info);
  return { features, ver: hashLegacy(info), sha256: modern.get('sha-256')!, sha3: modern.get('sha3-256')! };
}

/** What it says of itself in presence, by XEP-0115. */
export function legacy(ver: string, { hash = " hash='sha-1'", node = 'https://client.example', ext = '' } = {}): string {
  return `<c xmlns='http://jabber.org/protocol/caps'${hash}${ext} node='${node}' ver='${ver}'/>`;
}

/** The same by XEP-0390. */
export function modern(hashes: Readonly<Record<string, string>>): string {
  const list = Object.entries(hashes).map(([algo, hash]) => `<hash xmlns='urn:xmpp:hashes:2' algo='${algo}'>${hash}</hash>`);
  return `<c xmlns='urn:xmpp:caps'>${list.join('')}</c>`;
}

/** The payload of an answer. */
export function info({ features }: Pick<Kind, 'features'>, more = ''): string {
  const list = features.map((feature) => `<feature var='${feature}'/>`).join('');
  return `<query xmlns='${NS_INFO}'><identity category='client' type='pc' name='Test'/>${list}${more}</query>`;
}

/** The question that a client is asked next, which is to be about this node. Presence that comes before it is thrown away. */
export async function question(probe: Probe, node: string): Promise<Element> {
  let iq = await probe.receive();
  while (iq.name === 'presence') iq = await probe.receive();
  assert.deepEqual([iq.attrs['type'], iq.attrs['from']], ['get', 'example.org']);
  assert.equal(iq.getChild('query', NS_INFO)?.attrs['node'], node);
  return iq;
}

/** Answers a question, and waits for what comes of it. */
export async function answer(probe: Probe, asked: Element, payload: string): Promise<void> {
  probe.send(`<iq type='result' id='${asked.attrs['id']}' to='example.org'>${payload}</iq>`);
  await settle();
}

/** Refuses to answer. */
export async function refuse(probe: Probe, asked: Element, condition = 'service-unavailable'): Promise<void> {
  probe.send(
    `<iq type='error' id='${asked.attrs['id']}' to='example.org'><error type='cancel'>` +
      `<${condition} xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>`,
  );
  await settle();
}

/** All that has been told, in order; each is held to be what follows on the one before. */
export class Listener {
  readonly #told: Learned[] = [];
  readonly #last = new Map<string, Features | undefined>();

  constructor({ learned }: Pick<CapsApi, 'learned'>) {
    learned.add((news) => this.#take(news));
  }

  /** Whom it was about, and what each supports now of these features; `-` for one of whom nothing is known. */
  take(...features: readonly string[]): readonly string[] {
    return this.#told
      .splice(0)
      .map(({ jid, now }) => `${jid.resource} ${now ? features.filter((each) => now.has(each)).join() : '-'}`);
  }

  /** What was told of it last. */
  last(jid: Jid): Features | undefined {
    return this.#last.get(jid.full);
  }

  #take(news: Learned): void {
    const { jid, before, now } = news;
    assert.equal(before, this.#last.get(jid.full), `what was told of ${jid} before`);
    assert.notEqual(before, now);
    this.#last.set(jid.full, now);
    this.#told.push(news);
  }
}
