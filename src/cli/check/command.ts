import { Resolver } from 'node:dns/promises';
import { problemsOf } from '../../config/errors.ts';
import { findConfig, readConfiguration } from '../config-file.ts';
import { askServer } from '../control.ts';
import { findRunning } from '../run-file.ts';
import type { Status } from '../running.ts';
import { EXIT, type ExitCode, print, printJson, type Terminal } from '../terminal.ts';
import { checkCertificates } from './certificates.ts';
import { checkDns } from './dns.ts';
import { checkFiles } from './files.ts';
import { type CheckContext, type Finding, Findings, type Level } from './finding.ts';
import { checkHosts } from './hosts.ts';
import { checkMachine } from './machine.ts';
import { checkPorts } from './ports.ts';
import { checkStorage } from './storage.ts';
import { checkWeb } from './web.ts';

type Check = (context: CheckContext) => Findings | Promise<Findings>;

const AREAS: readonly (readonly [area: string, check: Check])[] = [
  ['hosts', checkHosts],
  ['files', checkFiles],
  ['storage', checkStorage],
  ['certificates', checkCertificates],
  ['listeners', checkPorts],
  ['machine', checkMachine],
  ['DNS', checkDns],
  ['web', checkWeb],
];
/** No area takes longer: a resolver or a disk that does not answer is a finding, too. */
const PATIENCE = 20_000;
const DNS = { timeout: 2500, tries: 2 } as const;

/** How `check` was called. */
export interface CheckOptions {
  readonly config?: string;
  readonly json?: boolean;
  readonly offline?: boolean;
  readonly strict?: boolean;
}

/** `parlance check`: looks at everything, prints what it found, and says by the exit code whether anything is wrong. */
export async function check(terminal: Terminal, options: CheckOptions): Promise<ExitCode> {
  const findings = await findAll(findConfig(options.config, terminal.env), options, terminal.env);
  const count = (level: Level) => findings.filter((finding) => finding.level === level).length;
  if (options.json) printJson(terminal, { findings, ok: count('ok'), warn: count('warn'), fail: count('fail') });
  else print(terminal, `${format(findings)}\n\n${count('ok')} ok, ${count('warn')} to look at, ${count('fail')} wrong`);
  return count('fail') > 0 || (options.strict && count('warn') > 0) ? EXIT.problem : EXIT.ok;
}

async function findAll(file: string, { offline }: CheckOptions, env: Terminal['env']): Promise<readonly Finding[]> {
  const first = new Findings('config');
  const context = await readContext(first, file, env);
  if (!context) return first.all;
  const names = new Resolver(DNS);
  const network = offline ? undefined : { names, fetch };
  try {
    const rest = await Promise.all(AREAS.map(([area, look]) => guard(area, look, { ...context, network })));
    return [...first.all, ...rest.flat()];
  } finally {
    names.cancel();
  }
}

/** Without a valid config there is nothing else to look at. */
async function readContext(
  findings: Findings,
  file: string,
  env: Terminal['env'],
): Promise<Omit<CheckContext, 'network'> | undefined> {
  try {
    const { config, modules } = await readConfiguration(file, env);
    findings.ok(file, `hosts: ${config.hosts.size}, listeners: ${config.listeners.length}, plugins: ${config.plugins.size}`);
    return { config, modules, running: await askRunning(findings, config.data), now: Date.now() };
  } catch (error) {
    for (const { message } of problemsOf(error))
      findings.fail(file, message, 'Correct it; parlance config reference prints every option.');
    return undefined;
  }
}

async function askRunning(findings: Findings, data: string): Promise<CheckContext['running']> {
  const running = await findRunning(data);
  if (!running) return undefined;
  try {
    const { listeners, problems } = (await askServer(running.control, { do: 'status' })) as Status;
    const subject = `process ${running.pid}`;
    if (problems.length === 0) findings.ok(subject, `${subject} runs on this data, and is healthy`);
    else findings.fail(subject, `runs on this data, and: ${problems.join('; ')}`, 'See its log.');
    return { ...running, listeners };
  } catch (error) {
    findings.fail(
      `process ${running.pid}`,
      error instanceof Error ? error.message : String(error),
      'See its log, or start it again.',
    );
    return { ...running, listeners: [] };
  }
}

/** A check that fails or hangs is a finding itself, and keeps no other from running. */
async function guard(area: string, look: Check, context: CheckContext): Promise<readonly Finding[]> {
  const fix = 'See whether the machine is short of something; otherwise this is a fault of the program.';
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<Findings>((resolve) => {
    const findings = new Findings(area);
    findings.fail(area, `was not done after ${PATIENCE / 1000} s`, fix);
    timer = setTimeout(resolve, PATIENCE, findings);
  });
  try {
    return (await Promise.race([look(context), timeout])).all;
  } catch (error) {
    const findings = new Findings(area);
    findings.fail(area, `could not be looked at: ${error instanceof Error ? error.message : String(error)}`, fix);
    return findings.all;
  } finally {
    clearTimeout(timer);
  }
}

const MARKS: Readonly<Record<Level, string>> = { ok: '  ok   ', warn: '  look ', fail: '  WRONG' };

function format(findings: readonly Finding[]): string {
  const lines: string[] = [];
  let area = '';
  for (const finding of findings) {
    if (finding.area !== area) lines.push(...(area === '' ? [] : ['']), (area = finding.area));
    const text =
      finding.subject === finding.area || finding.text.startsWith(finding.subject)
        ? finding.text
        : `${finding.subject}: ${finding.text}`;
    lines.push(`${MARKS[finding.level]} ${text}`);
    if (finding.fix !== undefined) lines.push(`         -> ${finding.fix}`);
  }
  return lines.join('\n');
}
