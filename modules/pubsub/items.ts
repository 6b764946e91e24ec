// Reading items (XEP-0060 section 6.5).
import {
  type Element,
  escapeXml,
  type ItemFilter,
  type ItemPage,
  type Jid,
  type RsmRequest,
  readRsm,
  StanzaError,
  writeElement,
  writeRsm,
  XmlText,
} from '#core';
import { checkRead, standingOf } from './access.ts';
import { NS_PUBSUB, pubsubError, unsupported } from './errors.ts';
import type { Node } from './node.ts';
import type { Item, PubSubQuery, Shop } from './place.ts';
import { readIds } from './publish.ts';
import { nodeOf } from './requests.ts';

const NUMBER = /^\d{1,9}$/;

/** Characters of payloads that are sent at once, unless one item has more: what nobody reads piles up, and closes the client. */
const MAX_PAGE_CHARS = 1_048_576;
/** Items that are read from the storage at once. */
const CHUNK = 50;

/** Which page somebody asks for. */
interface Wanted extends ItemFilter {
  readonly max: number;
  readonly last: boolean;
}

/** Gives out items. */
export class Reader {
  readonly #shop: Shop;

  constructor(shop: Shop) {
    this.#shop = shop;
  }

  readonly read = async (query: PubSubQuery): Promise<XmlText> => {
    const { from, payload, request } = query;
    const node = nodeOf(query);
    await checkRead(node, from, this.#shop.around.trust);
    await checkSubid(node, from, request);
    const ids = readIds(request);
    if (!node.config.persistItems) return this.#readLast(node, ids);
    // Those that are not there are left out (section 6.5.9.13).
    if (ids.length > 0) return this.#readNamed(node, ids);
    const rsm = readRsm(payload);
    const most = readMost(request);
    return rsm ? this.#readPage(node, rsm, most) : this.#readAll(node, most);
  };

  /** What is not kept has a last item all the same (section 6.5.5). */
  async #readLast(node: Node, ids: readonly string[]): Promise<XmlText> {
    if (!node.config.deliverPayloads) throw unsupported('persistent-items');
    const last = await node.last();
    return write(node, last && (ids.length === 0 || ids.includes(last.id)) ? [last] : []);
  }

  async #readNamed(node: Node, given: readonly string[]): Promise<XmlText> {
    const { maxPage } = this.#shop.around.limits;
    const ids = [...new Set(given)];
    const found: Item[] = [];
    for (let at = 0; at < ids.length; at += CHUNK) {
      const { items } = await node.query({ ids: ids.slice(at, at + CHUNK) });
      if (!fill(found, items, maxPage)) return write(node, found, boundsOf(found, ids.length));
    }
    return write(node, found);
  }

  /** All of them, or the last so many; where that is more than is given at once, this is said (section 6.5.4). */
  async #readAll(node: Node, most: number | undefined): Promise<XmlText> {
    const { maxPage } = this.#shop.around.limits;
    const last = most !== undefined || node.maxItems > maxPage;
    const { items, complete } = await take(node, { max: Math.min(most ?? maxPage, maxPage), last });
    if (complete || items.length === most) return write(node, items);
    return write(node, items, boundsOf(items, await node.count()));
  }

  async #readPage(node: Node, rsm: RsmRequest, most = Number.POSITIVE_INFINITY): Promise<XmlText> {
    const { maxPage } = this.#shop.around.limits;
    const count = await node.count();
    if (rsm.max === 0) return write(node, [], { count });
    if (rsm.index !== undefined)
      throw new StanzaError('feature-not-implemented', { text: 'Pages are found by the ids of their items' });
    const max = Math.min(rsm.max ?? maxPage, maxPage, most);
    const { items } = await take(node, { ...(await this.#filter(node, rsm)), max, last: rsm.before !== undefined });
    return write(node, items, boundsOf(items, count));
  }

  /** From the ids of items to their places. Throws StanzaError `item-not-found` for ids that there are none (XEP-0059 section 2.5). */
  async #filter(node: Node, { before, after }: RsmRequest): Promise<ItemFilter> {
    const ids = [before, after].filter((id) => id !== undefined && id !== '');
    if (ids.length === 0) return {};
    const { items } = await node.query({ ids: ids as string[] });
    const placeOf = (id: string): string => {
      const item = items.find((each) => each.id === id);
      if (!item) throw new StanzaError('item-not-found');
      return item.at;
    };
    return { ...(before && { before: placeOf(before) }), ...(after && { after: placeOf(after) }) };
  }
}

/** Reads a page, which ends early where it becomes too much to send. */
async function take(node: Node, { max, ...wanted }: Wanted): Promise<ItemPage> {
  const { last } = wanted;
  const found: Item[] = [];
  for (let bounds: ItemFilter = wanted; ; ) {
    const page = await node.query({ ...bounds, max: Math.min(CHUNK, max - found.length) });
    const isWhole = fill(found, last ? [...page.items].reverse() : page.items, max);
    if (!isWhole || page.complete || found.length === max)
      return { items: last ? found.reverse() : found, complete: isWhole && page.complete };
    const { at } = found.at(-1)!;
    bounds = { ...bounds, ...(last ? { before: at } : { after: at }) };
  }
}

/** Adds items to a page; false when some do not fit in. */
function fill(page: Item[], items: readonly Item[], max: number): boolean {
  let chars = page.reduce((sum, { value }) => sum + value.length, 0);
  for (const item of items) {
    chars += item.value.length;
    if (page.length > 0 && (chars > MAX_PAGE_CHARS || page.length >= max)) return false;
    page.push(item);
  }
  return true;
}

function write({ name, config }: Node, items: readonly Item[], rsm?: Parameters<typeof writeRsm>[0]): XmlText {
  let list = '';
  for (const { id, by, value } of items) {
    const publisher = config.itemReply === 'publisher' ? ` publisher='${escapeXml(by)}'` : '';
    list += `<item id='${escapeXml(id)}'${publisher}>${value}</item>`;
  }
  const set = rsm ? writeElement(writeRsm(rsm)) : '';
  return new XmlText(`<pubsub xmlns='${NS_PUBSUB}'><items node='${escapeXml(name)}'>${list}</items>${set}</pubsub>`);
}

function boundsOf(items: readonly Item[], count: number): Parameters<typeof writeRsm>[0] {
  return { first: items[0]?.id, last: items.at(-1)?.id, count };
}

/** Whoever has subscribed may say by which subscription they read, if they have it (section 6.5.9.2). */
async function checkSubid(node: Node, from: Jid, request: Element): Promise<void> {
  const subid: unknown = request.attrs['subid'];
  if (subid === undefined) return;
  const { subscriptions } = (await standingOf(node, from.bare)).member;
  if (subscriptions.length > 0 && !subscriptions.some((each) => each.subid === subid))
    throw pubsubError('not-acceptable', 'invalid-subid');
}

function readMost(request: Element): number | undefined {
  const text: unknown = request.attrs['max_items'];
  if (text === undefined) return undefined;
  if (typeof text !== 'string' || !NUMBER.test(text) || Number(text) === 0) {
    throw new StanzaError('bad-request', { text: 'max_items is a number from 1' });
  }
  return Number(text);
}
