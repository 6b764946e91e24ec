import { existsSync, readFileSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { builtin } from '../module/builtin.ts';
import { CliError, EXIT, print, type Terminal } from './terminal.ts';

const NAME = /^[a-z][a-z0-9]*(-[a-z0-9]+)*$/;

/**
 * `parlance module new <name>`: a module that works, to be changed into what is wanted. In Parlance's own folder it becomes
 * `modules/<name>` with a test; elsewhere a plugin in a folder of its own. Throws CliError where something would be overwritten.
 */
export async function createModule(terminal: Terminal, name: string, folder: string): Promise<void> {
  if (!NAME.test(name) || name.length > 32) {
    throw new CliError(`${name} is no name for a module: small letters, digits and -, at most 32`, EXIT.usage);
  }
  if (builtin.has(name)) throw new CliError(`there is a module ${name} already`, EXIT.usage);
  const isOurs = isParlance(folder);
  const files = isOurs ? ownFiles(name) : pluginFiles(name);
  for (const [path] of files) {
    if (existsSync(join(folder, path))) throw new CliError(`${join(folder, path)} is there already`, EXIT.usage);
  }
  for (const [path, content] of files) {
    await mkdir(dirname(join(folder, path)), { recursive: true });
    await writeFile(join(folder, path), content, { flag: 'wx' });
    print(terminal, `${relative(process.cwd(), join(folder, path))} written`);
  }
  print(terminal, isOurs ? ownHint(name) : pluginHint(name, folder));
}

function isParlance(folder: string): boolean {
  try {
    const { name } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as { readonly name?: unknown };
    return name === 'parlance' && existsSync(join(folder, 'modules'));
  } catch {
    return false;
  }
}

type Files = readonly (readonly [path: string, content: string])[];

function ownFiles(name: string): Files {
  return [
    [`modules/${name}/index.ts`, moduleText(name, '#core')],
    [`test/unit/modules/${name}.test.ts`, testText(name)],
  ];
}

function pluginFiles(name: string): Files {
  const about = {
    name: `parlance-${name}`,
    version: '0.1.0',
    description: 'A module for Parlance',
    type: 'module',
    exports: './index.js',
    peerDependencies: { parlance: '*' },
  };
  return [
    [`${name}/package.json`, `${JSON.stringify(about, null, 2)}\n`],
    [`${name}/index.js`, moduleText(name, 'parlance')],
  ];
}

function ownHint(name: string): string {
  return `\nNext: import it in src/module/builtin.ts, switch it on in a config (modules: { ${name}: {} }), and run
  npm run build && npx mocha --no-config dist/test/unit/modules/${name}.test.js
  npm run docs`;
}

function pluginHint(name: string, folder: string): string {
  return `\nNext: name it in the config, and start the server again:
  plugins: { ${name}: ${join(folder, name, 'index.js')} }
  modules: { ${name}: {} }`;
}

function moduleText(name: string, core: string): string {
  return `// What it does, and by which specification.
import { defineModule, option, xml } from '${core}';

const NS = 'urn:example:${name}';

export default defineModule({
  name: '${name}',
  doc: 'Greets whoever asks.',
  features: [NS],
  config: option.object({
    greeting: option.string({ default: 'Hello', maxLength: 100, doc: 'What it says.' }),
  }),

  setup({ config, iq }) {
    iq.get('server', NS, 'greeting', greet);

    function greet() {
      return xml('greeting', NS, config.greeting);
    }
  },
});
`;
}

function testText(name: string): string {
  const variable = name.replace(/-([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
  return `import assert from 'node:assert/strict';
import ${variable} from '../../../modules/${name}/index.ts';
import { startHost, type TestHost } from '../../support/start-host.ts';

describe('modules/${name}', () => {
  let host: TestHost;

  beforeEach(async () => {
    host = await startHost([${variable}]);
  });

  afterEach(() => host.stop());

  it('greets whoever asks', async () => {
    const juliet = await host.online('juliet');
    const answer = await juliet.ask("<iq type='get' to='example.org'><greeting xmlns='urn:example:${name}'/></iq>");
    assert.equal(answer.attrs['type'], 'result');
    assert.equal(answer.getChildText('greeting'), 'Hello');
  });
});
`;
}
