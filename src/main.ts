#!/usr/bin/env -S node --max-semi-space-size=4
// A young generation of 4 MiB instead of 16: collections are shorter (a third of the latency at the 99th percentile) and it does not
// grow into memory that thousands of idle clients would be charged with, at the same CPU time per message. It cannot be set later.
import { Console } from 'node:console';
import process from 'node:process';

// Before anything else is loaded, so that stack traces name the sources.
process.setSourceMapsEnabled(true);
// The standard output is for what was asked for, which programs read; libraries that say something by themselves say it elsewhere.
globalThis.console = new Console(process.stderr, process.stderr);
const [{ run }, { processTerminal }] = await Promise.all([import('./cli/program.ts'), import('./cli/terminal.ts')]);
process.exitCode = await run(process.argv.slice(2), processTerminal);
