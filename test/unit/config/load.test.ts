import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { problemsOf } from '../../../src/config/errors.ts';
import { type Configurable, loadConfig } from '../../../src/config/load.ts';
import { option } from '../../../src/config/option.ts';
import type { ServerConfig } from '../../../src/config/server-config.ts';

const blocking: Configurable = {
  name: 'blocking',
  config: option.object({
    maxItems: option.integer({ default: 1000, min: 1, doc: 'x' }),
    nested: option.object({ a: option.integer({ default: 1, doc: 'x' }), b: option.integer({ default: 2, doc: 'x' }) }),
  }),
};
const needy: Configurable = { name: 'needy', config: option.object({ key: option.secret({ doc: 'x' }) }) };
const modules = new Map([blocking, needy].map((module) => [module.name, module]));

describe('a config file', () => {
  let folder = '';
  let file = '';

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'parlance-config-'));
    file = join(folder, 'server.yaml');
  });

  afterEach(() => rm(folder, { recursive: true }));

  async function load(text: string, env: Record<string, string> = {}): Promise<ServerConfig> {
    await writeFile(file, text);
    return loadConfig(file, modules, env);
  }

  async function problems(text: string): Promise<readonly string[]> {
    try {
      await load(text);
    } catch (error) {
      return problemsOf(error).map(({ message }) => message.replaceAll(file, 'server.yaml'));
    }
    return [];
  }

  it('needs nothing but a host', async () => {
    const config = await load('hosts: { example.org: {} }');
    assert.deepEqual([...config.hosts.keys()], ['example.org']);
    assert.deepEqual(
      config.listeners.map(({ type, port }) => `${type} ${port}`),
      ['c2s 5222', 'c2s-tls 5223', 'http 5280', 'https 5281'],
    );
    assert.equal(config.data, join(folder, 'data'));
    assert.deepEqual(config.storage, { type: 'sqlite', file: join(folder, 'data', 'parlance.sqlite') });
  });

  it('prepares the names of hosts', async () => {
    const config = await load('hosts: { EXAMPLE.org: {}, MÜNCHEN.example: {} }');
    assert.deepEqual([...config.hosts.keys()], ['example.org', 'münchen.example']);
  });

  it('lets a host inherit what all hosts have, and change it', async () => {
    const { hosts } = await load(`
admins: [juliet@example.org]
authentication: { scramIterations: 20000 }
sessions: { resourceConflict: refuse }
modules: { blocking: { maxItems: 5, nested: { a: 7 } } }
hosts:
  one.example: {}
  two.example:
    admins: [romeo@example.org, juliet@example.org]
    authentication: { anonymous: true }
    sessions: { resourcesPerAccount: 3 }
    modules: { blocking: { nested: { b: 9 } } }
  three.example: { modules: { blocking: false } }
`);
    const [one, two, three] = [...hosts.values()];
    assert.deepEqual(one!.admins, ['juliet@example.org']);
    assert.deepEqual(two!.admins, ['juliet@example.org', 'romeo@example.org']);
    assert.deepEqual([one!.authentication.anonymous, one!.authentication.scramIterations], [false, 20_000]);
    assert.deepEqual([two!.authentication.anonymous, two!.authentication.scramIterations], [true, 20_000]);
    assert.deepEqual([two!.sessions.resourceConflict, two!.sessions.resourcesPerAccount], ['refuse', 3]);
    assert.deepEqual(one!.modules.get('blocking'), { maxItems: 5, nested: { a: 7, b: 2 } });
    assert.deepEqual(two!.modules.get('blocking'), { maxItems: 5, nested: { a: 7, b: 9 } });
    assert.equal(three!.modules.size, 0);
  });

  it('takes secrets from the environment and shows them nowhere', async () => {
    const config = await load('modules: { needy: { key: { env: KEY } } }\nhosts: { example.org: {} }', { KEY: 'hunter2' });
    const { key } = config.hosts.get('example.org')!.modules.get('needy') as { key: { reveal(): string } };
    assert.equal(key.reveal(), 'hunter2');
    assert.doesNotMatch(JSON.stringify([...config.hosts]), /hunter2/);
  });

  it('yields a config that does not change', async () => {
    const config = await load('hosts: { example.org: {} }');
    assert.throws(() => Object.assign(config.limits, { depth: 1 }), TypeError);
    assert.throws(() => (config.hosts as Map<string, unknown>).set('x', 1), TypeError);
    assert.throws(() => (config.hosts as Map<string, unknown>).delete('example.org'), TypeError);
  });

  it('names everything that is wrong at once, each with its line', async () => {
    const found = await problems(`
limits: { depth: 2 }
listeners:
  - { type: c2s, port: 99999 }
  - { type: gopher }
modules:
  blocking: { maxItem: 5 }
hosts:
  example.org: { modules: { nobody: {} }, admin: [] }
`);
    assert.deepEqual(found, [
      'server.yaml:2: limits.depth: expected a whole number from 8 to 512, found 2',
      'server.yaml:4: listeners[0].port: expected a whole number from 0 to 65535, found 99999',
      'server.yaml:5: listeners[1].type: expected one of c2s, c2s-tls, http, https, found "gopher"',
      'server.yaml:7: modules.blocking.maxItem: no such option; did you mean maxItems? (known here: maxItems, nested)',
      'server.yaml:9: hosts.example.org.admin: no such option; did you mean admins? (known here: admins, authentication, certificate, modules, sessions)',
      'server.yaml:9: hosts.example.org.modules.nobody: no such module (known here: blocking, needy)',
    ]);
  });

  const wrong: readonly (readonly [title: string, text: string, expected: RegExp])[] = [
    ['no host', '{}', /hosts: missing/],
    ['an empty list of hosts', 'hosts: {}', /hosts: expected at least one domain/],
    ['a name that is no domain', "hosts: { 'a b': {} }", /hosts/],
    ['a list instead of a mapping', '- a\n- b', /expected a mapping of options/],
    ['a name twice', 'hosts: { a.example: {} }\nhosts: { b.example: {} }', /server\.yaml:2: not YAML: the same name twice/],
    ['two hosts that are one', 'hosts: { a.example: {}, A.example: {} }', /hosts/],
    ['tabs', 'hosts:\n\ta.example: {}', /server\.yaml:2: not YAML/],
    ['a bracket that is not closed', 'hosts: { a.example: {}', /not YAML: .*bracket/],
    ['two documents', 'hosts: { a.example: {} }\n---\nhosts: { b.example: {} }', /a second document/],
    ['an unknown tag', 'hosts: !!js/function { a.example: {} }', /an unknown tag/],
    ['an alias within itself', 'hosts: &a { a.example: *a }', /an alias inside of what it stands for/],
    [
      'aliases that multiply',
      `a: &a [x,x,x,x,x,x,x,x,x]\n${'bcdefgh'
        .split('')
        .map((name, i) => `${name}: &${name} [${Array(9).fill(`*${'abcdefg'[i]}`).join(',')}]`)
        .join('\n')}`,
      /aliases/,
    ],
    ['names that are no data', 'hosts: { a.example: {} }\n__proto__: { x: 1 }', /__proto__: no such option/],
    ['nesting without end', `hosts: ${'['.repeat(200)}${']'.repeat(200)}`, /nested too deep|not YAML/],
    [
      'two listeners on one port',
      'hosts: { a.example: {} }\nlisteners: [{ type: c2s }, { type: c2s-tls, port: 5222 }]',
      /listeners\[0\] has :: port 5222 already/,
    ],
    [
      'PROXY protocol from anybody',
      'hosts: { a.example: {} }\nlisteners: [{ type: c2s, proxyProtocol: true }]',
      /wants the addresses of the proxies in trustedProxies/,
    ],
    [
      'metrics for everybody',
      "hosts: { a.example: {} }\nlisteners: [{ type: http, addresses: ['::'], serve: [metrics] }]",
      /want a token in metrics\.tokens/,
    ],
    [
      'EXTERNAL without authorities',
      'hosts: { a.example: { authentication: { external: true } } }',
      /wants tls\.clientCertificates: optional and tls\.clientCA/,
    ],
    [
      'a database out of the data folder',
      'hosts: { a.example: {} }\nstorage: { type: sqlite, file: ../../etc/x }',
      /expected a file within the folder `data`/,
    ],
    ['a duration without unit', 'hosts: { a.example: {} }\nlimits: { loginTimeout: 30 }', /expected a span of time such as 30s/],
    ['an admin that is no account', 'hosts: { a.example: {} }\nadmins: [a.example]', /admins\[0\]: expected an XMPP address/],
  ];
  for (const [title, text, expected] of wrong) {
    it(`is refused with ${title}`, async () => {
      const found = await problems(text);
      assert.ok(
        found.some((message) => expected.test(message)),
        found.join('\n') || 'accepted',
      );
    });
  }

  it('that is missing, a folder, or not UTF-8 is refused by its name', async () => {
    await assert.rejects(loadConfig(join(folder, 'none.yaml'), modules), /none\.yaml: there is no such config file/);
    await assert.rejects(loadConfig(folder, modules), /this is a folder; the config is a file in it/);
    await writeFile(file, Buffer.from([0x68, 0xff, 0xfe]));
    await assert.rejects(loadConfig(file, modules), /not UTF-8/);
  });
});
