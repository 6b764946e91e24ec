// XEP-0433: finding public rooms by what they are called and what they are about.
import { defineModule, type Element, option, readRsm, StanzaError, Turns, writeRsm, xml } from '#core';
import muc, { type RoomQuery } from '../muc/index.ts';
import { type Found, find, type Place } from './find.ts';
import { NS_SEARCH, readSearch, type Search, showForm, TYPE, tooMuch } from './form.ts';

const NS_ANONYMITY = 'urn:xmpp:channel-search:0:anonymity';
/** Seconds after which somebody may search again who is told to wait. */
const RETRY = 2;

export default defineModule({
  name: 'muc-search',
  doc: 'Search for public rooms by their names, descriptions and addresses.',
  xeps: [{ xep: 433, version: '0.1.0' }],
  needs: [muc],
  config: option.object({
    all: option.boolean({ default: true, doc: 'Whether the list of all public rooms is given to those who ask for it.' }),
    maxPage: option.integer({ default: 100, min: 1, max: 1000, doc: 'Rooms in one answer.' }),
    maxPerAccount: option.integer({ default: 2, min: 1, doc: 'Searches of one account at once.' }),
    maxAtOnce: option.integer({ default: 50, min: 1, doc: 'Searches of all accounts at once.' }),
  }),

  setup({ config, defer, stopping, use }) {
    const rooms = use(muc);
    const source = { rooms, turns: new Turns() };
    /** How many searches are under way, by bare JID. */
    const underway = new Map<string, number>();
    let all = 0;

    defer(rooms.inform({ service: () => [NS_SEARCH] }));
    defer(rooms.atService('get', NS_SEARCH, 'search', answer));

    function answer({ payload, from }: RoomQuery) {
      const search = readSearch(payload, config.all);
      if (!search) return showForm(config.all);
      const page = readPage(payload, search, config.maxPage);
      const mine = underway.get(from.bare) ?? 0;
      if (mine >= config.maxPerAccount || all >= config.maxAtOnce) throw tooMuch(RETRY);
      underway.set(from.bare, mine + 1);
      all++;
      return look(search, page).finally(() => {
        all--;
        const left = (underway.get(from.bare) ?? 1) - 1;
        if (left > 0) underway.set(from.bare, left);
        else underway.delete(from.bare);
      });
    }

    async function look(search: Search, { max, after }: Page): Promise<Element> {
      if (!search.wantsRooms) return write([], search, undefined);
      const found: Found[] = [];
      let count = 0;
      for await (const room of find(source, search, after)) {
        if (stopping.aborted) throw new StanzaError('service-unavailable');
        count++;
        if (found.length < max) found.push(room);
        // Only who asks for nothing else wants to know how many there are: for that all have to be looked at.
        if (max > 0 && found.length === max) break;
      }
      return write(found, search, max === 0 ? count : undefined);
    }
  },
});

interface Page {
  readonly max: number;
  readonly after: Place | undefined;
}

/** Which page is meant. There is no going back: what is not known cannot be skipped. */
function readPage(payload: Element, { byUsers }: Search, most: number): Page {
  const rsm = readRsm(payload);
  if (rsm?.index !== undefined || rsm?.before !== undefined) throw new StanzaError('feature-not-implemented');
  const max = Math.min(rsm?.max ?? most, most);
  if (rsm?.after === undefined) return { max, after: undefined };
  const [, users = '0', address = ''] = (byUsers ? /^(\d{1,9}) ([^ ]+)$/ : /^()([^ ]+)$/).exec(rsm.after) ?? [];
  if (address === '') throw new StanzaError('item-not-found', { text: 'There is no such place to begin at' });
  return { max, after: { users: Number(users), address } };
}

function write(found: readonly Found[], { byUsers }: Search, count: number | undefined): Element {
  const idOf = (room: Found | undefined) => room && (byUsers ? `${room.users} ${room.address}` : room.address);
  const set = writeRsm({ first: idOf(found[0]), last: idOf(found.at(-1)), count });
  return xml('result', NS_SEARCH, ...found.map(writeItem), set);
}

/** Section 5.2. */
function writeItem({ address, name, description, lang, isOpen, users, whois }: Found): Element {
  const text = (child: string, content: string) => (content === '' ? undefined : xml(child, {}, content));
  return xml(
    'item',
    { address },
    text('name', name),
    text('description', description),
    text('language', lang),
    xml('nusers', {}, String(users)),
    xml('service-type', {}, TYPE),
    xml('is-open', {}, String(isOpen)),
    whois && xml('anonymity-mode', {}, whois === 'anyone' ? `{${NS_ANONYMITY}}none` : 'muc_semianonymous'),
  );
}
