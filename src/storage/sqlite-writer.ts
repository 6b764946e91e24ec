// The thread that writes to SQLite: the disk is waited for here, and not where clients are served.
import { parentPort, workerData } from 'node:worker_threads';
import { type PackedOutcomes, type PackedWrites, packOutcomes, unpackWrites } from './packing.ts';
import { SqliteConnection } from './sqlite-connection.ts';

/** What the thread is asked. */
export type WriterRequest = PackedWrites | 'close';
/** What it says. */
export type WriterReply = 'closed' | PackedOutcomes;

const port = parentPort!;
const connection = new SqliteConnection((workerData as { readonly file: string }).file);

port.on('message', (request: WriterRequest) => {
  if (request !== 'close') return port.postMessage(packOutcomes(connection.commit(unpackWrites(request))) satisfies WriterReply);
  connection.db.pragma('wal_checkpoint(TRUNCATE)');
  connection.db.close();
  port.postMessage('closed' satisfies WriterReply);
  port.close();
});
