import assert from 'node:assert/strict';
import { cp, mkdir, mkdtemp, realpath, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { readConfiguration } from '../../../src/cli/config-file.ts';
import { problemsOf } from '../../../src/config/errors.ts';
import { StanzaError } from '../../../src/index.ts';
import { builtin } from '../../../src/module/builtin.ts';

const GREETER = fileURLToPath(new URL('../../support/plugins/greeter.js', import.meta.url));

describe('plugins of a config', () => {
  let folder = '';

  beforeEach(async () => {
    folder = await realpath(await mkdtemp(join(tmpdir(), 'parlance-plugins-')));
  });

  afterEach(() => rm(folder, { recursive: true }));

  async function write(name: string, content: string): Promise<string> {
    await mkdir(dirname(join(folder, name)), { recursive: true });
    await writeFile(join(folder, name), content);
    return join(folder, name);
  }

  async function load(plugins: string, modules = '') {
    return readConfiguration(
      await write('server.yaml', `hosts: { example.org: {} }\nplugins:\n  ${plugins}\nmodules: { ${modules} }\n`),
    );
  }

  async function problems(plugins: string, modules = ''): Promise<readonly string[]> {
    try {
      await load(plugins, modules);
    } catch (error) {
      return problemsOf(error).map(({ message }) => message.replaceAll(folder, '.'));
    }
    return [];
  }

  it('are loaded from a path relative to the config, with their options checked', async () => {
    await cp(GREETER, join(folder, 'lib', 'greeter.js'));
    await write('lib/package.json', '{ "type": "module" }');
    const { config, modules } = await load('greeter: ./lib/greeter.js', 'greeter: { greeting: Servus }');
    assert.equal(modules.get('greeter')?.doc, 'Greets whoever asks.');
    assert.deepEqual(config.hosts.get('example.org')?.modules.get('greeter'), { greeting: 'Servus' });
    assert.deepEqual(await problems('greeter: ./lib/greeter.js', 'greeter: { greetin: Servus }'), [
      './server.yaml:4: modules.greeter.greetin: no such option; did you mean greeting? (known here: greeting)',
    ]);
  });

  it('are loaded from an installed package, by what it exports to import', async () => {
    const home = join(folder, 'node_modules', '@friends', 'greeter');
    await cp(GREETER, join(home, 'lib', 'main.js'));
    const about = {
      type: 'module',
      exports: { '.': { require: './no.cjs', types: './no.d.ts', import: { node: './lib/main.js' } } },
    };
    await writeFile(join(home, 'package.json'), JSON.stringify(about));
    const { modules } = await load("greeter: '@friends/greeter'", 'greeter: true');
    assert.equal(modules.get('greeter')?.name, 'greeter');
  });

  it('reach this very server as parlance, wherever they lie', async () => {
    await write(
      'probe.mjs',
      "import { StanzaError, option, defineModule } from 'parlance';\nexport default defineModule({ name: 'probe', doc: 'x', config: option.object({}), setup: () => StanzaError });\n",
    );
    const { modules } = await load('probe: ./probe.mjs');
    assert.equal(modules.get('probe')?.setup(undefined as never), StanzaError);
  });

  it('may be CommonJS, as compilers write it', async () => {
    const config = '{ parse() {}, describe() {}, jsonSchema() {} }';
    await write(
      'old.cjs',
      `exports.__esModule = true; exports.default = { name: 'old', doc: 'x', config: ${config}, setup() {} };`,
    );
    await write('older.cjs', `module.exports = { name: 'older', doc: 'x', config: ${config}, setup() {} };`);
    const { modules } = await load('old: ./old.cjs\n  older: ./older.cjs');
    assert.deepEqual([modules.get('old')?.doc, modules.get('older')?.doc], ['x', 'x']);
  });

  it('that are not there, or cannot be loaded, are named with their line', async () => {
    await write('broken.mjs', 'export default {');
    await write('angry.mjs', "throw new Error('no licence')");
    await write('lost.mjs', "import 'nobody-has-this';");
    const found = await problems('a: ./none.js\n  b: not-installed\n  c: ./broken.mjs\n  d: ./angry.mjs\n  e: ./lost.mjs');
    assert.equal(found.length, 5);
    assert.equal(found[0], './server.yaml:3: plugins.a: there is no file ./none.js');
    assert.match(found[1]!, /^\.\/server\.yaml:4: plugins\.b: no package not-installed is installed/);
    assert.match(found[2]!, /^\.\/server\.yaml:5: plugins\.c: \.\/broken\.mjs cannot be loaded: SyntaxError/);
    assert.equal(found[3], './server.yaml:6: plugins.d: ./angry.mjs cannot be loaded: Error: no licence');
    assert.match(found[4]!, /^\.\/server\.yaml:7: plugins\.e: \.\/lost\.mjs cannot be loaded: Error: Cannot find package/);
  });

  it('that are no modules are refused with what is missing', async () => {
    const good = "name: 'x', doc: 'x', config: { parse() {}, describe() {}, jsonSchema() {} }, setup() {}";
    const cases: readonly (readonly [exported: string, problem: RegExp])[] = [
      ['undefined', /has no module as its default export/],
      ['42', /has no module as its default export/],
      ['{}', /without a proper name/],
      ["{ name: '__proto__' }", /without a proper name/],
      ["{ name: 'X Y' }", /without a proper name/],
      [`{ name: '${'x'.repeat(40)}' }`, /without a proper name/],
      ["{ name: 'y' }", /exports the module y; name it so under plugins/],
      ["{ name: 'x' }", /whose doc is not a text/],
      ["{ name: 'x', doc: 'x', config: {} }", /whose config is not made by option\.object/],
      ["{ name: 'x', doc: 'x', config: { parse() {}, describe() {}, jsonSchema() {} } }", /whose setup is not a function/],
      [`{ ${good}, needs: 'roster' }`, /whose needs is not a list of modules/],
      [`{ ${good}, wants: [{}] }`, /whose wants is not a list of modules/],
      [`{ ${good}, xeps: [45] }`, /whose xeps is not a list of/],
      [`{ ${good}, features: [1] }`, /whose features is not a list of texts/],
      [`{ ${good}, stores: { 'a; drop table': { kind: 'map' } } }`, /whose stores is not an object of mapStore/],
      [`{ ${good}, stores: { a: { kind: 'table' } } }`, /whose stores is not an object of mapStore/],
      [`{ ${good}, migrations: [{ id: 'one' }] }`, /whose migrations is not a list of/],
    ];
    for (const [i, [exported, problem]] of cases.entries()) {
      await write(`case-${i}.mjs`, `export default ${exported};`);
      const [found, ...more] = await problems(`x: ./case-${i}.mjs`);
      assert.match(found ?? 'accepted', problem, exported);
      assert.deepEqual(more, []);
    }
  });

  it('cannot take the place of a module that comes with the server', async () => {
    const [name] = builtin.keys();
    await write('own.mjs', '');
    assert.match((await problems(`${name}: ./own.mjs`))[0]!, /a module of this name comes with the server/);
  });
});
