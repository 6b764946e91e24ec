// Scaffolds a module of this project, with its test: node dist/scripts/new-module.js <name>

import { PACKAGE_FOLDER } from '../src/cli/config-file.ts';
import { createModule } from '../src/cli/new-module.ts';
import { EXIT, processTerminal, reportFailure } from '../src/cli/terminal.ts';

const [name] = process.argv.slice(2);
if (name === undefined) {
  console.error('usage: new-module <name>');
  process.exitCode = EXIT.usage;
} else {
  try {
    await createModule(processTerminal, name, PACKAGE_FOLDER);
  } catch (error) {
    process.exitCode = reportFailure(processTerminal, error);
  }
}
