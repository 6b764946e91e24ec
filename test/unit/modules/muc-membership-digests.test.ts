import assert from 'node:assert/strict';
import caps from '../../../modules/caps/index.ts';
import disco from '../../../modules/disco/index.ts';
import { TAG } from '../../../modules/mam/index.ts';
import mds, { type DisplayedChat, type MdsApi } from '../../../modules/mds/index.ts';
import type { Said } from '../../../modules/muc/index.ts';
import { Digests } from '../../../modules/muc-membership/digests.ts';
import { type ArchiveStore, archiveStore, defineModule, Jid, option, sortableId } from '../../../src/index.ts';
import { silent } from '../../../src/log.ts';
import { openStorage } from '../../../src/storage/open.ts';
import type { Storage } from '../../../src/storage/storage.ts';
import { startHost } from '../../support/start-host.ts';

const ROOM = 'lounge@conference.example.org';
const TALK = TAG.groupchat | TAG.conversation;
const room = { jid: Jid.parse(ROOM) } as Said['room'];

describe('muc-membership: what was said last', () => {
  let storage: Storage;
  let messages: ArchiveStore;
  let digests: Digests;
  let reads = 0;
  let now = 0;

  beforeEach(async () => {
    storage = await openStorage({ type: 'memory' }, silent);
    messages = (await storage.open('example.org', 'muc', { messages: archiveStore() })).messages;
    reads = 0;
    now = 0;
    const query: ArchiveStore['query'] = (...args) => {
      reads++;
      return messages.query(...args);
    };
    digests = new Digests({ query }, () => now);
  });
  afterEach(() => storage.close());

  async function say(tag: number = TALK, content = '<body>x</body>', isStored = true): Promise<string> {
    const id = sortableId();
    const stanza = `<message xmlns='jabber:client' type='groupchat'>${content}</message>`;
    if (isStored) await messages.append(ROOM, { id, with: 'romeo@example.org', tag, stanza });
    digests.note({ room, id, tag });
    return id;
  }
  const last = async () => (await digests.of(ROOM)).last;

  it('is read once, and from then on is what is said', async () => {
    const one = await say();
    assert.equal(await last(), one);
    assert.equal(reads, 1);
    const two = await say();
    const reaction = await say(TAG.groupchat, "<reactions xmlns='urn:xmpp:reactions:0' id='x'/>");
    const digest = digests.of(ROOM);
    assert(!(digest instanceof Promise), 'it is there at once');
    assert.deepEqual([digest.last, digest.id], [two, reaction]);
    assert.equal(reads, 1);
  });

  it('is read once for all who ask at the same time, and holds what is said meanwhile', async () => {
    await say();
    const asked = [digests.of(ROOM), digests.of(ROOM)];
    // As if the archive had been read just before it was there.
    const two = await say(TALK, '<body>two</body>', false);
    const found = await Promise.all(asked);
    assert.deepEqual(
      found.map((digest) => digest.last),
      [two, two],
    );
    assert.equal(reads, 1);
  });

  it('is nothing where nothing was said to people', async () => {
    assert.deepEqual([await last(), (await digests.of(ROOM)).id], [undefined, undefined]);
    digests.drop(ROOM);
    const subject = await say(TAG.groupchat | 16, '<subject>Love</subject>');
    assert.deepEqual([await last(), (await digests.of(ROOM)).id], [undefined, subject]);
  });

  it('is read again after something was retracted, and after an hour', async () => {
    const one = await say();
    const two = await say();
    assert.equal(await last(), two);
    const { version } = await digests.of(ROOM);
    await say(TAG.groupchat, "<retract xmlns='urn:xmpp:message-retract:1' id='two'/>");
    assert.equal(await last(), two);
    await messages.replace(ROOM, { id: two, tag: TAG.groupchat | TAG.tombstone, stanza: '<message/>' });
    digests.drop(ROOM);
    assert.equal(await last(), one);
    assert.notEqual((await digests.of(ROOM)).version, version);
    const before = reads;
    await last();
    assert.equal(reads, before);
    await messages.remove(ROOM, {});
    now += 3_600_001;
    assert.equal(await last(), undefined);
  });

  it('is not kept of rooms that nobody asks about, nor of what is not archived', async () => {
    digests.note({ room, id: undefined, tag: undefined });
    const one = await say();
    digests.drop(ROOM);
    await messages.remove(ROOM, { ids: [one] });
    assert.equal(await last(), undefined);
  });

  it('is read again where the database has failed', async () => {
    const failing = new Digests({ query: () => Promise.reject(new Error('the disk is gone')) });
    for (let i = 0; i < 2; i++) await assert.rejects(async () => failing.of(ROOM), /the disk is gone/);
  });
});

describe('mds: marks by ids of rooms', () => {
  async function start(isOurs: ((by: string) => boolean) | undefined) {
    let api: MdsApi | undefined;
    const changes: DisplayedChat[] = [];
    const taker = defineModule({
      name: 'taker',
      doc: '',
      needs: [mds],
      config: option.object({}),
      setup({ defer, on, use }) {
        api = use(mds);
        if (isOurs) defer(api.sort(isOurs));
        on(api.changed, (change) => void changes.push(change));
      },
    });
    const host = await startHost([disco, caps, mds, taker]);
    return { host, api: api!, changes };
  }
  const ids = Array.from({ length: 3 }, () => sortableId());

  it('are kept for the account, and told to others', async () => {
    const { host, api, changes } = await start(undefined);
    assert.equal(await api.markOf('juliet', ROOM), undefined);
    await api.mark('juliet', ROOM, { by: ROOM, id: ids[1]! });
    const mark = await api.markOf('juliet', ROOM);
    assert.deepEqual([mark?.by, mark?.id], [ROOM, ids[1]]);
    // It says nothing about the account's own archive.
    assert.equal(await api.displayed('juliet', ROOM), undefined);
    assert.deepEqual(changes, [{ username: 'juliet', chat: ROOM, id: undefined }]);
    await host.stop();
  });

  it('only move forward where it is known that ids sort, and are not from the future', async () => {
    const { host, api } = await start((by) => by === ROOM);
    const marked = async (chat: string, id: string) => {
      await api.mark('juliet', chat, { by: chat, id });
      return (await api.markOf('juliet', chat))?.id;
    };
    assert.equal(await marked(ROOM, ids[1]!), ids[1]);
    assert.equal(await marked(ROOM, ids[0]!), ids[1]);
    assert.equal(await marked(ROOM, ids[2]!), ids[2]);
    // One that cannot be keeps no true one out.
    await marked(ROOM, 'ffffffff-ffff-7fff-bfff-ffffffffffff');
    assert.equal(await marked(ROOM, ids[2]!), ids[2]);
    const elsewhere = 'lounge@conference.example.net';
    assert.equal(await marked(elsewhere, ids[1]!), ids[1]);
    assert.equal(await marked(elsewhere, ids[0]!), ids[0]);
    await host.stop();
  });
});
