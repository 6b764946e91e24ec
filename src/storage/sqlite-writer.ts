// The thread that writes to SQLite: the disk is waited for here, and not where clients are served.
import { parentPort, workerData } from 'node:worker_threads';
import type { Statement } from './engine.ts';
import { SqliteConnection, type SqliteOutcome } from './sqlite-connection.ts';

/** What the thread is asked. */
export type WriterRequest = { readonly writes: readonly (readonly Statement[])[] } | 'close';
/** What it says. */
export type WriterReply = 'closed' | { readonly outcomes: readonly SqliteOutcome[] };

const port = parentPort!;
const connection = new SqliteConnection((workerData as { readonly file: string }).file);

port.on('message', (request: WriterRequest) => {
  if (request !== 'close') return port.postMessage({ outcomes: connection.commit(request.writes) } satisfies WriterReply);
  connection.db.pragma('wal_checkpoint(TRUNCATE)');
  connection.db.close();
  port.postMessage('closed' satisfies WriterReply);
  port.close();
});
