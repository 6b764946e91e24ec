import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Command, CommanderError, Option } from 'commander';
import type { AccountOptions, PasswordOptions } from './account.ts';
import type { ArchiveExportOptions } from './archive.ts';
import { PACKAGE_FOLDER, SYSTEM_CONFIG } from './config-file.ts';
import { EXIT, type ExitCode, reportFailure, type Terminal } from './terminal.ts';

const AFTER = `
Exit codes: 0 it went well; 1 there is a problem, which the output names; 2 wrong use; 70 a fault of the program.

Examples:
  parlance start                                      serve localhost, to try things out
  parlance check --config /etc/parlance/server.yaml   see what is wrong before anybody else does
  parlance account create juliet@example.org          asks for the password`;

const CONFIG = `the config file (else $PARLANCE_CONFIG, ${SYSTEM_CONFIG}, or the one for development that comes with Parlance)`;

/** Runs one command line (without Node and the script's own name) and returns how it ended. Never rejects. */
export async function run(args: readonly string[], terminal: Terminal): Promise<ExitCode> {
  let code: ExitCode = EXIT.ok;
  const program = buildProgram(terminal, (result) => (code = result));
  try {
    await program.parseAsync([...args], { from: 'user' });
    return code;
  } catch (error) {
    if (!(error instanceof CommanderError)) return reportFailure(terminal, error);
    return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
  }
}

/** The version in package.json. */
export function readVersion(): string {
  const { version } = JSON.parse(readFileSync(join(PACKAGE_FOLDER, 'package.json'), 'utf8')) as { readonly version: string };
  return version;
}

type Finish = (code: ExitCode) => void;

function buildProgram(terminal: Terminal, finish: Finish): Command {
  const program = new Command('parlance')
    .description('An instant-messaging server that speaks XMPP.')
    .version(readVersion(), '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print this help')
    .helpCommand('help [command]', 'print the help of a command')
    .addHelpText('after', AFTER)
    .showHelpAfterError('(parlance help shows how it is used)')
    .configureOutput({
      writeOut: (text) => void terminal.stdout.write(text),
      writeErr: (text) => void terminal.stderr.write(text),
    })
    .exitOverride();
  addRunning(program, terminal, finish);
  addAccount(program.command('account').description('accounts: create, list, change passwords, delete'), terminal);
  addArchive(program.command('archive').description('what is kept of the messages of an account'), terminal);
  addOthers(program, terminal);
  return program;
}

function addRunning(program: Command, terminal: Terminal, finish: Finish): void {
  program
    .command('start')
    .description('run the server, until SIGTERM or Ctrl+C (a second one does not wait); SIGHUP reads the config again')
    .addOption(configOption())
    .action(async (options: { readonly config?: string }) => {
      const { start } = await import('./start.ts');
      finish(await start(terminal, options));
    });
  program
    .command('check')
    .description('look for mistakes in config, certificates, ports, storage, DNS and on this machine, and say how to mend them')
    .addOption(configOption())
    .option('--json', 'print the findings as JSON')
    .option('--offline', 'ask nothing of the network (DNS, host-meta)')
    .option('--strict', 'end with 1 for warnings too')
    .action(
      async (options: {
        readonly config?: string;
        readonly json?: boolean;
        readonly offline?: boolean;
        readonly strict?: boolean;
      }) => {
        const { check } = await import('./check/command.ts');
        finish(await check(terminal, options));
      },
    );
  program
    .command('reload')
    .description('let the running server read its config again, and tell what came of it; connections stay')
    .addOption(configOption())
    .option('--module <name>', 'only start this module anew, with what depends on it')
    .option('--json', 'print the result as JSON')
    .action(async ({ module, ...options }: { readonly config?: string; readonly json?: boolean; readonly module?: string }) => {
      const { reload, restartModule } = await import('./running.ts');
      await (module === undefined ? reload(terminal, options) : restartModule(terminal, module, options));
    });
  program
    .command('status')
    .description('tell whether the server runs and how it is; ends with 1 when it does not')
    .addOption(configOption())
    .option('--json', 'print it as JSON')
    .action(async (options: { readonly config?: string; readonly json?: boolean }) => {
      const { status } = await import('./running.ts');
      finish(await status(terminal, options));
    });
}

