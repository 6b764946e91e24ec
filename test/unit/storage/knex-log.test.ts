import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import { type Log, silent } from '../../../src/log.ts';
import { openStorage } from '../../../src/storage/open.ts';
import { StorageError } from '../../../src/storage/storage.ts';

describe('what knex has to say', () => {
  it('goes to our log and not to the console, as when PostgreSQL cannot be reached', async () => {
    const port = await freePort();
    const lines: string[] = [];
    const printed: unknown[] = [];
    const log: Log = { ...silent, warn: (text, detail) => void lines.push(`${text}: ${String(detail?.['said'])}`) };
    const parts = { url: undefined, host: '127.0.0.1', user: 'nobody', password: undefined, database: 'none' } as const;
    const write = console.log;
    console.log = (...said: unknown[]) => void printed.push(said);
    try {
      await assert.rejects(openStorage({ type: 'postgresql', ...parts, port, tls: 'off', pool: 1 }, log), StorageError);
    } finally {
      console.log = write;
    }
    assert.match(lines.join('\n'), /knex warns: .*Acquire connection error/);
    assert.deepEqual(printed, []);
  });
});

/** A port on which nobody listens. */
async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === 'object' && address ? address.port : 0;
}
