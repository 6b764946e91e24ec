import type { ServerConfig } from '../../config/server-config.ts';
import { silent } from '../../log.ts';
import { openStorage } from '../../storage/open.ts';
import type { Storage } from '../../storage/storage.ts';
import { statOf } from './files.ts';
import { type CheckContext, codeOf, Findings } from './finding.ts';

const PATIENCE = 10_000;

/** That the database can be reached and written, and keeps what it has acknowledged. */
export async function checkStorage({ config }: Pick<CheckContext, 'config'>): Promise<Findings> {
  const findings = new Findings('storage');
  const { storage } = config;
  if (storage.type === 'memory')
    findings.warn('memory', 'nothing is kept when the server stops', 'Choose sqlite or postgresql, but for tests.');
  else if (storage.type === 'sqlite' && !(await statOf(storage.file))) findings.ok(storage.file, 'is made at the first start');
  else await tryStorage(findings, config);
  return findings;
}

async function tryStorage(findings: Findings, { storage: config }: ServerConfig): Promise<void> {
  const subject = config.type === 'sqlite' ? config.file : config.type === 'postgresql' ? describeServer(config) : config.type;
  let storage: Storage | undefined;
  try {
    storage = await openStorage(config, silent);
    await storage.ping();
    if (config.type === 'postgresql') await checkPostgres(findings, subject, storage);
    else findings.ok(subject, 'can be opened');
  } catch (error) {
    findings.fail(subject, `cannot be used: ${explain(error)}`, howToMend(config.type, codeOf(error)));
  } finally {
    await storage?.close();
  }
}

type PostgresConfig = Extract<ServerConfig['storage'], { readonly type: 'postgresql' }>;

function describeServer({ url, host, port, database }: PostgresConfig): string {
  return url === undefined ? `${database} at ${host}:${port}` : 'postgresql (by url)';
}

/** Settings of the database server on which promises of ours rest. */
async function checkPostgres(findings: Findings, subject: string, { sql }: Storage): Promise<void> {
  const before = findings.all.length;
  const read = async (name: string): Promise<string> => {
    const { rows } = (await sql.raw(`SHOW ${name}`).timeout(PATIENCE)) as {
      readonly rows: readonly Readonly<Record<string, string>>[];
    };
    return rows[0]?.[name] ?? '';
  };
  if ((await read('fsync')) !== 'on')
    findings.fail(subject, 'fsync is off: a power cut destroys the database', 'ALTER SYSTEM SET fsync = on;');
  if (/^(off|local)$/.test(await read('synchronous_commit'))) {
    const fix = 'ALTER SYSTEM SET synchronous_commit = on; then SELECT pg_reload_conf();';
    findings.warn(subject, 'synchronous_commit is off: a crash may lose what was acknowledged', fix);
  }
  if ((await read('server_encoding')) !== 'UTF8') {
    findings.fail(
      subject,
      'the database is not in UTF-8',
      "Make it anew: CREATE DATABASE ... ENCODING 'UTF8' TEMPLATE template0;",
    );
  }
  if ((await read('transaction_read_only')) === 'on')
    findings.fail(subject, 'can only be read (a standby?)', 'Name the primary server under storage.');
  if (findings.all.length === before) findings.ok(subject, `PostgreSQL ${await read('server_version')}`);
}

function explain(error: unknown): string {
  const code = codeOf(error);
  const message = error instanceof Error ? error.message : String(error);
  // What the database says may quote its URL.
  const shown = message.replace(/\/\/[^/\s]*@/g, '//[secret]@').slice(0, 300);
  return code === '' || shown.includes(code) ? shown : `${shown} (${code})`;
}

function howToMend(type: ServerConfig['storage']['type'], code: string): string {
  if (type === 'sqlite')
    return 'Let the user of the server read and write the file and its folder; sqlite3 FILE "PRAGMA integrity_check" tells whether it is whole.';
  if (code === '28P01' || code === '28000')
    return 'Correct storage.user and storage.password, or pg_hba.conf of the database server.';
  if (code === '3D000') return 'Make the database: createdb --encoding=UTF8 NAME';
  if (code === '42501') return 'GRANT CREATE, USAGE ON SCHEMA public TO the user, in that database.';
  return 'See that the database server runs and that this machine reaches it (psql with the same values).';
}
