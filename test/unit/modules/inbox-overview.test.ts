import assert from 'node:assert/strict';
import { Overview, type OverviewParts } from '../../../modules/inbox/overview.ts';
import { TAG } from '../../../modules/mam/index.ts';
import { type ArchiveStore, archiveStore, sortableId, Turns } from '../../../src/index.ts';
import { silent } from '../../../src/log.ts';
import { openStorage } from '../../../src/storage/open.ts';
import type { Storage } from '../../../src/storage/storage.ts';

describe('inbox: an overview', () => {
  let messages: ArchiveStore;
  let overview: Overview;
  let turns: CountedTurns;
  let now = 0;
  let storage: Storage;
  afterEach(() => storage.close());
  beforeEach(async () => {
    storage = await openStorage({ type: 'memory' }, silent);
    messages = (await storage.open('example.org', 'mam', { messages: archiveStore() })).messages;
    turns = new CountedTurns();
    now = 0;
    overview = new Overview('juliet', parts());
  });

  const parts = (): OverviewParts => ({
    messages,
    displayed: () => undefined,
    maxConversations: 5000,
    maxUnread: 1000,
    turns,
    now: () => now,
  });
  const put = async (chat: string) => {
    const id = sortableId();
    await messages.append('juliet', { id, with: chat, tag: TAG.conversation, stanza: '<message/>' });
    return id;
  };
  const chats = () => overview.conversations.map(({ chat }) => chat);

  it('of thousands of conversations is made in slices, between which others have their turn', async () => {
    await Promise.all(Array.from({ length: 300 }, (_, i) => put(`${i}@x.example`)));
    const slow = new Overview('juliet', { ...parts(), displayed: () => void hold(1) });
    await slow.refresh();
    assert.equal(slow.conversations.length, 300);
    assert(turns.count > 20, `${turns.count} turns`);
  });

  it('is there at once when nothing has changed', async () => {
    await put('a@x.example');
    await overview.refresh();
    assert.equal(overview.refresh(), undefined);
    overview.touch('a@x.example');
    assert(overview.refresh() instanceof Promise);
  });

  it('is made once for all who wait for it', async () => {
    await put('a@x.example');
    assert.equal(overview.refresh(), overview.refresh());
    assert(overview.isBusy);
    await overview.refresh();
    assert(!overview.isBusy);
    assert.equal(turns.count, 1);
  });

  it('is made again where the database has failed', async () => {
    await put('a@x.example');
    await put('b@x.example');
    const { query } = messages;
    messages.query = () => Promise.reject(new Error('the disk is gone'));
    await assert.rejects(async () => overview.refresh(), /the disk is gone/);
    messages.query = query;
    await overview.refresh();
    assert.deepEqual(chats(), ['b@x.example', 'a@x.example']);
    messages.query = () => Promise.reject(new Error('the disk is gone'));
    const id = await put('c@x.example');
    overview.note({ id, with: 'c@x.example', tag: TAG.conversation });
    await assert.rejects(async () => overview.refresh());
    messages.query = query;
    await overview.refresh();
    assert.deepEqual(chats(), ['c@x.example', 'b@x.example', 'a@x.example']);
  });

  it('does not show for ever what archives have thrown away', async () => {
    const old = await put('a@x.example');
    await put('b@x.example');
    await overview.refresh();
    await messages.remove('juliet', { ids: [old] });
    now += 3_600_001;
    await overview.refresh();
    assert.deepEqual(chats(), ['b@x.example']);
  });
});

class CountedTurns extends Turns {
  count = 0;

  override next(): Promise<void> {
    this.count++;
    return super.next();
  }
}

/** Works for so many milliseconds. */
function hold(milliseconds: number): void {
  for (const since = performance.now(); performance.now() - since < milliseconds; );
}
