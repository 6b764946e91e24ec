import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { StoredMark } from '../../../modules/offline/mark.ts';
import { makeItem, seedArchives } from '../../../scripts/bench/seed.ts';
import { timeOf } from '../../../src/ids.ts';
import { silent } from '../../../src/log.ts';
import { openStorage } from '../../../src/storage/open.ts';
import { type ArchiveStore, archiveStore, mapStore } from '../../../src/storage/storage.ts';
import { readStanza } from '../../../src/xml/text.ts';

const DAY = 86_400_000;

describe('A seeded archive', () => {
  let folder: string;
  let file: string;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'bench-seed-'));
    file = join(folder, 'data', 'parlance.sqlite');
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  /** Opens the archives as the module `mam` does. */
  async function withMessages(look: (messages: ArchiveStore) => Promise<void>): Promise<void> {
    const storage = await openStorage({ type: 'sqlite', file }, silent);
    try {
      const { messages } = await storage.open('localhost', 'mam', { messages: archiveStore() });
      await look(messages);
    } finally {
      await storage.close();
    }
  }

  it('holds as many messages as were asked for, for two accounts and with a hundred others each', async () => {
    await seedArchives(file, 1000, new AbortController().signal);
    await withMessages(async (messages) => {
      assert.deepEqual(await messages.owners(), ['user0', 'user1']);
      for (const owner of ['user0', 'user1']) {
        assert.equal(await messages.count(owner, {}), 1000);
        assert.equal((await messages.parties(owner)).length, 100);
      }
      assert.equal(await messages.count('user0', { with: 'user1@localhost' }), 10);
      assert.equal(await messages.count('user1', { with: 'user0@localhost' }), 10);
    });
  });

  it('is in order, and of the last days', async () => {
    const before = Date.now();
    await seedArchives(file, 100, new AbortController().signal);
    await withMessages(async (messages) => {
      const { items } = await messages.query('user0', {});
      const times = items.map(({ id }) => timeOf(id)!);
      assert.deepEqual(
        times,
        times.toSorted((a, b) => a - b),
      );
      assert.ok(times[0]! >= before - 6 * DAY);
      assert.ok(times.at(-1)! < Date.now());
      assert.deepEqual([...new Set(items.map(({ tag }) => tag))].sort(), [2, 3]);
    });
  });

  it('was delivered, as far as the server knows', async () => {
    await seedArchives(file, 10, new AbortController().signal);
    const storage = await openStorage({ type: 'sqlite', file }, silent);
    try {
      const { messages } = await storage.open('localhost', 'mam', { messages: archiveStore() });
      const { marks } = await storage.open('localhost', 'offline', { marks: mapStore<StoredMark>() });
      const { items } = await messages.query('user0', { last: true, max: 1 });
      assert.deepEqual(await marks.get('user0', 'mark'), { upTo: items[0]!.id, except: [], done: [] });
    } finally {
      await storage.close();
    }
  });

  it('is erased with its account, as one that the server has written', async () => {
    await seedArchives(file, 10, new AbortController().signal);
    const storage = await openStorage({ type: 'sqlite', file }, silent);
    try {
      await storage.erase('localhost', 'user0');
      const { messages } = await storage.open('localhost', 'mam', { messages: archiveStore() });
      assert.deepEqual(await messages.owners(), ['user1']);
    } finally {
      await storage.close();
    }
  });

  it('is given up when nobody wants it any more', async () => {
    await assert.rejects(seedArchives(file, 10, AbortSignal.abort(new Error('enough'))), /enough/);
  });

  it('has messages that the load tool knows by their marks', () => {
    const received = readStanza(makeItem('id', 0, 0, 1_700_000_000_000).stanza);
    const sent = readStanza(makeItem('id', 0, 1, 1_700_000_000_000).stanza);
    assert.match(received.text('body')!, /^~[0-9a-f]{16}000001000000~ /);
    assert.match(sent.text('body')!, /^~[0-9a-f]{16}000000000001~ /);
    assert.equal(received.text('body')!.length, 200);
  });
});
