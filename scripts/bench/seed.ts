// Fills archives of Parlance, as long use would have done.
import { setImmediate } from 'node:timers/promises';
import Database from 'better-sqlite3';
import type { StoredMark } from '../../modules/offline/mark.ts';
import { makeIdSource } from '../../src/ids.ts';
import { silent } from '../../src/log.ts';
import { openStorage } from '../../src/storage/open.ts';
import { type ArchiveItem, archiveStore, mapStore } from '../../src/storage/storage.ts';

const HOST = 'localhost';
/** What the messages of an archive are spread over, in milliseconds: not so long that one would be thrown away for its age. */
const SPAN = 5 * 86_400_000;
/** Other parties of each archive; all of them have as many of its messages. */
const PARTIES = 100;
/** As long as the load tool's own. */
const BODY_BYTES = 200;
const FILLER = ' The quick brown fox jumps over the lazy dog, and then it sits down to write quite an ordinary line of chat.';
/** Tags of the module `mam`. */
const RECEIVED = 2;
const SENT = 3;
/** Messages of one transaction. */
const BATCH = 20_000;

/**
 * Gives user0 and user1 archives of so many messages, received and sent in turn: a hundredth of them with each other, scattered among
 * those with 99 more. They are written into the database directly, since nobody wants to wait for a million that are sent.
 */
export async function seedArchives(file: string, messages: number, signal: AbortSignal): Promise<void> {
  await makeTables(file);
  const last = new Map<string, string>();
  const database = new Database(file);
  try {
    // Whether it would survive a crash is no matter, and makes no difference to those who read it.
    database.pragma('journal_mode = OFF');
    database.pragma('synchronous = OFF');
    database.pragma('cache_size = -200000');
    for (const owner of [0, 1]) last.set(`user${owner}`, await fillArchive(database, owner, messages, signal));
  } finally {
    database.close();
  }
  await markDelivered(file, last);
}

/** As the server itself makes them, which then takes them for its own. */
async function makeTables(file: string): Promise<void> {
  const storage = await openStorage({ type: 'sqlite', file }, silent);
  try {
    await storage.open(HOST, 'mam', { messages: archiveStore() });
  } finally {
    await storage.close();
  }
}

/** Otherwise the module `offline` would take all of it for messages that nobody has got yet, and deliver them at the next login. */
async function markDelivered(file: string, last: ReadonlyMap<string, string>): Promise<void> {
  const storage = await openStorage({ type: 'sqlite', file }, silent);
  try {
    const { marks } = await storage.open(HOST, 'offline', { marks: mapStore<StoredMark>() });
    for (const [owner, upTo] of last) await marks.update(owner, new Map([['mark', { upTo, except: [], done: [] }]]));
  } finally {
    await storage.close();
  }
}

/** Returns the last id. */
async function fillArchive(db: Database.Database, owner: number, messages: number, signal: AbortSignal): Promise<string> {
  const columns = 'host, owner, id, "with", resource, tag, stanza';
  const insert = db.prepare(`INSERT INTO mam_messages (${columns}) VALUES ('${HOST}', 'user${owner}', ?, ?, ?, ?, ?)`);
  const begin = Date.now() - SPAN;
  let time = begin;
  let id = '';
  const nextId = makeIdSource(() => time);
  const fill = db.transaction((from: number, to: number) => {
    for (let index = from; index < to; index++) {
      time = begin + Math.floor((index * SPAN) / messages);
      id = nextId();
      const item = makeItem(id, owner, index, time);
      insert.run(id, item.with, item.resource, item.tag, item.stanza);
    }
  });
  for (let index = 0; index < messages; index += BATCH) {
    fill(index, Math.min(index + BATCH, messages));
    // Ctrl-C is heard between two transactions.
    await setImmediate();
    signal.throwIfAborted();
  }
  return id;
}

/** One message, with the mark by which the load tool knows its own (xmppload.c). Exported for tests. */
export function makeItem(id: string, owner: number, index: number, time: number): Required<ArchiveItem> {
  const party = Math.floor(index / 2) % PARTIES;
  const other = party === 0 ? 1 - owner : party + 1;
  const isSent = index % 2 === 1;
  const [from, to] = isSent ? [owner, other] : [other, owner];
  const mark = `~${hex(time * 1e6, 16)}${hex(from, 6)}${hex(to, 6)}~`;
  const body = mark + FILLER.repeat(2).slice(0, BODY_BYTES - mark.length);
  const addresses = `from="user${from}@${HOST}/load" to="user${to}@${HOST}"`;
  return {
    id,
    with: `user${other}@${HOST}`,
    resource: isSent ? '' : 'load',
    tag: isSent ? SENT : RECEIVED,
    stanza: `<message xmlns="jabber:client" ${addresses} type="chat" id="${hex(index, 8)}"><body>${body}</body></message>`,
  };
}

function hex(value: number, digits: number): string {
  return value.toString(16).padStart(digits, '0');
}
