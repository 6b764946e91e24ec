#!/usr/bin/env node
import process from 'node:process';

// Before anything else is loaded, so that stack traces name the sources.
process.setSourceMapsEnabled(true);
const [{ run }, { processTerminal }] = await Promise.all([import('./cli/program.ts'), import('./cli/terminal.ts')]);
process.exitCode = await run(process.argv.slice(2), processTerminal);
