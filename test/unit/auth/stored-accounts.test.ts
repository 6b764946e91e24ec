import assert from 'node:assert/strict';
import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { preparePassword } from '../../../src/auth/passwords.ts';
import { serverSecret } from '../../../src/auth/server-secret.ts';
import { type AccountRecord, StoredAccounts } from '../../../src/auth/stored-accounts.ts';
import { silent } from '../../../src/log.ts';
import { openStorage } from '../../../src/storage/open.ts';
import { type MapStore, mapStore, type Storage } from '../../../src/storage/storage.ts';

describe('accounts', () => {
  let storage: Storage;
  let store: MapStore<AccountRecord>;
  let notes: MapStore<string>;
  let accounts: StoredAccounts;
  let told: string[];

  beforeEach(async () => {
    storage = await openStorage({ type: 'memory' }, silent);
    ({ store, notes } = await storage.open('example.org', 'core', {
      store: mapStore<AccountRecord>(),
      notes: mapStore<string>(),
    }));
    told = [];
    accounts = make();
  });

  afterEach(() => storage.close());

  function make(secret = Buffer.alloc(32, 1)): StoredAccounts {
    return new StoredAccounts({
      store,
      iterations: 4096,
      secret,
      erase: (username) => storage.erase('example.org', username),
      deleting: async (username) => void told.push(`?${username} ${(await notes.entries(username)).size}`),
      created: (username) => void told.push(`+${username}`),
      deleted: (username) => void told.push(`-${username}`),
    });
  }

  it('are made, found, listed and removed', async () => {
    assert.equal(await accounts.exists('juliet'), false);
    await accounts.create('juliet', 'secret');
    assert.equal(await accounts.exists('juliet'), true);
    assert.deepEqual(
      (await accounts.list()).map(({ username }) => username),
      ['juliet'],
    );
    await notes.update('juliet', new Map([['a', 'b']]));
    assert.equal(await accounts.delete('juliet'), true);
    assert.equal(await accounts.delete('juliet'), false);
    assert.equal(await accounts.exists('juliet'), false);
    assert.equal((await notes.entries('juliet')).size, 0);
    // Told before anything is gone, and after.
    assert.deepEqual(told, ['+juliet', '?juliet 1', '-juliet']);
  });

  it('are there once, however many ask at the same time', async () => {
    const results = await Promise.allSettled(Array.from({ length: 5 }, (_, i) => accounts.create('juliet', `secret${i}`)));
    assert.deepEqual(results.map(({ status }) => status).sort(), ['fulfilled', 'rejected', 'rejected', 'rejected', 'rejected']);
    for (const result of results) if (result.status === 'rejected') assert.equal(result.reason.condition, 'conflict');
    assert.deepEqual(told, ['+juliet']);
  });

  it('are there once, when two processes make them at the same time', async () => {
    const other = make();
    const results = await Promise.allSettled([accounts.create('juliet', 'one'), other.create('juliet', 'two')]);
    assert.deepEqual(results.map(({ status }) => status).sort(), ['fulfilled', 'rejected']);
    for (const result of results) if (result.status === 'rejected') assert.equal(result.reason.condition, 'conflict');
    const password = results[0].status === 'fulfilled' ? 'one' : 'two';
    for (const each of [accounts, other]) assert.equal(await each.verify('juliet', password), true);
    assert.deepEqual(told, ['+juliet']);
  });

  it('are not touched by what forgets a guest of the same name', async () => {
    await accounts.create('juliet', 'secret');
    await notes.update('juliet', new Map([['a', 'b']]));
    await notes.update('guest', new Map([['a', 'b']]));
    await accounts.forget('juliet');
    await accounts.forget('guest');
    assert.deepEqual([(await notes.entries('juliet')).size, (await notes.entries('guest')).size], [1, 0]);
    assert.deepEqual(told, ['+juliet', '?guest 1', '-guest']);
  });

  it('keep keys and never the password', async () => {
    await accounts.create('juliet', 'a very secret word');
    const record = await store.get('juliet', 'account');
    assert.equal(JSON.stringify(record).includes('secret'), false);
    assert.deepEqual(Object.keys(record!.keys).sort(), ['sha1', 'sha256', 'sha512']);
    assert.notEqual(record!.keys.sha1.salt, record!.keys.sha256.salt);
  });

  it('take the password that was set last', async () => {
    await accounts.create('juliet', 'one');
    assert.equal(await accounts.verify('juliet', 'one'), true);
    assert.equal(await accounts.verify('juliet', 'two'), false);
    await accounts.setPassword('juliet', 'two');
    assert.equal(await accounts.verify('juliet', 'one'), false);
    assert.equal(await accounts.verify('juliet', 'two'), true);
    await assert.rejects(accounts.setPassword('nobody', 'x'), { condition: 'item-not-found' });
  });

  for (const [name, password] of [
    ['an empty one', ''],
    ['one that is too long', 'x'.repeat(1025)],
    ['one with a control character', 'a\u0007b'],
    ['one with NUL', 'a\0b'],
  ] as const) {
    it(`refuse as a password ${name}`, async () => {
      await assert.rejects(accounts.create('juliet', password), { condition: 'not-acceptable' });
      assert.equal(await accounts.exists('juliet'), false);
      assert.equal(await accounts.verify('juliet', password), false);
    });
  }

  it('prepare passwords, so that it does not matter how they are typed', () => {
    assert.equal(preparePassword('I\u00adX'), 'IX');
    assert.equal(preparePassword('\u00aa'), 'a');
    assert.equal(preparePassword('pässword'), preparePassword('pa\u0308ssword'));
  });

  it('answer for a name nobody has as for one that somebody has, always the same', async () => {
    await accounts.create('juliet', 'secret');
    const known = await accounts.scramKeys('juliet', 'sha256');
    const first = await accounts.scramKeys('nobody', 'sha256');
    const again = await make().scramKeys('nobody', 'sha256');
    assert.deepEqual([known.known, first.known], [true, false]);
    assert.deepEqual(first.keys.salt, again.keys.salt);
    assert.equal(first.keys.salt.length, known.keys.salt.length);
    assert.equal(first.keys.iterations, known.keys.iterations);
    assert.notDeepEqual(first.keys.salt, (await accounts.scramKeys('nobody2', 'sha256')).keys.salt);
    assert.notDeepEqual(first.keys.salt, (await accounts.scramKeys('nobody', 'sha1')).keys.salt);
    assert.notDeepEqual(first.keys.salt, (await make(Buffer.alloc(32, 2)).scramKeys('nobody', 'sha256')).keys.salt);
    assert.equal(await accounts.verify('nobody', 'secret'), false);
  });

  it('notice at once what another process has changed', async () => {
    await accounts.create('juliet', 'one');
    await accounts.verify('juliet', 'one');
    await make().setPassword('juliet', 'two');
    assert.equal(await accounts.verify('juliet', 'two'), true);
    assert.equal(await accounts.verify('juliet', 'one'), false);

    assert.equal(await accounts.verify('romeo', 'three'), false);
    await make().create('romeo', 'three');
    assert.equal(await accounts.verify('romeo', 'three'), true);
  });

  it('give the keys that are stored now, whoever has set them', async () => {
    await accounts.create('juliet', 'one');
    const before = await accounts.scramKeys('juliet', 'sha256');
    await make().setPassword('juliet', 'two');
    assert.notDeepEqual(await accounts.scramKeys('juliet', 'sha256'), before);
  });

  it('are listed to the last, however many there are', async () => {
    const record = { created: 1, keys: {} } as unknown as AccountRecord;
    for (let i = 0; i < 1005; i++) await store.update(`user${i}`, new Map([['account', record]]));
    assert.equal((await accounts.list()).length, 1005);
  });
});

describe('the secret of a server', () => {
  let folder: string;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'parlance-secret-'));
  });

  afterEach(() => rm(folder, { recursive: true, force: true }));

  it('is made once, for this server alone to read', async () => {
    const [one, two] = await Promise.all([
      serverSecret(join(folder, 'data'), 'login'),
      serverSecret(join(folder, 'data'), 'login'),
    ]);
    assert.deepEqual(one, two);
    assert.equal(one.length, 32);
    assert.deepEqual(await serverSecret(join(folder, 'data'), 'login'), one);
    assert.notDeepEqual(await serverSecret(join(folder, 'data'), 'other'), one);
    assert.equal((await stat(join(folder, 'data', 'login.secret'))).mode & 0o777, 0o600);
  });

  it('is not taken when it is damaged', async () => {
    await writeFile(join(folder, 'login.secret'), 'short');
    await assert.rejects(serverSecret(folder, 'login'), /damaged/);
  });
});
