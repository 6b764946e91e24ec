import { readdirSync, readFileSync } from 'node:fs';
import { builtin } from '../../src/module/builtin.ts';
import { startHost } from '../support/start-host.ts';
import { play, readTranscript } from '../support/transcript.ts';

const folder = new URL('../../../test/transcripts/', import.meta.url);

/** Modules that need a network or a browser; the rest is what every transcript runs on. */
const LEFT_OUT = new Set(['webclient', 'host-meta']);

describe('transcripts', () => {
  for (const file of readdirSync(folder).filter((name) => name.endsWith('.scs'))) {
    const transcript = readTranscript(readFileSync(new URL(file, folder), 'utf8'));
    it(`${file}: ${transcript.title}`, async () => {
      const modules = [...builtin.values()].filter(({ name }) => !LEFT_OUT.has(name));
      const host = await startHost(modules, { domain: 'localhost' });
      await play(transcript, host);
      await host.stop();
    });
  }
});
