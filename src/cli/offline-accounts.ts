import type { Accounts } from '../auth/accounts.ts';
import type { ServerConfig } from '../config/server-config.ts';
import type { Jid } from '../jid.ts';
import { silent } from '../log.ts';
import type { AnyModule } from '../module/module.ts';
import { CoreLogin } from '../server/login.ts';
import { openStorage } from '../storage/open.ts';
import { StorageError } from '../storage/storage.ts';
import { statOf } from './check/files.ts';
import type { Keeper } from './keeper.ts';
import { deleteOffline } from './offline-deletion.ts';
import { CliError } from './terminal.ts';

/** The accounts of all hosts of a config, in a process that is not the server. */
export interface OfflineAccounts {
  of(domain: string): Promise<Accounts>;
  /** True when there was one. The modules are those that the config names. */
  delete(jid: Jid, modules: ReadonlyMap<string, AnyModule>): Promise<boolean>;
  close(): Promise<void>;
}

/** Opens the database of a config. Throws CliError when it cannot be opened, or when this would leave files that the server cannot use. */
export async function openAccountsOf(config: ServerConfig): Promise<OfflineAccounts> {
  await refuseForeignUser(config.data);
  try {
    const storage = await openStorage(config.storage, silent);
    const login = await CoreLogin.open(config, storage);
    const nobody = { created() {}, async deleting() {}, deleted() {} };
    const of = async (domain: string) => (await login.openHost(config.hosts.get(domain)!, silent, nobody)).accounts;
    return {
      of,
      // Asked first, since nothing needs to be started for an account that is none.
      delete: async (jid, modules) =>
        (await (await of(jid.domain)).exists(jid.local)) && deleteOffline(jid, { config, modules, storage, login }),
      close: () => storage.close(),
    };
  } catch (error) {
    if (error instanceof StorageError || (error instanceof Error && 'code' in error)) throw new CliError(error.message);
    throw error;
  }
}

/** A keeper for when no server runs. */
export async function openAccounts(config: ServerConfig, modules: ReadonlyMap<string, AnyModule>): Promise<Keeper> {
  const accounts = await openAccountsOf(config);
  return {
    create: async (jid, password) => (await accounts.of(jid.domain)).create(jid.local, password),
    setPassword: async (jid, password) => (await accounts.of(jid.domain)).setPassword(jid.local, password),
    delete: (jid) => accounts.delete(jid, modules),
    list: async (host) => (await accounts.of(host)).list(),
    close: () => accounts.close(),
  };
}

/** What root makes in another user's folder, that user's server cannot open. */
async function refuseForeignUser(data: string): Promise<void> {
  const folder = await statOf(data);
  if (process.getuid?.() !== 0 || !folder || folder.uid === 0) return;
  throw new CliError(`${data} belongs to user ${folder.uid}; run this as that user: sudo -u '#${folder.uid}' parlance ...`);
}
