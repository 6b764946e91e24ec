import assert from 'node:assert/strict';
import { access, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { parse } from 'yaml';
import { readConfiguration } from '../../../src/cli/config-file.ts';
import { run } from '../../../src/cli/program.ts';
import { silent } from '../../../src/log.ts';
import { openStorage } from '../../../src/storage/open.ts';
import { mapStore } from '../../../src/storage/storage.ts';

interface Result {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

async function parlance(args: readonly string[], input = '', env: Readonly<Record<string, string>> = {}): Promise<Result> {
  let out = '';
  let err = '';
  const code = await run(args, {
    stdin: Readable.from([Buffer.from(input)]),
    stdout: { write: (text) => void (out += text) },
    stderr: { write: (text) => void (err += text) },
    env,
  });
  return { code, out, err };
}

describe('the command line', () => {
  let folder = '';
  let file = '';

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'parlance-cli-'));
    file = join(folder, 'server.yaml');
    await write({});
  });

  afterEach(() => rm(folder, { recursive: true }));

  async function write(changes: Readonly<Record<string, unknown>>): Promise<void> {
    const config = {
      data: './data',
      listeners: [{ type: 'c2s', port: 0, addresses: ['127.0.0.1'] }],
      modules: { roster: {}, disco: {} },
      hosts: { 'example.test': { certificate: 'self-signed' } },
      ...changes,
    };
    await writeFile(file, JSON.stringify(config));
  }

  describe('parlance', () => {
    it('prints help with examples and exit codes, for every command', async () => {
      const { code, out } = await parlance(['--help']);
      assert.equal(code, 0);
      assert.match(out, /Exit codes: 0 .*; 1 .*; 2 .*; 70 /);
      assert.match(out, /Examples:/);
      for (const args of [
        ['start'],
        ['check'],
        ['account'],
        ['account', 'create'],
        ['reload'],
        ['status'],
        ['config'],
        ['module', 'new'],
      ]) {
        const help = await parlance([...args, '--help']);
        assert.equal(help.code, 0, args.join(' '));
        assert.match(help.out, /^Usage: parlance /, args.join(' '));
      }
    });

    it('ends with 2 when it is used in a wrong way, and says how it is used', async () => {
      for (const args of [
        [],
        ['strat'],
        ['start', '--nonsense'],
        ['account', 'create'],
        ['account', 'list', 'a', 'b'],
        ['check', 'x'],
      ]) {
        const { code, err } = await parlance(args);
        assert.equal(code, 2, args.join(' '));
        assert.notEqual(err, '');
      }
      assert.match((await parlance(['strat'])).err, /Did you mean start\?/);
    });

    it('prints its version', async () => {
      const { version } = JSON.parse(await readFile('package.json', 'utf8')) as { version: string };
      assert.deepEqual(await parlance(['--version']), { code: 0, out: `${version}\n`, err: '' });
    });

    it('prints what is wrong in a config by file and line, without a stack, and ends with 1', async () => {
      await writeFile(file, 'hosts:\n  example.test: { certificat: auto }\nlimits:\n  depth: high\n');
      for (const args of [['start'], ['account', 'list']]) {
        const { code, err } = await parlance([...args, '--config', file]);
        assert.equal(code, 1);
        assert.deepEqual(err.trim().split('\n'), [
          `${file}:2: hosts.example.test.certificat: no such option; did you mean certificate? (known here: admins, authentication, certificate, modules, sessions)`,
          `${file}:4: limits.depth: expected a whole number from 8 to 512, found "high"`,
        ]);
      }
    });

    it('takes the config from the environment as well', async () => {
      const { code, err } = await parlance(['account', 'list'], '', { PARLANCE_CONFIG: join(folder, 'none.yaml') });
      assert.deepEqual([code, err], [1, `${join(folder, 'none.yaml')}: there is no such config file\n`]);
    });
  });

  describe('parlance account', () => {
    const account = (...args: readonly string[]) => parlance(['account', ...args, '--config', file], 'correct horse\nnot this\n');

    it('ends the subscriptions of an account that it deletes while no server runs (XEP-0077 section 3.2)', async () => {
      await write({ modules: { roster: {}, presence: {} } });
      for (const name of ['juliet', 'romeo']) await account('create', `${name}@example.test`, '--password-stdin');
      const { config } = await readConfiguration(file);
      const contact = { subscription: 'both', revision: 1 };
      const read = async (change?: ReadonlyMap<string, unknown>) => {
        const storage = await openStorage(config.storage, silent);
        const { contacts } = await storage.open('example.test', 'roster', { contacts: mapStore() });
        if (change) await contacts.update('romeo', change);
        if (change) await contacts.update('juliet', new Map([['romeo@example.test', contact]]));
        const found = await contacts.get('romeo', 'juliet@example.test');
        await storage.close();
        return (found as typeof contact).subscription;
      };
      assert.equal(await read(new Map([['juliet@example.test', contact]])), 'both');
      assert.equal((await account('delete', 'juliet@example.test', '--yes')).code, 0);
      assert.equal(await read(), 'none');
    });

    it('makes, lists and deletes accounts while no server runs', async () => {
      assert.deepEqual(await account('create', 'juliet@example.test', '--password-stdin'), {
        code: 0,
        out: 'juliet@example.test created\n',
        err: '',
      });
      assert.equal((await account('create', 'Romeo@EXAMPLE.test', '--password-stdin')).code, 0);
      assert.equal((await account('list')).out, 'juliet@example.test\nromeo@example.test\n');
      const listed = JSON.parse((await account('list', 'example.test', '--json')).out) as { jid: string; created: string }[];
      assert.deepEqual(
        listed.map(({ jid }) => jid),
        ['juliet@example.test', 'romeo@example.test'],
      );
      assert.ok(Math.abs(Date.parse(listed[0]!.created) - Date.now()) < 3_600_000);
      assert.equal((await account('delete', 'romeo@example.test', '--yes')).code, 0);
      assert.equal((await account('list')).out, 'juliet@example.test\n');
    });

    it('takes the first line of the standard input as the password, and can change it', async () => {
      await account('create', 'juliet@example.test', '--password-stdin');
      const { openKeeper } = await import('../../../src/cli/keeper.ts');
      const { openAccountsOf } = await import('../../../src/cli/offline-accounts.ts');
      void openKeeper;
      const check = async (password: string) => {
        const { config } = await readConfiguration(file);
        const opened = await openAccountsOf(config);
        try {
          return await (await opened.of('example.test')).verify('juliet', password);
        } finally {
          await opened.close();
        }
      };
      assert.equal(await check('correct horse'), true);
      const changed = await parlance(
        ['account', 'password', 'juliet@example.test', '--password-stdin', '--config', file],
        'new secret',
      );
      assert.equal(changed.code, 0);
      assert.deepEqual([await check('correct horse'), await check('new secret')], [false, true]);
    });

    it('makes up a password, and shows no other', async () => {
      const { out } = await account('create', 'bot@example.test', '--generate', '--json');
      const { jid, password } = JSON.parse(out) as { jid: string; password: string };
      assert.equal(jid, 'bot@example.test');
      assert.match(password, /^[A-Za-z2-9]{20}$/);
      const plain = await account('create', 'bot2@example.test', '--generate');
      assert.match(plain.out, /^bot2@example\.test created\npassword: \S{20}\n$/);
      assert.doesNotMatch((await account('create', 'x@example.test', '--password-stdin')).out, /horse/);
    });

    it('says what is wrong, and ends with 1 or 2', async () => {
      await account('create', 'juliet@example.test', '--password-stdin');
      const cases: readonly (readonly [args: readonly string[], code: number, err: RegExp])[] = [
        [['create', 'juliet@example.test', '--password-stdin'], 1, /juliet@example\.test: there is such an account already/],
        [['password', 'nobody@example.test', '--generate'], 1, /there is no such account/],
        [['delete', 'nobody@example.test', '--yes'], 1, /there is no such account/],
        [['create', 'juliet@elsewhere.test', '--generate'], 2, /has no host elsewhere\.test; it has example\.test/],
        [['create', 'juliet', '--generate'], 2, /is not the address of an account/],
        [['create', 'example.test', '--generate'], 2, /is not the address of an account/],
        [['create', 'a@example.test/x', '--generate'], 2, /is not the address of an account/],
        [['create', 'a"b@example.test', '--generate'], 2, /is not the address of an account/],
        [['create', 'new@example.test'], 2, /no terminal to ask for the password/],
        [['create', 'new@example.test', '--generate', '--password-stdin'], 2, /either --generate or --password-stdin/],
        [['delete', 'juliet@example.test'], 2, /give --yes/],
        [['list', 'elsewhere.test'], 2, /has no host elsewhere\.test/],
      ];
      for (const [args, code, err] of cases) {
        const result = await account(...args);
        assert.equal(result.code, code, args.join(' '));
        assert.match(result.err, err);
        assert.doesNotMatch(result.err, /\n {4}at /);
      }
    });

    it('has nothing to work on where accounts are in memory only', async () => {
      await write({ storage: { type: 'memory' } });
      assert.match((await account('list')).err, /only accounts while the server runs/);
    });
  });

  describe('parlance status and reload', () => {
    it('say that no server runs, and end with 1', async () => {
      const status = await parlance(['status', '--config', file]);
      assert.deepEqual([status.code, status.out], [1, `no server runs on ${join(folder, 'data')}\n`]);
      assert.deepEqual(JSON.parse((await parlance(['status', '--json', '--config', file])).out), { running: false });
      const reload = await parlance(['reload', '--config', file]);
      assert.deepEqual([reload.code, reload.err], [1, `parlance: no server runs on ${join(folder, 'data')}\n`]);
    });
  });

  describe('parlance config', () => {
    it('prints a reference that is itself a config with the defaults', async () => {
      const { code, out } = await parlance(['config', 'reference']);
      assert.equal(code, 0);
      const reference = join(folder, 'reference.yaml');
      await writeFile(reference, out);
      const { config } = await readConfiguration(reference);
      assert.deepEqual([...config.hosts.keys()], ['example.org']);
      assert.equal(config.hosts.get('example.org')!.modules.has('register'), false);
      const minimal = join(folder, 'minimal.yaml');
      await writeFile(minimal, 'hosts: { example.org: {} }');
      const defaults = (await readConfiguration(minimal)).config;
      for (const section of ['limits', 'http', 'tls', 'log', 'listeners', 'storage', 'shutdown'] as const) {
        assert.deepEqual(config[section], defaults[section], section);
      }
      assert.equal((parse(out) as { hosts: object }).hosts !== null, true);
    });

    it('prints a JSON Schema in which every module has its options', async () => {
      const { out } = await parlance(['config', 'schema']);
      const schema = JSON.parse(out) as { $defs: { modules: { properties: Record<string, unknown> } } };
      assert.ok(Object.keys(schema.$defs.modules.properties).includes('roster'));
    });
  });

  describe('parlance module new', () => {
    it('begins a plugin that loads', async () => {
      assert.equal((await parlance(['module', 'new', 'weather-report', '--folder', folder])).code, 0);
      await writeFile(
        file,
        'plugins: { weather-report: ./weather-report/index.js }\nmodules: { weather-report: {} }\nhosts: { example.test: {} }',
      );
      const { modules } = await readConfiguration(file);
      assert.equal(modules.get('weather-report')?.doc, 'Greets whoever asks.');
      const again = await parlance(['module', 'new', 'weather-report', '--folder', folder]);
      assert.equal(again.code, 2);
      assert.match(again.err, /is there already/);
    });

    it('begins a module with a test within Parlance itself', async () => {
      await writeFile(join(folder, 'package.json'), '{ "name": "parlance" }');
      await rm(join(folder, 'modules'), { recursive: true, force: true });
      const { mkdir } = await import('node:fs/promises');
      await mkdir(join(folder, 'modules'));
      assert.equal((await parlance(['module', 'new', 'weather', '--folder', folder])).code, 0);
      await access(join(folder, 'modules', 'weather', 'index.ts'));
      await access(join(folder, 'test', 'unit', 'modules', 'weather.test.ts'));
    });

    it('refuses names that are none, and those of modules there are', async () => {
      for (const name of ['Weather', '../x', 'a b', '-', 'x'.repeat(40), 'roster']) {
        assert.equal((await parlance(['module', 'new', '--folder', folder, '--', name])).code, 2, name);
      }
    });
  });

  describe('parlance check', () => {
    it('prints what it found as JSON, and ends with 1 only when something is wrong', async () => {
      const { code, out } = await parlance(['check', '--offline', '--json', '--config', file]);
      const { findings, fail } = JSON.parse(out) as {
        findings: { area: string; level: string; text: string; fix?: string }[];
        fail: number;
      };
      assert.deepEqual([fail, code], [0, 0], out);
      assert.deepEqual([...new Set(findings.map(({ area }) => area))].sort(), [
        'certificates',
        'config',
        'files',
        'hosts',
        'machine',
        'storage',
      ]);
      for (const { level, fix } of findings) assert.equal(level !== 'ok', fix !== undefined);
    });

    it('names what is wrong with how to mend it', async () => {
      await write({
        hosts: { 'example.test': { certificate: { cert: './none.pem', key: './none.key' } } },
        listeners: [
          { type: 'c2s', port: 0, addresses: ['127.0.0.1'] },
          { type: 'c2s-tls', port: 5223, addresses: ['203.0.113.1'] },
        ],
      });
      const { code, out } = await parlance(['check', '--offline', '--config', file]);
      assert.equal(code, 1);
      assert.match(
        out,
        /WRONG example\.test: .*none\.pem or .*none\.key cannot be read \(ENOENT\)\n +-> Let the user of the server read both/,
      );
      assert.match(out, /WRONG c2s-tls 203\.0\.113\.1:5223: cannot be listened on \(EADDRNOTAVAIL\)\n +-> No network interface/);
      assert.match(out, /\d+ ok, \d+ to look at, 2 wrong\n$/);
    });

    it('reports a wrong config as a finding', async () => {
      await writeFile(file, 'hosts: {}');
      const { code, out } = await parlance(['check', '--offline', '--config', file]);
      assert.equal(code, 1);
      assert.match(out, /WRONG .*server\.yaml:1: hosts: expected at least one domain/);
    });
  });
});
