import { randomBytes } from 'node:crypto';
import type { MapStore } from './storage.ts';

/**
 * The secret of this name: 32 bytes of the system's generator, made once and the same for ever after. Of several nodes of a cluster that
 * start at once one makes it. Rejects with StorageError.
 */
export async function keptSecret(store: MapStore<string>, name: string): Promise<Buffer> {
  await store.insert('', name, randomBytes(32).toString('base64'));
  return Buffer.from((await store.get('', name)) ?? '', 'base64');
}
