import { constants, type Stats } from 'node:fs';
import { access, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { type CheckContext, codeOf, Findings } from './finding.ts';

const OTHERS_READ = 0o004;
const OTHERS_WRITE = 0o022;
const NOT_OURS = 0o077;

/** The data folder with its database and keys, and the config where it holds secrets. */
export async function checkFiles({ config }: Pick<CheckContext, 'config'>): Promise<Findings> {
  const findings = new Findings('files');
  const data = await statOf(config.data);
  if (data === undefined) await checkMissing(findings, config.data);
  else if (!data.isDirectory()) findings.fail(config.data, 'is no folder', 'Name a folder in the option data.');
  else await checkFolder(findings, config.data, data);
  if (config.storage.type === 'sqlite') {
    for (const file of [config.storage.file, `${config.storage.file}-wal`]) await checkPrivate(findings, file);
  }
  await checkConfigFile(findings, config.file);
  return findings;
}

async function checkMissing(findings: Findings, folder: string): Promise<void> {
  let above = dirname(folder);
  while ((await statOf(above)) === undefined && above !== dirname(above)) above = dirname(above);
  if (await mayWrite(above)) findings.ok(folder, 'is made at the first start');
  else
    findings.fail(
      folder,
      `is missing and cannot be made in ${above} by this user`,
      `sudo install -d -m 700 -o ${userName()} ${folder}`,
    );
}

async function checkFolder(findings: Findings, folder: string, { mode, uid }: Stats): Promise<void> {
  if (!(await mayWrite(folder))) {
    findings.fail(
      folder,
      `cannot be written by this user; it belongs to user ${uid}`,
      `Run this as that user, or: sudo chown -R ${userName()} ${folder}`,
    );
  } else if (mode & NOT_OURS) {
    findings.warn(folder, `others may enter it (mode ${octal(mode)})`, `chmod 700 ${folder}`);
  } else findings.ok(folder, 'only its user may enter it');
}

async function checkPrivate(findings: Findings, file: string): Promise<void> {
  const found = await statOf(file);
  if (found && found.mode & NOT_OURS) findings.warn(file, `others may read it (mode ${octal(found.mode)})`, `chmod 600 ${file}`);
}

async function checkConfigFile(findings: Findings, file: string): Promise<void> {
  const found = await statOf(file);
  if (!found) return;
  if (found.mode & OTHERS_WRITE) findings.warn(file, `others may change it (mode ${octal(found.mode)})`, `chmod go-w ${file}`);
  else if (found.mode & OTHERS_READ)
    findings.ok(file, 'anybody may read it, so passwords in it should be { file: ... } or { env: ... }');
  else findings.ok(file, 'only its user and group may read it');
}

/** The state of a file; undefined when there is none, or none that may be seen. */
export async function statOf(file: string): Promise<Stats | undefined> {
  return stat(file).catch(() => undefined);
}

/** Permissions as chmod takes them. */
export function octal(mode: number): string {
  return (mode & 0o777).toString(8).padStart(3, '0');
}

async function mayWrite(path: string): Promise<boolean> {
  return access(path, constants.W_OK | constants.X_OK).then(
    () => true,
    (error: unknown) => codeOf(error) === 'ENOSYS',
  );
}

function userName(): string {
  return process.env['USER'] ?? String(process.getuid?.() ?? '$USER');
}
