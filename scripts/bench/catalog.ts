// What is measured: the scenarios as the load tool runs them, and the rows of the table with the goals beside them.

/** The servers that can be measured. */
export const SERVERS = ['parlance', 'prosody', 'ejabberd', 'relay'] as const;
/** One of SERVERS. */
export type ServerName = (typeof SERVERS)[number];
/** The servers that Parlance is compared with; the relay is a floor, not a rival. */
export const RIVALS: readonly ServerName[] = ['prosody', 'ejabberd'];

/** What `--scenarios` can name. `login` and `memory` are two readings of the same runs. */
export const GROUPS = ['pairs', 'tls', 'ws', 'idle', 'presence', 'login', 'memory', 'latency'] as const;
/** One of GROUPS. */
export type Group = (typeof GROUPS)[number];

/** How long and how large the runs are. Times are whole seconds. */
export interface Size {
  /** Clients that exchange messages. */
  readonly clients: number;
  /** Accounts that exist, and log in for `login`, `memory` and `idle`. */
  readonly accounts: number;
  readonly warmup: number;
  readonly window: number;
  /** How long a server rests after its start, and after the logins before its memory is read. */
  readonly rest: number;
  readonly settle: number;
}

/** One run of the load tool. */
export interface Scenario {
  /** As in the measurements: `pairs-w1`. */
  readonly name: string;
  readonly groups: readonly Group[];
  readonly isWebSocket?: boolean;
  readonly servers?: readonly ServerName[];
  /** Mutual contacts each client needs before. */
  readonly contacts?: number;
  /** The options of the load tool. */
  readonly options: (size: Size) => readonly string[];
}

/** Which settings of a rival a stage is run with. */
export type Load = 'full' | 'low' | 'login';

/** Scenarios that one start of a server serves. */
export interface Stage {
  readonly load: Load;
  /** The accounts beyond `clients` are online meanwhile. */
  readonly hasIdleClients?: boolean;
  readonly scenarios: readonly Scenario[];
}

const CONTACTS = 20;

function timed(size: Size): readonly string[] {
  return ['--clients', String(size.clients), '--warmup', String(size.warmup), '--duration', String(size.window)];
}

function pairs(name: string, group: Group, ...options: readonly string[]): Scenario {
  return { name, groups: [group], options: (size) => ['--scenario', 'pairs', ...timed(size), '--window', '1', ...options] };
}

function open(rate: number): Scenario {
  const options = (size: Size) => ['--scenario', 'open', '--poisson', ...timed(size), '--rate', String(rate)];
  return { name: `open-${rate}`, groups: ['latency'], options };
}

function login(name: string, groups: readonly Group[], ...options: readonly string[]): Scenario {
  return {
    name,
    groups,
    options: (size) => [
      ...['--scenario', 'login', '--clients', String(size.accounts), '--conc', '50', '--settle', String(size.settle)],
      ...options,
    ],
  };
}

/**
 * Every run, in order. Memory is read from a freshly started server. The CPU time of a login is not: a server that compiles itself
 * while it runs has done so after the first thousand, and these are not counted for anybody.
 */
export const STAGES: readonly Stage[] = [
  {
    load: 'full',
    scenarios: [
      pairs('pairs-w1', 'pairs'),
      pairs('pairs-w8', 'pairs', '--window', '8'),
      pairs('pairs-tls', 'tls', '--tls'),
      { ...pairs('pairs-ws', 'ws'), isWebSocket: true },
      {
        name: 'presence',
        groups: ['presence'],
        servers: ['parlance', ...RIVALS],
        contacts: CONTACTS,
        options: (size) => ['--scenario', 'presence', ...timed(size), '--contacts', String(CONTACTS), '--senders', '20'],
      },
    ],
  },
  { load: 'low', scenarios: [open(2000), open(5000)] },
  { load: 'full', hasIdleClients: true, scenarios: [pairs('pairs-idle', 'idle')] },
  { load: 'login', scenarios: [login('memory-plain', ['memory'])] },
  { load: 'login', scenarios: [login('memory-tls', ['memory'], '--tls')] },
  {
    load: 'login',
    scenarios: [
      login('warm-up', ['login']),
      login('warm-up-tls', ['login'], '--tls'),
      login('login-plain', ['login']),
      login('login-tls', ['login'], '--tls'),
      { ...login('login-scram', ['login'], '--scram'), servers: ['parlance', ...RIVALS] },
    ],
  },
];

