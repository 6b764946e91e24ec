import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Secret } from '../../src/config/secrets.ts';
import type { StorageConfig } from '../../src/config/server-config.ts';
import { sortableId } from '../../src/ids.ts';
import { silent } from '../../src/log.ts';
import { openStorage } from '../../src/storage/open.ts';
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

  /** One that is opened and closed with the suite that calls this. */
  static inSuite(engine: EngineUnderTest): Subject {
    const about = new Subject(engine);

    before(async () => {
      about.folder = await mkdtemp(join(tmpdir(), 'parlance-storage-'));
      about.storage = await openStorage(engine.config(about.folder), silent);
    });

    beforeEach(() => {
      about.host = `${sortableId()}.example`;
    });

    after(async () => {
      await about.storage.close();
      await rm(about.folder, { recursive: true, force: true });
    });

    return about;
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
