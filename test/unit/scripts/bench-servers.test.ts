import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parse } from 'yaml';
import { CONTENDERS } from '../../../scripts/bench/servers.ts';

describe('The config of a server that is measured', () => {
  let folder: string;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'bench-servers-'));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  function write(server: string, file: string, hasArchive: boolean): string {
    const place = { folder, certs: join(folder, 'certs'), port: 1, webPort: 2, sparePort: 3 };
    const contender = CONTENDERS.find(({ name }) => name === server)!;
    contender.prepare(place, contender.variants.full[0]!, hasArchive);
    const text = readFileSync(join(folder, file), 'utf8');
    assert.doesNotMatch(text, /@[A-Z_]+@/, 'a place that was not filled in');
    return text;
  }

  it('has an archive only where messages are to be archived: Parlance', () => {
    const modules = (hasArchive: boolean) => parse(write('parlance', 'parlance.yaml', hasArchive)).hosts.localhost.modules;
    assert.deepEqual(modules(false), { mam: false });
    assert.deepEqual(modules(true), { mam: {} });
  });

  it('has an archive only where messages are to be archived: Prosody', () => {
    assert.doesNotMatch(write('prosody', 'prosody.cfg.lua', false), /"mam"|SQLite/);
    assert.match(write('prosody', 'prosody.cfg.lua', true), /"mam"/);
  });

  it('has an archive only where messages are to be archived: ejabberd', () => {
    const { modules, sql_type: database } = parse(write('ejabberd', 'ejabberd.yml', false));
    assert.equal(modules.mod_mam, undefined);
    assert.equal(database, undefined);
  });

  it('has rooms at the same address, and keeps no archive of them', () => {
    for (const hasArchive of [false, true]) {
      assert.equal(parse(write('parlance', 'parlance.yaml', hasArchive)).modules.muc.archive, false);
      const prosody = write('prosody', 'prosody.cfg.lua', hasArchive);
      assert.match(prosody, /^Component "conference\.localhost" "muc"$/m);
      assert.doesNotMatch(prosody, /^[^-]*muc_mam/m);
    }
    const { host, default_room_options: room, ...limits } = parse(write('ejabberd', 'ejabberd.yml', false)).modules.mod_muc;
    assert.deepEqual([host, room.mam], ['conference.localhost', false]);
    assert.ok(Math.min(limits.max_users, room.max_users) > 2000, 'for all who join');
  });

  it('has the same features of sessions in all of them', () => {
    for (const name of ['sm', 'carbons', 'csi']) assert.ok(name in parse(write('parlance', 'parlance.yaml', false)).modules);
    for (const name of ['smacks', 'carbons', 'csi_simple'])
      assert.ok(write('prosody', 'prosody.cfg.lua', false).includes(`"${name}"`));
    for (const name of ['mod_stream_mgmt', 'mod_carboncopy', 'mod_client_state'])
      assert.ok(name in parse(write('ejabberd', 'ejabberd.yml', false)).modules);
  });
});
