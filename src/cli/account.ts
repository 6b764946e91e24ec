import { randomInt } from 'node:crypto';
import type { AccountInfo } from '../auth/accounts.ts';
import { Jid } from '../jid.ts';
import { StanzaError } from '../stanza/errors.ts';
import { findConfig, readConfiguration } from './config-file.ts';
import { type Keeper, openKeeper } from './keeper.ts';
import { ask, CliError, EXIT, print, printJson, readSecret, type Terminal } from './terminal.ts';

/** Without letters and digits that look alike. */
const ALPHABET = 'abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789';
const GENERATED = 20;
/** Codes of what RFC 6120 calls by name, as the command says them. */
const REFUSALS: ReadonlyMap<string, string> = new Map([
  ['conflict', 'there is such an account already'],
  ['item-not-found', 'there is no such account'],
  ['not-acceptable', 'this password cannot be used (it is empty, too long, or holds characters that RFC 8265 forbids)'],
]);

/** Options that every command about accounts takes. */
export interface AccountOptions {
  readonly config?: string;
  readonly json?: boolean;
}

/** Options of those that set a password. */
export interface PasswordOptions extends AccountOptions {
  readonly passwordStdin?: boolean;
  readonly generate?: boolean;
}

/** `parlance account create <jid>` */
export async function createAccount(terminal: Terminal, address: string, options: PasswordOptions): Promise<void> {
  await withAccount(terminal, address, options, async (keeper, jid) => {
    const { password, isGenerated } = await choosePassword(terminal, options);
    await keeper.create(jid, password);
    say(terminal, options, `${jid.bare} created`, { jid: jid.bare, ...(isGenerated && { password }) });
  });
}

/** `parlance account password <jid>` */
export async function changePassword(terminal: Terminal, address: string, options: PasswordOptions): Promise<void> {
  await withAccount(terminal, address, options, async (keeper, jid) => {
    const { password, isGenerated } = await choosePassword(terminal, options);
    await keeper.setPassword(jid, password);
    say(terminal, options, `the password of ${jid.bare} is changed`, { jid: jid.bare, ...(isGenerated && { password }) });
  });
}

/** `parlance account delete <jid>`: with everything that is kept for it. */
export async function deleteAccount(
  terminal: Terminal,
  address: string,
  options: AccountOptions & { readonly yes?: boolean },
): Promise<void> {
  await withAccount(terminal, address, options, async (keeper, jid) => {
    if (!options.yes)
      await confirm(terminal, `Delete ${jid.bare} with its contacts, messages and everything else that is kept for it?`);
    if (!(await keeper.delete(jid))) throw new CliError(`${jid.bare}: ${REFUSALS.get('item-not-found')}`);
    say(terminal, options, `${jid.bare} deleted`, { jid: jid.bare });
  });
}

/** `parlance account list [domain]` */
export async function listAccounts(terminal: Terminal, domain: string | undefined, options: AccountOptions): Promise<void> {
  const { config, modules } = await readConfiguration(findConfig(options.config, terminal.env), terminal.env);
  const wanted = domain === undefined ? undefined : Jid.tryParse(domain)?.domain;
  if (domain !== undefined && (wanted === undefined || !config.hosts.has(wanted)))
    throw notServed(domain, config.hosts.keys(), config.file);
  const keeper = await openKeeper(config, modules);
  try {
    const found: (AccountInfo & { readonly jid: string })[] = [];
    for (const host of wanted === undefined ? config.hosts.keys() : [wanted]) {
      for (const account of await keeper.list(host)) found.push({ jid: `${account.username}@${host}`, ...account });
    }
    if (options.json)
      printJson(
        terminal,
        found.map(({ jid, created }) => ({ jid, created: new Date(created).toISOString() })),
      );
    else for (const { jid } of found) print(terminal, jid);
  } finally {
    await keeper.close();
  }
}

async function withAccount(
  terminal: Terminal,
  address: string,
  options: AccountOptions,
  task: (keeper: Keeper, jid: Jid) => Promise<void>,
): Promise<void> {
  const jid = Jid.tryParse(address);
  if (!jid || jid.local === '' || !jid.isBare) {
    throw new CliError(`${JSON.stringify(address)} is not the address of an account, such as juliet@example.org`, EXIT.usage);
  }
  const { config, modules } = await readConfiguration(findConfig(options.config, terminal.env), terminal.env);
  if (!config.hosts.has(jid.domain)) throw notServed(jid.domain, config.hosts.keys(), config.file);
  const keeper = await openKeeper(config, modules);
  try {
    await task(keeper, jid);
  } catch (error) {
    if (!(error instanceof StanzaError)) throw error;
    throw new CliError(`${jid.bare}: ${REFUSALS.get(error.condition) ?? error.message}`);
  } finally {
    await keeper.close();
  }
}

function notServed(domain: string, hosts: Iterable<string>, file: string): CliError {
  return new CliError(`${file} has no host ${domain}; it has ${[...hosts].join(', ')}`, EXIT.usage);
}

async function choosePassword(terminal: Terminal, options: PasswordOptions): Promise<{ password: string; isGenerated: boolean }> {
  if (options.generate && options.passwordStdin) throw new CliError('either --generate or --password-stdin', EXIT.usage);
  if (options.generate) return { password: generatePassword(), isGenerated: true };
  if (options.passwordStdin) return { password: await readSecret(terminal), isGenerated: false };
  if (terminal.stdin.isTTY !== true) {
    throw new CliError('there is no terminal to ask for the password: give --password-stdin or --generate', EXIT.usage);
  }
  const password = await ask(terminal, 'Password: ', true);
  if (password !== (await ask(terminal, 'Again: ', true))) throw new CliError('these were two different passwords');
  return { password, isGenerated: false };
}

/** About 116 bits, from the system's random numbers. */
function generatePassword(): string {
  return Array.from({ length: GENERATED }, () => ALPHABET[randomInt(ALPHABET.length)]).join('');
}

async function confirm(terminal: Terminal, question: string): Promise<void> {
  if (terminal.stdin.isTTY !== true) throw new CliError('there is no terminal to ask: give --yes', EXIT.usage);
  const answer = await ask(terminal, `${question} [y/N] `);
  if (!/^y(es)?$/i.test(answer.trim())) throw new CliError('nothing was deleted');
}

/** A password that was made up is the only one that is ever shown. */
function say(
  terminal: Terminal,
  { json }: AccountOptions,
  text: string,
  data: { readonly jid: string; readonly password?: string },
): void {
  if (json) printJson(terminal, data);
  else print(terminal, data.password === undefined ? text : `${text}\npassword: ${data.password}`);
}
