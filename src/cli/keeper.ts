import type { AccountInfo } from '../auth/accounts.ts';
import type { ServerConfig } from '../config/server-config.ts';
import type { Jid } from '../jid.ts';
import type { AnyModule } from '../module/module.ts';
import { StanzaError } from '../stanza/errors.ts';
import { askServer } from './control.ts';
import { openAccounts } from './offline-accounts.ts';
import { findRunning } from './run-file.ts';
import { CliError } from './terminal.ts';

/** Who keeps the accounts: the running server, or this very process where none runs. Refuses as `Accounts` does, with StanzaError. */
export interface Keeper {
  create(jid: Jid, password: string): Promise<void>;
  setPassword(jid: Jid, password: string): Promise<void>;
  /** True when there was one. */
  delete(jid: Jid): Promise<boolean>;
  list(host: string): Promise<readonly AccountInfo[]>;
  close(): Promise<void>;
}

/**
 * The keeper of a server's accounts. A running server does everything itself: what it has in memory is never behind, clients of a
 * deleted account are sent away, and a file has one writer. Throws CliError where there is nothing to keep accounts in.
 */
export async function openKeeper(config: ServerConfig, modules: ReadonlyMap<string, AnyModule>): Promise<Keeper> {
  const running = await findRunning(config.data);
  if (running) return askingServer(running.control);
  if (config.storage.type === 'memory')
    throw new CliError('with storage in memory there are only accounts while the server runs, and it does not');
  return openAccounts(config, modules);
}

function askingServer(path: string): Keeper {
  const ask = async (request: Readonly<Record<string, unknown>>): Promise<Readonly<Record<string, unknown>>> => {
    const answer = (await askServer(path, request)) as Readonly<Record<string, unknown>>;
    if (answer['refused'] !== undefined) throw new StanzaError(answer['refused'] as StanzaError['condition']);
    return answer;
  };
  return {
    async create(jid, password) {
      await ask({ do: 'create', jid: jid.bare, password });
    },
    async setPassword(jid, password) {
      await ask({ do: 'password', jid: jid.bare, password });
    },
    async delete(jid) {
      return (await ask({ do: 'delete', jid: jid.bare }))['existed'] === true;
    },
    async list(host) {
      return (await ask({ do: 'list', host }))['accounts'] as readonly AccountInfo[];
    },
    async close() {},
  };
}
