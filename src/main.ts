#!/usr/bin/env node
import { Console } from 'node:console';
import process from 'node:process';

// Before anything else is loaded, so that stack traces name the sources.
process.setSourceMapsEnabled(true);
// The standard output is for what was asked for, which programs read; libraries that say something by themselves say it elsewhere.
globalThis.console = new Console(process.stderr, process.stderr);
const [{ run }, { processTerminal }] = await Promise.all([import('./cli/program.ts'), import('./cli/terminal.ts')]);
process.exitCode = await run(process.argv.slice(2), processTerminal);
