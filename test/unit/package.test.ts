import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { isBuiltin } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const TOP = fileURLToPath(new URL('../../../', import.meta.url));

interface Manifest {
  readonly dependencies: Readonly<Record<string, string>>;
  readonly devDependencies: Readonly<Record<string, string>>;
}

/** The packages that files below a folder import, statically or later. */
async function importsBelow(folder: string): Promise<ReadonlySet<string>> {
  const found = new Set<string>();
  for (const name of await readdir(join(TOP, folder), { recursive: true })) {
    if (!name.endsWith('.ts') || name.endsWith('.d.ts')) continue;
    const text = await readFile(join(TOP, folder, name), 'utf8');
    for (const [, path] of text.matchAll(/(?:^(?:import|export|\}) .*?from |\bimport\(|\.resolve\()'([a-z@][^']*)'/gm)) {
      const [first = '', second] = path!.split('/');
      if (!isBuiltin(path!)) found.add(first.startsWith('@') ? `${first}/${second}` : first);
    }
  }
  return found;
}

describe('the package', () => {
  let manifest: Manifest;

  before(async () => {
    manifest = JSON.parse(await readFile(join(TOP, 'package.json'), 'utf8')) as Manifest;
  });

  it('depends on all that the server imports, so that an installation without development packages runs', async () => {
    const imported = [...(await importsBelow('src')), ...(await importsBelow('modules'))];
    assert.equal(imported.includes('ltx') && imported.includes('knex'), true);
    const missing = imported.filter((name) => !(name in manifest.dependencies));
    assert.deepEqual(missing, []);
  });

  it('depends on nothing that only tests import', async () => {
    const used = new Set([...(await importsBelow('src')), ...(await importsBelow('modules'))]);
    const tested = [...(await importsBelow('test'))].filter((name) => !used.has(name));
    assert.deepEqual(
      tested.filter((name) => name in manifest.dependencies),
      [],
    );
  });

  it('is locked as it says', async () => {
    const lock = JSON.parse(await readFile(join(TOP, 'package-lock.json'), 'utf8')) as { packages: Record<string, Manifest> };
    const { dependencies, devDependencies } = lock.packages['']!;
    assert.deepEqual([dependencies, devDependencies], [manifest.dependencies, manifest.devDependencies]);
  });
});
