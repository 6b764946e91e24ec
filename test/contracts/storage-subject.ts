import { join } from 'node:path';
import { Secret } from '../../src/config/secrets.ts';
import type { StorageConfig } from '../../src/config/server-config.ts';
import { archiveStore, itemStore, mapStore, type Storage } from '../../src/storage/storage.ts';

const postgres = process.env['PARLANCE_TEST_POSTGRES'];

/** A database that takes part. */
export interface EngineUnderTest {
  readonly name: string;
  readonly isKept: boolean;
  config(folder: string): StorageConfig;
}

/** A database under test, opened in a folder of its own; the host is another one for each test. */
export class Subject {
  readonly engine: EngineUnderTest;
  folder = '';
  host = '';
  storage!: Storage;

  constructor(engine: EngineUnderTest) {
    this.engine = engine;
  }

  /** The stores of this test's host. */
  open(storage = this.storage) {
    return storage.open(this.host, 'contract', specs);
  }
}

/** All databases there are here; PostgreSQL where PARLANCE_TEST_POSTGRES names one. */
export const ENGINES: readonly EngineUnderTest[] = [
  { name: 'memory', isKept: false, config: () => ({ type: 'memory' }) },
  { name: 'SQLite', isKept: true, config: (folder) => ({ type: 'sqlite', file: join(folder, 'data', 'test.sqlite') }) },
  ...(postgres ? [{ name: 'PostgreSQL', isKept: true, config: (): StorageConfig => postgresConfig(postgres) }] : []),
];

function postgresConfig(url: string): StorageConfig {
  const parts = { host: '', port: 5432, user: '', password: undefined, database: '', tls: 'auto', pool: 4 } as const;
  return { type: 'postgresql', url: new Secret(url), ...parts };
}

/** The stores that the contract is tried on. */
export const specs = {
  notes: mapStore<{ text: string }>(),
  log: archiveStore(),
  nodes: itemStore({ isFoundById: true }),
  plain: itemStore(),
};
