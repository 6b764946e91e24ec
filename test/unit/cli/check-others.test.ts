import assert from 'node:assert/strict';
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describeStart, formatStart } from '../../../src/cli/banner.ts';
import { checkFiles } from '../../../src/cli/check/files.ts';
import { type Finding, Findings } from '../../../src/cli/check/finding.ts';
import { checkHosts } from '../../../src/cli/check/hosts.ts';
import { checkNode } from '../../../src/cli/check/machine.ts';
import { checkWeb } from '../../../src/cli/check/web.ts';
import { readConfiguration } from '../../../src/cli/config-file.ts';
import type { ServerConfig } from '../../../src/config/server-config.ts';

const PUBLIC =
  'modules: { roster: {}, presence: {}, disco: {}, ping: {}, offline: {}, blocking: {}, host-meta: {} }\nadmins: [a@example.org]\n';

function shown(findings: readonly Finding[]): readonly string[] {
  return findings.map(({ level, text }) => `${level}: ${text}`);
}

describe('parlance check', () => {
  let folder = '';

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'parlance-check-'));
  });

  afterEach(() => rm(folder, { recursive: true }));

  async function read(text: string): Promise<ServerConfig> {
    const file = join(folder, 'server.yaml');
    await writeFile(file, text);
    await chmod(file, 0o640);
    return (await readConfiguration(file)).config;
  }

  it('knows until when each line of Node.js gets fixes', () => {
    const level = (version: string, day: string) => {
      const findings = new Findings('machine');
      checkNode(findings, version, Date.parse(day));
      return findings.all[0]!.level;
    };
    assert.deepEqual([level('20.19.0', '2026-04-29'), level('20.19.0', '2026-05-01')], ['ok', 'warn']);
    assert.deepEqual(
      [level('24.1.0', '2027-01-01'), level('23.0.0', '2026-01-01'), level('40.0.0', '2040-01-01')],
      ['ok', 'warn', 'ok'],
    );
  });

  describe('hosts', () => {
    it('is content with a public host that has what clients expect', async () => {
      assert.deepEqual(shown(checkHosts({ config: await read(`${PUBLIC}hosts: { example.org: {} }`) }).all), ['ok: 7 modules']);
    });

    it('names what a public host lacks, and what it should not have', async () => {
      const config = await read('modules: { register: {} }\nauthentication: { trustLoopback: true }\nhosts: { example.org: {} }');
      assert.deepEqual(shown(checkHosts({ config }).all), [
        'warn: without roster, presence, disco, ping, offline, blocking clients lack what they expect',
        'warn: strangers can register, and nobody finds whom to tell about abuse',
        'warn: web clients do not find this host',
        'warn: nobody may administer it from a client',
        'warn: clients may log in without TLS, at least from this machine',
      ]);
    });
  });

  describe('files', () => {
    it('sees who else may read or change them', async () => {
      const config = await read('hosts: { example.org: {} }');
      const look = async () => shown((await checkFiles({ config })).all);
      assert.deepEqual(await look(), ['ok: is made at the first start', 'ok: only its user and group may read it']);
      await mkdir(config.data);
      await writeFile(join(config.data, 'parlance.sqlite'), '');
      await chmod(config.data, 0o755);
      await chmod(join(config.data, 'parlance.sqlite'), 0o644);
      await chmod(config.file, 0o666);
      assert.deepEqual(await look(), [
        'warn: others may enter it (mode 755)',
        'warn: others may read it (mode 644)',
        'warn: others may change it (mode 666)',
      ]);
      await rm(config.data, { recursive: true });
      await writeFile(config.data, '');
      assert.equal((await look())[0], 'fail: is no folder');
    });
  });

  describe('web', () => {
    const LINK = { rel: 'urn:xmpp:alt-connections:websocket', href: 'wss://example.org/ws' };

    async function check(answer: () => Promise<Response>): Promise<readonly string[]> {
      const config = await read(`${PUBLIC}hosts: { example.org: {}, example.test: {} }`);
      const asked: string[] = [];
      const get = (url: string) => {
        asked.push(url);
        return answer();
      };
      const { all } = await checkWeb({ config, network: { names: undefined as never, fetch: get as unknown as typeof fetch } });
      assert.deepEqual(asked, ['https://example.org/.well-known/host-meta.json']);
      return shown(all);
    }

    const respond = (body: unknown, init: ResponseInit = { headers: { 'Access-Control-Allow-Origin': '*' } }) =>
      check(async () => new Response(typeof body === 'string' ? body : JSON.stringify(body), init));

    it('is content when browsers find the WebSocket', async () => {
      assert.deepEqual(await respond({ links: [LINK] }), ['ok: wss://example.org/ws']);
    });

    it('says what browsers stumble over', async () => {
      assert.deepEqual(await respond({ links: [LINK] }, {}), ['warn: may not be read by web pages of other origins']);
      assert.deepEqual(await respond('no', { status: 404 }), ['warn: is answered with 404']);
      for (const body of ['<html>', '[]', 'null', '{"links":5}'])
        assert.match((await respond(body))[0]!, /something else than links/);
      assert.deepEqual(await respond({ links: [] }), ['warn: names no WebSocket']);
      assert.deepEqual(await respond({ links: [{ ...LINK, href: 'ws://x/' }, 7, null] }), [
        'warn: names ws://x/, which is not encrypted',
      ]);
      const broken = () =>
        Promise.reject(
          Object.assign(new TypeError('fetch failed'), { cause: Object.assign(new Error('x'), { code: 'ECONNREFUSED' }) }),
        );
      assert.deepEqual(await check(broken), ['warn: cannot be fetched (ECONNREFUSED)']);
    });
  });
});

describe('what is told at the end of a start', () => {
  it('names the addresses to open', async () => {
    const { config } = await readConfiguration('config/development.yaml');
    const listeners = [
      { type: 'c2s', address: '127.0.0.1', port: 5222, serve: [] },
      { type: 'c2s', address: '::1', port: 5222, serve: [] },
      { type: 'http', address: '127.0.0.1', port: 5280, serve: ['websocket', 'web'] },
      { type: 'https', address: '0.0.0.0', port: 443, serve: ['web'] },
    ] as const;
    const lines = new Map(describeStart(config, listeners));
    assert.equal(lines.get('Web client'), 'http://localhost:5280/');
    assert.equal(lines.get(''), 'https://localhost/');
    assert.equal(lines.get('XMPP clients'), 'port 5222 (STARTTLS)');
    assert.equal(lines.get('WebSocket'), 'ws://localhost:5280/xmpp-websocket');
    assert.equal(lines.has('BOSH'), false);
    assert.match(formatStart('1.2.3', config, listeners), /^\nParlance 1\.2\.3 is running\.\n\n {2}Domains {7}localhost\n/);
  });
});
