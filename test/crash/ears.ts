import type { Element } from 'ltx';
import { info, type Kind, kindOf, legacy } from '../support/caps-scene.ts';
import { PUBSUB } from '../support/pubsub-scene.ts';
import type { WireClient } from '../support/wire-client.ts';
import { NS_STORAGE } from './bookmark-changes.ts';
import { keyOf } from './node-changes.ts';

const NUMBER = /^(?<who>.*)-(?<number>\d+)$/;

/** What a client has been told of nodes since the server was started. Payloads are known by their keys, which end with growing numbers. */
export class Ears {
  readonly faults: string[] = [];
  readonly history: string[] = [];
  /** By node, in order. */
  readonly told = new Map<string, string[]>();
  /** What it must take for gone. */
  readonly gone = new Set<string>();
  /** All that it was told, ever. */
  count = 0;
  readonly #name: string;
  readonly #kind: Kind;
  /** Whether it hears of all that happens, and not only while it has subscribed. */
  readonly #isSteady: boolean;
  /** What it takes to be there: keys by id, of each node. */
  readonly #items = new Map<string, Map<string, string>>();

  constructor(name: string, interests: readonly string[], isSteady = true) {
    this.#name = name;
    this.#isSteady = isSteady;
    this.#kind = kindOf(...interests.map((node) => `${node}+notify`));
  }

  /** Listens until the line breaks. */
  async listen(client: WireClient): Promise<void> {
    client.send(`<presence>${legacy(this.#kind.ver)}</presence>`);
    for (;;) {
      const stanza = await client.until(({ name, attrs }) => name === 'message' || (name === 'iq' && attrs['type'] === 'get'));
      if (stanza.name === 'message') this.#take(stanza);
      else client.send(`<iq type='result' id='${stanza.attrs['id']}' to='${stanza.attrs['from']}'>${info(this.#kind)}</iq>`);
    }
  }

  /** Says what is wrong with what it was told, now that the keys are known that are in a node, in order; and forgets it. */
  check(node: string, there: readonly string[], isUndone: (key: string) => boolean): void {
    const told = this.told.get(node) ?? [];
    const places = new Map(there.map((key, i) => [key, i]));
    let last = -1;
    for (const key of told) {
      if (isUndone(key)) this.#fault(`was told of ${key} in ${node}, which was never there`);
      const place = places.get(key);
      if (place === undefined) continue;
      if (this.gone.has(key)) this.#fault(`was told that ${key} is gone from ${node}, and it is there`);
      if (place < last) this.#fault(`was told of ${key} in another order than that of ${node}`);
      last = place;
    }
  }

  forget(): void {
    this.told.clear();
    this.gone.clear();
    this.#items.clear();
    this.history.push('---');
  }

  #take(message: Element): void {
    const event = message.getChild('event', `${PUBSUB}#event`);
    const isLast = message.getChild('delay', 'urn:xmpp:delay') !== undefined;
    for (const child of event?.getChildElements() ?? []) {
      const node = String(child.attrs['node']);
      if (child.name === 'purge' || child.name === 'delete') this.#loseAll(node, child.name);
      if (child.name !== 'items') continue;
      for (const item of child.getChildElements()) {
        const id = String(item.attrs['id']);
        if (item.name === 'retract') this.#lose(node, id);
        else if (node === NS_STORAGE) this.#hearList(node, item);
        else this.#hear(node, id, { key: keyIn(item), isLast });
      }
    }
  }

  #hear(node: string, id: string, { key, isLast }: { key: string; isLast: boolean }): void {
    this.count++;
    this.#note(`${node} ${isLast ? 'has' : '+'} ${id}=${key}`);
    const told = this.told.get(node) ?? [];
    this.told.set(node, told);
    if (!isLast || this.#isSteady) this.#checkOrder(told, key, node);
    told.push(key);
    const items = this.#items.get(node) ?? new Map<string, string>();
    this.#items.set(node, items);
    const before = items.get(id);
    if (before !== undefined && before !== key) this.gone.add(before);
    items.set(id, key);
  }

  /** All there is, by the older specification. */
  #hearList(node: string, item: Element): void {
    const names =
      item
        .getChildElements()[0]
        ?.getChildren('conference')
        .map(({ attrs }) => String(attrs['name'])) ?? [];
    this.count++;
    this.#note(`${node} + ${names}`);
    this.told.set(node, [...(this.told.get(node) ?? []), ...names]);
  }

  /** What one publisher has published comes in order. The last item may be one that came before, once those behind it are gone. */
  #checkOrder(told: readonly string[], key: string, node: string): void {
    const { who, number } = NUMBER.exec(key)?.groups ?? {};
    const before = told.findLast((other) => NUMBER.exec(other)?.groups?.['who'] === who && !this.gone.has(other));
    if (before !== undefined && Number(NUMBER.exec(before)?.groups?.['number']) > Number(number))
      this.#fault(`was told of ${key} in ${node} after ${before}`);
  }

  #lose(node: string, id: string): void {
    const key = this.#items.get(node)?.get(id);
    this.#note(`${node} - ${id}=${key}`);
    if (key !== undefined) this.gone.add(key);
    this.#items.get(node)?.delete(id);
  }

  #loseAll(node: string, how: string): void {
    this.#note(`${node} ${how}`);
    for (const key of this.#items.get(node)?.values() ?? []) this.gone.add(key);
    this.#items.delete(node);
  }

  #note(text: string): void {
    this.history.push(`${performance.now().toFixed(1)} ${text}`);
  }

  #fault(text: string): void {
    this.faults.push(`${this.#name} ${text}`);
    this.#note(`FAULT ${text}`);
  }
}

function keyIn(item: Element): string {
  const payload = item.getChildElements()[0];
  return payload?.name === 'conference' ? String(payload.attrs['name']) : keyOf(String(payload));
}
