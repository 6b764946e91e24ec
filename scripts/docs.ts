// Writes what is generated from the declarations of options and modules. With --check it writes nothing, and ends with 1 when
// something is stale.
import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { renderReference } from '../src/config/docs/reference.ts';
import { renderSchema } from '../src/config/docs/schema.ts';
import { builtin } from '../src/module/builtin.ts';
import { LIST, renderXeps } from './docs/doap.ts';
import { renderTable, TABLE } from './docs/modules.ts';
import { replaceBetween } from './docs/replace.ts';

const top = join(dirname(fileURLToPath(import.meta.url)), '..', '..');
const { version } = JSON.parse(await readFile(join(top, 'package.json'), 'utf8')) as { version: string };
const documents: readonly (readonly [string, (present: string) => string])[] = [
  ['config/server.yaml', () => renderReference(builtin)],
  ['config/parlance.schema.json', () => renderSchema(builtin)],
  ['modules/README.md', (present) => replaceBetween(present, TABLE, renderTable(builtin))],
  ['parlance.doap', (present) => replaceBetween(present, LIST, renderXeps(builtin, version))],
];

for (const [name, render] of documents) {
  const file = join(top, name);
  const present = existsSync(file) ? await readFile(file, 'utf8') : '';
  const wanted = render(present);
  if (wanted === present) continue;
  if (process.argv.includes('--check')) {
    console.error(`${name} is stale: run \`npm run docs\``);
    process.exitCode = 1;
  } else {
    await writeFile(file, wanted);
    console.log(`${name} written`);
  }
}
