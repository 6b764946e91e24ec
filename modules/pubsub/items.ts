// Reading items (XEP-0060 section 6.5).
import {
  type Element,
  escapeXml,
  type ItemFilter,
  type ItemPage,
  type RsmRequest,
  readRsm,
  StanzaError,
  writeElement,
  writeRsm,
  XmlText,
} from '#core';
import { checkRead } from './access.ts';
import { NS_PUBSUB, unsupported } from './errors.ts';
import type { Node } from './node.ts';
import type { Item, PubSubQuery, Shop } from './place.ts';
import { readIds } from './publish.ts';
import { nodeOf } from './requests.ts';

const NUMBER = /^\d{1,9}$/;

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
    if (!node.config.persistItems) return this.#readLast(node);
    const ids = readIds(request);
    const { maxPage } = this.#shop.around.limits;
    // Those that are not there are left out (section 6.5.9.11).
    if (ids.length > 0) return write(node, (await node.query({ ids: ids.slice(0, maxPage) })).items);
    const rsm = readRsm(payload);
    const most = readMost(request);
    if (rsm) return this.#readPage(node, rsm, most);
    const page = await node.query({
      max: Math.min(most ?? maxPage, maxPage),
      last: most !== undefined || node.maxItems > maxPage,
    });
    if (page.complete || most !== undefined) return write(node, page.items);
    // All of it was asked for, and is more than is given at once (section 6.5.4).
    return write(node, page.items, boundsOf(page, await node.count()));
  };

  /** What is not kept has a last item all the same (section 6.5.5). */
  async #readLast(node: Node): Promise<XmlText> {
    if (!node.config.deliverPayloads) throw unsupported('persistent-items');
    const last = await node.last();
    return write(node, last ? [last] : []);
  }

  async #readPage(node: Node, rsm: RsmRequest, most: number | undefined): Promise<XmlText> {
    const { maxPage } = this.#shop.around.limits;
    const count = most === undefined ? await node.count() : Math.min(most, await node.count());
    if (rsm.max === 0) return write(node, [], { count });
    if (rsm.index !== undefined)
      throw new StanzaError('feature-not-implemented', { text: 'Pages are found by the ids of their items' });
    const max = Math.min(rsm.max ?? maxPage, maxPage);
    const filter = await this.#filter(node, rsm);
    const page = await node.query({ ...filter, max, last: rsm.before !== undefined });
    return write(node, page.items, boundsOf(page, count));
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

function write({ name, config }: Node, items: readonly Item[], rsm?: Parameters<typeof writeRsm>[0]): XmlText {
  let list = '';
  for (const { id, by, value } of items) {
    const publisher = config.itemReply === 'publisher' ? ` publisher='${escapeXml(by)}'` : '';
    list += `<item id='${escapeXml(id)}'${publisher}>${value}</item>`;
  }
  const set = rsm ? writeElement(writeRsm(rsm)) : '';
  return new XmlText(`<pubsub xmlns='${NS_PUBSUB}'><items node='${escapeXml(name)}'>${list}</items>${set}</pubsub>`);
}

function boundsOf({ items }: ItemPage, count: number): Parameters<typeof writeRsm>[0] {
  return { first: items[0]?.id, last: items.at(-1)?.id, count };
}

function readMost(request: Element): number | undefined {
  const text: unknown = request.attrs['max_items'];
  if (text === undefined) return undefined;
  if (typeof text !== 'string' || !NUMBER.test(text) || Number(text) === 0) {
    throw new StanzaError('bad-request', { text: 'max_items is a number from 1' });
  }
  return Number(text);
}
