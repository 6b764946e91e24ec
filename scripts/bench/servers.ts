// The servers that are measured: how each is configured and started. All on loopback, with data and config of their own.
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import type { Load, ServerName } from './catalog.ts';
import type { Command } from './child.ts';
import { ask, findCommand, isInstalled, packageVersion } from './machine.ts';
import { SOURCES, TOP } from './places.ts';
import { seedArchives } from './seed.ts';

/** What a server is given. */
export interface Place {
  /** For its config, log and data; the same one in every round. */
  readonly folder: string;
  /** Holds cert.pem, key.pem and, for ejabberd, both in all.pem. */
  readonly certs: string;
  readonly port: number;
  /** For WebSocket. */
  readonly webPort: number;
  /** For whatever else it cannot do without. */
  readonly sparePort: number;
}

/** One server. */
export interface Contender {
  readonly name: ServerName;
  readonly webSocketPath: string;
  readonly hasAccounts: boolean;
  /** The settings to measure it with. */
  readonly variants: Readonly<Record<Load, readonly string[]>>;
  /** What keeps it from being run here; undefined when nothing does. */
  readonly missing: () => string | undefined;
  /** What it lacks to keep an archive, when it can be run otherwise. */
  readonly missingForArchive: () => string | undefined;
  readonly version: () => string;
  /** Writes its config, and says how to start it in the foreground; with or without an archive of messages. */
  readonly prepare: (place: Place, variant: string, hasArchive: boolean) => Command;
  /** Fills the archives of user0 and user1 before the start. Only Parlance knows how. */
  readonly seed?: (place: Place, messages: number, signal: AbortSignal) => Promise<void>;
}

const ONLY = { full: ['base'], low: ['base'], login: ['base'] };

const parlance: Contender = {
  name: 'parlance',
  webSocketPath: '/xmpp-websocket',
  hasAccounts: true,
  variants: ONLY,
  missing: () => undefined,
  missingForArchive: () => undefined,
  version() {
    const { version } = JSON.parse(readFileSync(join(TOP, 'package.json'), 'utf8')) as { readonly version: string };
    const commit = ask('git', '-C', TOP, 'describe', '--always', '--dirty');
    return `parlance ${version}${commit === undefined ? '' : ` (${commit})`}, Node ${process.versions.node}`;
  },
  prepare(place, _, hasArchive) {
    const config = fillTemplate('parlance.yaml', place, { MAM: hasArchive ? '{}' : 'false' });
    return {
      file: process.execPath,
      args: ['--max-semi-space-size=4', join(TOP, 'dist', 'src', 'main.js'), 'start', '--config', config],
    };
  },
  seed: ({ folder }, messages, signal) => seedArchives(join(folder, 'data', 'parlance.sqlite'), messages, signal),
};

// With the default threshold Lua starts a full collection at each 5 % of heap growth, and with a few hundred clients most of the
// CPU goes there. The default keeps less memory, so the logins, which tell memory, are measured with both.
const PROSODY_TUNING = 'network_settings = { nagle = false }\ngc = { mode = "incremental"; threshold = 200 }';

// By default it counts with each page what else there is, which costs a tenth of the page. Clients have no need of that.
const PROSODY_ARCHIVE = `storage = { archive = "sql" }
sql = { driver = "SQLite3"; database = "prosody.sqlite" }
mam_include_total = false`;

const prosody: Contender = {
  name: 'prosody',
  webSocketPath: '/xmpp-websocket',
  hasAccounts: true,
  variants: { full: ['tuned'], low: ['tuned'], login: ['tuned', 'default'] },
  missing: () => (findCommand('prosody') ? undefined : 'prosody is not installed: apt install prosody'),
  missingForArchive: () => (isInstalled('lua-dbi-sqlite3') ? undefined : 'prosody lacks SQLite: apt install lua-dbi-sqlite3'),
  version: () => `prosody ${packageVersion('prosody')}`,
  prepare(place, variant, hasArchive) {
    const settings = {
      TUNING: variant === 'tuned' ? PROSODY_TUNING : '',
      ARCHIVE: hasArchive ? PROSODY_ARCHIVE : '',
      MAM: hasArchive ? '"mam";' : '',
    };
    const config = fillTemplate('prosody.cfg.lua', place, settings);
    return { file: findCommand('prosody')!, args: ['--config', config, '-F'] };
  },
};