/** At most this many times another server's figure. */
export interface Goal {
  readonly most: number;
  /** Less than that, not as much. */
  readonly isBelow?: boolean;
}

/** One line of the table: a figure of one scenario. For all of them, less is better. */
export interface Row {
  readonly title: string;
  readonly unit: 'µs' | 'ms' | 'KiB';
  readonly group: Group;
  readonly scenario: string;
  /** The name the load tool gives the figure. */
  readonly figure: string;
  /** Whose best figure is the rival's. */
  readonly rivals: readonly ServerName[];
  /** Compared with the best rival. */
  readonly rivalGoal?: Goal;
  readonly relayGoal?: Goal;
}

const THIRD: Goal = { most: 1 / 3 };
const HALF: Goal = { most: 1 / 2 };
const EQUAL: Goal = { most: 1 };
const TWICE: Goal = { most: 2 };

function delivery(title: string, group: Group, scenario: string, relayGoal?: Goal): Row {
  const about = { title, unit: 'µs', group, scenario, figure: 'srv_cpu_us_per_delivery' } as const;
  return { ...about, rivals: RIVALS, rivalGoal: THIRD, ...(relayGoal && { relayGoal }) };
}

function loginCost(title: string, scenario: string): Row {
  const about = { title, unit: 'ms', group: 'login', scenario, figure: 'srv_cpu_ms_per_login' } as const;
  return { ...about, rivals: RIVALS, rivalGoal: HALF };
}

function memory(title: string, scenario: string, figure: string, rivalGoal?: Goal): Row {
  return { title, unit: 'KiB', group: 'memory', scenario, figure, rivals: ['prosody'], ...(rivalGoal && { rivalGoal }) };
}

function latency(title: string, scenario: string, figure: string, rivalGoal?: Goal): Row {
  return { title, unit: 'ms', group: 'latency', scenario, figure, rivals: RIVALS, ...(rivalGoal && { rivalGoal }) };
}

/** The table. */
export const ROWS: readonly Row[] = [
  delivery('one-to-one', 'pairs', 'pairs-w1', TWICE),
  delivery('one-to-one, 8 under way', 'pairs', 'pairs-w8'),
  delivery('one-to-one, TLS', 'tls', 'pairs-tls', TWICE),
  delivery('one-to-one, WebSocket', 'ws', 'pairs-ws', TWICE),
  delivery('one-to-one, 2000 online', 'idle', 'pairs-idle', TWICE),
  delivery('presence, 20 contacts', 'presence', 'presence'),
  loginCost('login, PLAIN', 'login-plain'),
  loginCost('login, SCRAM-SHA-1', 'login-scram'),
  loginCost('login, PLAIN over TLS', 'login-tls'),
  memory('memory, connection', 'memory-plain', 'kib_per_conn', HALF),
  memory('memory, connection, TLS', 'memory-tls', 'kib_per_conn', { most: 1, isBelow: true }),
  memory('private memory', 'memory-plain', 'uss_kib_per_conn'),
  memory('private memory, TLS', 'memory-tls', 'uss_kib_per_conn'),
  latency('latency p50, 2000/s', 'open-2000', 'p50_ms'),
  latency('latency p99, 2000/s', 'open-2000', 'p99_ms'),
  latency('latency p50, 5000/s', 'open-5000', 'p50_ms'),
  latency('latency p99, 5000/s', 'open-5000', 'p99_ms', EQUAL),
];
