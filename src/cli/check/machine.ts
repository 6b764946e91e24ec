import { readFile, stat } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { type CheckContext, Findings } from './finding.ts';

/** When each line of Node.js gets its last security fix (nodejs/Release). Odd lines live for half a year only. */
const END_OF_LIFE: ReadonlyMap<number, string> = new Map([
  [20, '2026-04-30'],
  [21, '2024-06-01'],
  [22, '2027-04-30'],
  [23, '2025-06-01'],
  [24, '2028-04-30'],
  [25, '2026-06-01'],
  [26, '2029-04-30'],
]);
const WANTED_FILES = 10_000;
const LEAST_FILES = 1024;

/** Node.js, the clock, the limit on open files, the user. */
export async function checkMachine(context: Pick<CheckContext, 'now' | 'running' | 'config'>): Promise<Findings> {
  const findings = new Findings('machine');
  checkNode(findings, process.versions.node, context.now);
  await checkClock(findings, context);
  await checkOpenFiles(findings, context.running?.pid);
  if (process.getuid?.() === 0 && context.running === undefined) {
    findings.warn('user', 'this runs as root', 'Run Parlance as a user of its own: a fault in it then harms nothing else.');
  }
  return findings;
}

/** Whether this version of Node.js still gets security fixes. */
export function checkNode(findings: Findings, version: string, now: number): void {
  const end = END_OF_LIFE.get(Number(version.split('.', 1)[0]));
  if (end === undefined || now < Date.parse(end)) findings.ok('Node.js', version);
  else {
    const fix = 'Install a newer line that has long-term support (nodejs.org/en/about/previous-releases).';
    findings.warn('Node.js', `${version}: its line gets no security fixes since ${end}`, fix);
  }
}

/** Certificates, delays and archives all need the right time. It cannot be before the day our own files were made. */
async function checkClock(findings: Findings, { now, config }: Pick<CheckContext, 'now' | 'config'>): Promise<void> {
  const times = await Promise.all([fileURLToPath(import.meta.url), config.file].map(async (file) => (await stat(file)).mtimeMs));
  const latest = Math.max(...times);
  const shown = new Date(now).toISOString();
  const fix = 'Switch on time synchronisation (timedatectl set-ntp true, or chrony).';
  if (now < latest - 60_000)
    findings.fail('clock', `${shown} is before ${new Date(latest).toISOString()}, when files here were written`, fix);
  else if ((await isSynchronised()) === false) findings.warn('clock', `${shown}, not synchronised`, fix);
  else findings.ok('clock', shown);
}

/** What systemd knows; undefined where it is not in charge of the clock. */
async function isSynchronised(): Promise<boolean | undefined> {
  const exists = async (file: string) =>
    stat(file).then(
      () => true,
      () => false,
    );
  if (!(await exists('/run/systemd/timesync'))) return undefined;
  return exists('/run/systemd/timesync/synchronized');
}

/** Each connection is an open file. Node raises its soft limit to the hard one by itself. */
async function checkOpenFiles(findings: Findings, pid: number | undefined): Promise<void> {
  const limits = await readFile(`/proc/${pid ?? 'self'}/limits`, 'utf8').catch(() => '');
  const hard = /^Max open files +\S+ +(\S+)/m.exec(limits)?.[1];
  if (hard === undefined) return;
  const limit = hard === 'unlimited' ? Number.POSITIVE_INFINITY : Number(hard);
  const fix = 'Raise it: LimitNOFILE=65536 in the service unit, or ulimit -Hn 65536 in the shell.';
  if (limit < LEAST_FILES) findings.fail('open files', `at most ${hard}, and every client needs one`, fix);
  else if (limit < WANTED_FILES) findings.warn('open files', `at most ${hard}, and every client needs one`, fix);
  else findings.ok('open files', hard);
}