function addAccount(account: Command, terminal: Terminal): void {
  const password = (command: Command) =>
    command
      .addOption(configOption())
      .option('--password-stdin', 'take the password from the first line of the standard input')
      .option('--generate', 'make up a password, and print it')
      .option('--json', 'print the result as JSON');
  password(account.command('create <jid>').description('make an account')).action(
    async (jid: string, options: PasswordOptions) => {
      await (await import('./account.ts')).createAccount(terminal, jid, options);
    },
  );
  password(account.command('password <jid>').description('set the password of an account')).action(
    async (jid: string, options: PasswordOptions) => {
      await (await import('./account.ts')).changePassword(terminal, jid, options);
    },
  );
  account
    .command('list [domain]')
    .description('print the accounts of all hosts or of one')
    .addOption(configOption())
    .option('--json', 'print them as JSON')
    .action(async (domain: string | undefined, options: AccountOptions) => {
      await (await import('./account.ts')).listAccounts(terminal, domain, options);
    });
  account
    .command('delete <jid>')
    .description('delete an account with everything that is kept for it; its clients are sent away')
    .addOption(configOption())
    .option('-y, --yes', 'do not ask')
    .option('--json', 'print the result as JSON')
    .action(async (jid: string, options: AccountOptions & { readonly yes?: boolean }) => {
      await (await import('./account.ts')).deleteAccount(terminal, jid, options);
    });
  account.addHelpText(
    'after',
    `
Works whether the server runs or not: a running one does it itself, so that it takes effect at once.

Examples:
  parlance account create juliet@example.org
  pass show juliet | parlance account password juliet@example.org --password-stdin
  parlance account create bot@example.org --generate --json`,
  );
}

function addArchive(archive: Command, terminal: Terminal): void {
  archive
    .command('export <jid>')
    .description('print all messages in the archive of an account, oldest first')
    .addOption(configOption())
    .addOption(
      new Option('--format <format>', 'xml: as XEP-0227 has it, for other servers; jsonl: an object on each line')
        .choices(['xml', 'jsonl'])
        .default('xml'),
    )
    .option('--since <time>', 'leave out what is older than this day or time (2026-01-31, 2026-01-31T12:00:00Z)')
    .option('--until <time>', 'leave out what is newer; a day is included')
    .action(async (jid: string, options: ArchiveExportOptions) => {
      await (await import('./archive.ts')).exportAccount(terminal, jid, options);
    });
  archive.addHelpText(
    'after',
    `
Works whether the server runs or not. The result is as private as the messages are: keep it where nobody else can read it.

Examples:
  (umask 077; parlance archive export juliet@example.org > juliet.xml)
  parlance archive export juliet@example.org --format jsonl --since 2026-01-01 | jq -r .body`,
  );
}

function addOthers(program: Command, terminal: Terminal): void {
  const config = program.command('config').description('what a config may say');
  config
    .command('reference')
    .description('print a config with every option, its default and what it means')
    .action(async () => (await import('./config-command.ts')).printReference(terminal));
  config
    .command('schema')
    .description('print the JSON Schema by which editors check and complete a config')
    .action(async () => (await import('./config-command.ts')).printSchema(terminal));
  program
    .command('module')
    .description('modules of your own')
    .command('new <name>')
    .description('begin a module: within Parlance in modules/ with a test, elsewhere as a plugin')
    .option('--folder <folder>', 'where to begin it', '.')
    .action(async (name: string, options: { readonly folder: string }) => {
      const [{ createModule }, { resolve }] = await Promise.all([import('./new-module.ts'), import('node:path')]);
      await createModule(terminal, name, resolve(options.folder));
    });
}

function configOption(): Option {
  return new Option('-c, --config <file>', CONFIG);
}
