// XEP-0430: the conversations of an account, with how much of each is unread and what was said last.
import {
  type ArchiveItem,
  defineModule,
  type Element,
  option,
  type Query,
  readRsm,
  Shelf,
  StanzaError,
  Turns,
  writeRsm,
  xml,
} from '#core';
import mam from '../mam/index.ts';
import mds from '../mds/index.ts';
import { type Entry, NS, writeEntry } from './entry.ts';
import { Overview } from './overview.ts';
import { choosePage } from './page.ts';
import { type InboxSource, type Listed, Sources } from './sources.ts';

export type { Conversation } from './overview.ts';
export type { InboxSource } from './sources.ts';

/** Conversations kept in memory, of all accounts together. */
const CACHED = 100_000;
/**
 * Characters of messages in a page. A client that has not read yet is cut off when too much waits for it (`limits.queueBytes`), and asking for
 * a page of long messages must not do that.
 */
const MAX_LENGTH = 524_288;

/** Messages read from the archive at once. */
const CHUNK = 20;

/** Conversations whose last messages are to be read. */
interface Wanted {
  readonly overview: Overview;
  readonly username: string;
  readonly page: readonly Listed[];
  /** Whether the page belongs to what is behind it. */
  readonly isBackwards: boolean;
}

/** What other modules get from this one. */
export interface InboxApi {
  /** Shows conversations that are kept elsewhere than in the archives of accounts; returns what takes them back. */
  addSource(source: InboxSource): () => void;
}

export default defineModule({
  name: 'inbox',
  doc: 'Inbox: shows clients the conversations of their account, how much of each is unread, and what was said last.',
  xeps: [{ xep: 430, version: '0.2.0' }],
  needs: [mam, mds],
  config: option.object({
    maxPage: option.integer({ default: 100, min: 1, max: 1000, doc: 'Conversations that one answer shows at most.' }),
    maxUnread: option.integer({
      default: 1000,
      min: 1,
      max: 100_000,
      doc: 'Messages of one conversation that are counted as unread; where there are more, this number is shown.',
    }),
    maxConversations: option.integer({
      default: 10_000,
      min: 10,
      max: 100_000,
      doc: 'Conversations of one account that are shown at most: those with the newest messages.',
    }),
  }),

  setup({ config, disco, iq, keep, on, signals, use }): InboxApi {
    const { messages, stored } = use(mam);
    const { displayed, changed } = use(mds);
    const turns = keep('turns', () => new Turns());
    const parts = { messages, displayed, turns, now: () => performance.now(), ...config };
    const overviews = new Shelf(CACHED, async (username) => new Overview(username, parts));
    const sources = new Sources();

    disco.feature('registered', NS);
    iq.get('self', NS, 'inbox', show);
    on(stored, (message) => overviews.peek(message.owner)?.note(message));
    on(changed, ({ username, chat }) => overviews.peek(username)?.touch(chat));
    on(signals.accountDeleted, ({ username }) => void overviews.drop(username));

    async function show({ from, payload, env }: Query): Promise<Element> {
      const isUnreadOnly = readFlag(payload, 'unread-only', false);
      const hasMessages = readFlag(payload, 'messages', true);
      const rsm = readRsm(payload);
      const overview = await overviews.get(from.local);
      await overview.refresh();
      overviews.weigh(from.local, overview);
      const all = await sources.merge(from.local, overview.conversations, config.maxConversations);
      const unread = all.filter((each) => each.unread > 0);
      const { page, count } = choosePage(isUnreadOnly ? unread : all, rsm, config.maxPage);
      const entries = hasMessages
        ? await addMessages({ overview, username: from.local, page, isBackwards: rsm?.before !== undefined })
        : page;
      const heading = { from: from.bare, to: from.full, queryId: env.stanza.id };
      for (const entry of entries) env.origin.send(writeEntry(heading, entry));
      const set = writeRsm({ first: entries[0]?.last, last: entries.at(-1)?.last, count });
      const sum = unread.reduce((total, each) => total + each.unread, 0);
      const totals = { total: String(all.length), unread: String(unread.length), 'all-unread': String(sum) };
      return xml('fin', { xmlns: NS, ...totals }, set);
    }

    /** Reads the last messages of these conversations. Where those are long, what the client would read last is left out. */
    async function addMessages({ overview, username, page, isBackwards }: Wanted): Promise<readonly Entry[]> {
      const rest = isBackwards ? page.toReversed() : [...page];
      const entries: Entry[] = [];
      let length = 0;
      while (rest.length > 0) {
        const part = rest.splice(0, CHUNK);
        const found = await readLast(username, part);
        for (const conversation of part) {
          const item = found.get(conversation.last);
          // It has been taken out of the archive.
          if (!item && !conversation.source) overview.touch(conversation.chat);
          length += item?.stanza.length ?? 0;
          if (length > MAX_LENGTH && entries.length > 0) return isBackwards ? entries.reverse() : entries;
          entries.push({ ...conversation, item });
        }
      }
      return isBackwards ? entries.reverse() : entries;
    }

    /** The last messages of these conversations, by their ids. */
    async function readLast(username: string, part: readonly Listed[]): Promise<ReadonlyMap<string, Required<ArchiveItem>>> {
      const ids = part.filter(({ source }) => !source).map(({ last }) => last);
      const { items } = ids.length === 0 ? { items: [] } : await messages.query(username, { ids });
      const found = new Map(items.map((item) => [item.id, item]));
      for (const each of part) {
        const item = await each.source?.lastOf(username, each);
        if (item) found.set(each.last, item);
      }
      return found;
    }

    return { addSource: (source) => sources.add(source) };
  },
});

function readFlag(payload: Element, name: string, otherwise: boolean): boolean {
  const value: unknown = payload.attrs[name];
  if (value === undefined) return otherwise;
  if (value === 'true' || value === '1') return true;
  if (value === 'false' || value === '0') return false;
  throw new StanzaError('bad-request', { text: `"${name}" is true or false` });
}