const ejabberd: Contender = {
  name: 'ejabberd',
  webSocketPath: '/ws',
  hasAccounts: true,
  variants: { full: ['base'], low: ['nospin'], login: ['base'] },
  missing: () => (findCommand('erl') && findEjabberd() ? undefined : 'ejabberd is not installed: apt install ejabberd'),
  missingForArchive: () =>
    isInstalled('erlang-p1-sqlite3') ? undefined : 'ejabberd lacks SQLite: apt install erlang-p1-sqlite3',
  version: () => `ejabberd ${packageVersion('ejabberd')} (Erlang ${packageVersion('erlang-base')})`,
  prepare(place, variant, hasArchive) {
    const { folder, sparePort } = place;
    const database = join(folder, 'data', 'ejabberd.sqlite');
    if (hasArchive) createEjabberdTables(database);
    const config = fillTemplate('ejabberd.yml', place, {
      SQL: hasArchive ? `sql_type: sqlite\nsql_database: ${JSON.stringify(database)}\ndefault_db: mnesia` : '',
      MAM: hasArchive ? 'mod_mam: { db_type: sql, assume_mam_usage: true, default: always }' : '',
    });
    return {
      file: findCommand('erl')!,
      folder,
      args: [
        ...['+K', 'true', '+P', '250000'],
        // Schedulers that run dry spin for a while, which is CPU without work; what matters when there is little to do.
        ...(variant === 'nospin' ? ['+sbwt', 'none', '+sbwtdcpu', 'none', '+sbwtdio', 'none'] : []),
        // Without epmd, which would listen on all addresses.
        ...['-sname', 'parlance-bench@localhost', '-start_epmd', 'false', '-erl_epmd_port', String(sparePort)],
        ...['-kernel', 'inet_dist_use_interface', '{127,0,0,1}', '-mnesia', 'dir', JSON.stringify(join(folder, 'data'))],
        ...['-s', 'ejabberd', '-noinput'],
      ],
      env: {
        HOME: folder,
        ERL_LIBS: findEjabberd()!,
        ERL_CRASH_DUMP_BYTES: '0',
        ERL_MAX_PORTS: '32000',
        ERL_MAX_ETS_TABLES: '2053',
        EJABBERD_CONFIG_PATH: config,
        EJABBERD_LOG_PATH: join(folder, 'ejabberd.log'),
      },
    };
  },
};

const relay: Contender = {
  name: 'relay',
  webSocketPath: '/',
  hasAccounts: false,
  variants: ONLY,
  missing: () => undefined,
  missingForArchive: () => 'the relay keeps nothing',
  version: () => `relay on Node ${process.versions.node}`,
  prepare: ({ certs, port, webPort }) => ({
    file: process.execPath,
    args: [
      join(TOP, 'dist', 'scripts', 'bench', 'relay.js'),
      ...[String(port), String(webPort), join(certs, 'cert.pem'), join(certs, 'key.pem')],
    ],
  }),
};

/** All servers, in the table's order. */
export const CONTENDERS: readonly Contender[] = [parlance, prosody, ejabberd, relay];

/** Writes a config into the server's folder. Returns its path. */
function fillTemplate(name: string, { folder, certs, port, webPort }: Place, settings: Readonly<Record<string, string>>): string {
  const values = new Map([
    ['FOLDER', folder],
    ['CERTS', certs],
    ['PORT', String(port)],
    ['WEB_PORT', String(webPort)],
    ...Object.entries(settings),
  ]);
  const template = readFileSync(join(SOURCES, 'conf', `${name}.in`), 'utf8');
  const config = join(folder, name);
  writeFileSync(
    config,
    template.replace(/@([A-Z_]+)@/g, (whole, key: string) => values.get(key) ?? whole),
  );
  return config;
}

/** This version does not make its tables itself. */
function createEjabberdTables(file: string): void {
  if (existsSync(file)) return;
  const database = new Database(file);
  database.exec(readFileSync('/usr/share/ejabberd/sql/lite.sql', 'utf8'));
  database.close();
}

/** The folder of Erlang libraries that ejabberd is among: /usr/lib/<architecture> on Debian. */
function findEjabberd(): string | undefined {
  const folders = ['/usr/lib', ...list('/usr/lib').map((name) => join('/usr/lib', name))];
  return folders.find((folder) => list(folder).some((name) => /^ejabberd-\d/.test(name)));
}

function list(folder: string): readonly string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
