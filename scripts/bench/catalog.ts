// What is measured: the scenarios as the load tool runs them, and the rows of the table with the goals beside them.

/** The servers that can be measured. */
export const SERVERS = ['parlance', 'prosody', 'ejabberd', 'relay'] as const;
/** One of SERVERS. */
export type ServerName = (typeof SERVERS)[number];
/** The servers that Parlance is compared with; the relay is a floor, not a rival. */
export const RIVALS: readonly ServerName[] = ['prosody', 'ejabberd'];

/** What `--scenarios` can name. `login` and `memory` are two readings of the same runs. */
export const GROUPS = [
  'pairs',
  'tls',
  'ws',
  'idle',
  'presence',
  'pep',
  'login',
  'resume',
  'memory',
  'latency',
  'store',
  'disk',
  'page',
  'rooms',
] as const;
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
  /** Accounts it needs, where there would be fewer. */
  readonly accounts?: number;
  /** Logs in by SCRAM, for which the load tool keeps its keys. */
  readonly isScram?: boolean;
  /** The options of the load tool. */
  readonly options: (size: Size) => readonly string[];
}

/** Which settings of a rival a stage is run with. */
export type Load = 'full' | 'low' | 'login';

/** Messages are archived, by a server that has nothing but the accounts and what is said here. */
export interface Archive {
  /** Where everything the server keeps is: in memory, or on a disk that has to sync. */
  readonly place: 'memory' | 'disk';
  /** Accounts that are made. */
  readonly accounts: (size: Size) => number;
  /** Messages that two clients exchange before anything is measured. */
  readonly exchanged?: number;
  /** Messages in the archive of each account, written straight into the database of Parlance before it is started. */
  readonly seeded?: number;
}

/** Scenarios that one start of a server serves. */
export interface Stage {
  readonly load: Load;
  /** Without it no archive is kept. */
  readonly archive?: Archive;
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

function store(place: Archive['place'], group: Group): Stage {
  return {
    load: 'full',
    archive: { place, accounts: ({ clients }) => clients },
    scenarios: [1, 8].map((window) => ({
      ...pairs(`${group}-w${window}`, group, '--window', String(window), '--drain'),
      servers: ['parlance', ...RIVALS],
    })),
  };
}

/** Two clients, so that all messages are in one archive, or rather in two: each has its own. */
function page(name: string, kept: Pick<Archive, 'exchanged' | 'seeded'>, servers: readonly ServerName[]): Stage {
  const options = (size: Size) => ['--scenario', 'mam', ...timed({ ...size, clients: 2 }), '--window', '4'];
  return {
    load: 'full',
    archive: { place: 'memory', accounts: () => 2, ...kept },
    scenarios: [{ name, groups: ['page'], servers, options }],
  };
}

function resume(name: string, ...options: readonly string[]): Scenario {
  return {
    name,
    groups: ['resume'],
    servers: ['parlance', ...RIVALS],
    options: (size) => ['--scenario', 'resume', '--clients', String(size.accounts), '--conc', '50', ...options],
  };
}

/** How many there are, how many are in each, and how many messages a second are sent to all of them; each tenth occupant speaks. */
interface Rooms {
  readonly rooms: number;
  readonly occupants: number;
  readonly rate: number;
  /** Others who chat in pairs, not in a room. */
  readonly others?: number;
}

function talk({ rooms, occupants, rate, others = 0 }: Rooms, ...options: readonly string[]): Scenario {
  const clients = rooms * occupants + others;
  const load = ['--rooms', rooms, '--occupants', occupants, '--senders', occupants / 10, '--rate', rate].map(String);
  return {
    name: `rooms-${occupants}`,
    groups: ['rooms'],
    accounts: clients,
    options: (size) => ['--scenario', 'rooms', ...timed({ ...size, clients }), ...load, ...options],
  };
}

function join(occupants: number): Scenario {
  const clients = ['--clients', occupants, '--occupants', occupants].map(String);
  return {
    name: `join-${occupants}`,
    groups: ['rooms'],
    servers: ['parlance', ...RIVALS],
    accounts: occupants,
    options: () => ['--scenario', 'join', ...clients, '--conc', '50', '--timeout', '300'],
  };
}

/** What one account publishes for its contacts, and what is in nodes. */
function nodes(name: 'greet' | 'items' | 'pep', clients: number, ...options: readonly string[]): Scenario {
  return {
    name,
    groups: ['pep'],
    // With each item Prosody writes all of them anew: for the ten thousand it takes a quarter of an hour.
    servers: ['parlance', ...(name === 'items' ? (['ejabberd'] as const) : RIVALS)],
    accounts: clients,
    options: (size) => ['--scenario', name, ...timed({ ...size, clients }), ...options],
  };
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
  {
    load: 'full',
    scenarios: [
      nodes('pep', 501),
      nodes('greet', 301, '--rounds', '5'),
      nodes('items', 1, '--messages', '10000', '--page', '50'),
    ],
  },
  { load: 'low', scenarios: [open(2000), open(5000)] },
  { load: 'full', hasIdleClients: true, scenarios: [pairs('pairs-idle', 'idle')] },
  { load: 'login', scenarios: [login('memory-plain', ['memory'])] },
  { load: 'login', scenarios: [login('memory-tls', ['memory'], '--tls')] },
  {
    load: 'login',
    scenarios: [
      login('warm-up', ['login', 'resume']),
      login('warm-up-tls', ['login'], '--tls'),
      login('login-plain', ['login', 'resume']),
      login('login-tls', ['login'], '--tls'),
      { ...login('login-scram', ['login', 'resume'], '--scram'), servers: ['parlance', ...RIVALS], isScram: true },
      resume('resume-plain'),
      { ...resume('resume-scram', '--scram'), isScram: true },
    ],
  },
  store('memory', 'store'),
  store('disk', 'disk'),
  page('page-10k', { exchanged: 10_000 }, ['parlance', ...RIVALS]),
  page('page-1m', { seeded: 1_000_000 }, ['parlance']),
  {
    load: 'low',
    scenarios: [talk({ rooms: 10, occupants: 20, rate: 400 }), talk({ rooms: 1, occupants: 200, rate: 40 })],
  },
  { load: 'low', scenarios: [join(1000)] },
  {
    load: 'low',
    scenarios: [talk({ rooms: 1, occupants: 2000, rate: 4, others: 200 }, '--chat-rate', '1000', '--hush')],
  },
];

/** At most this many times another server's figure. */
export interface Goal {
  readonly most: number;
  /** Less than that, not as much. */
  readonly isBelow?: boolean;
}

/** One line of the table: a figure of one scenario. Less is better, but of a rate. */
export interface Row {
  readonly title: string;
  /** '/s' makes it a rate. */
  readonly unit: 'µs' | 'ms' | 'KiB' | '/s';
  readonly group: Group;
  readonly scenario: string;
  /** The name the load tool gives the figure. */
  readonly figure: string;
  /** Whose best figure is the rival's. */
  readonly rivals: readonly ServerName[];
  /** Compared with the best rival. A rate has no goal. */
  readonly rivalGoal?: Goal;
  readonly relayGoal?: Goal;
  /** Another figure of the scenario, that the server has when it has little to do. */
  readonly idleFigure?: string;
  readonly idleGoal?: Goal;
}

const TENTH: Goal = { most: 1 / 10 };
const FIFTH: Goal = { most: 1 / 5 };
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

function cost(title: string, group: Group, scenario: string, figure: string): Row {
  return { title, unit: 'ms', group, scenario, figure, rivals: RIVALS };
}

function pageCost(title: string, scenario: string): Row {
  return { ...cost(title, 'page', scenario, 'srv_cpu_ms_per_page'), rivalGoal: FIFTH };
}

function stored(title: string, group: Group, scenario: string): readonly Row[] {
  const about = { group, scenario, rivals: RIVALS };
  return [
    { ...about, title, unit: 'µs', figure: 'srv_cpu_us_per_delivery', rivalGoal: TENTH },
    { ...about, title: `${title}, messages`, unit: '/s', figure: 'msgs_per_s' },
  ];
}

function beside(occupants: number): readonly Row[] {
  const about = { unit: 'ms', group: 'rooms', scenario: `rooms-${occupants}`, rivals: RIVALS } as const;
  const idleFigure = 'idle_p99_ms';
  return [
    { ...about, title: `chat p99, room of ${occupants} silent`, figure: idleFigure },
    { ...about, title: `chat p99, room of ${occupants} busy`, figure: 'beside_p99_ms', idleFigure, idleGoal: TWICE },
  ];
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
  delivery('published to 500 contacts', 'pep', 'pep'),
  { ...cost('log-in, 300 contacts with avatars', 'pep', 'greet', 'srv_cpu_ms_per_login'), rivalGoal: EQUAL },
  { ...cost('... and what it is sent', 'pep', 'greet', 'kib_per_login'), unit: 'KiB', rivalGoal: EQUAL },
  { ...cost('publication, 10,000 items', 'pep', 'items', 'srv_cpu_us_per_publication'), unit: 'µs' },
  cost('page of 50 of 10,000 items', 'pep', 'items', 'srv_cpu_ms_per_page'),
  loginCost('login, PLAIN', 'login-plain'),
  loginCost('login, SCRAM-SHA-1', 'login-scram'),
  loginCost('login, PLAIN over TLS', 'login-tls'),
  cost('resumption, PLAIN', 'resume', 'resume-plain', 'srv_cpu_ms_per_resume'),
  cost('resumption, SCRAM-SHA-1', 'resume', 'resume-scram', 'srv_cpu_ms_per_resume'),
  memory('memory, connection', 'memory-plain', 'kib_per_conn', HALF),
  memory('memory, connection, TLS', 'memory-tls', 'kib_per_conn', { most: 1, isBelow: true }),
  memory('private memory', 'memory-plain', 'uss_kib_per_conn'),
  memory('private memory, TLS', 'memory-tls', 'uss_kib_per_conn'),
  latency('latency p50, 2000/s', 'open-2000', 'p50_ms'),
  latency('latency p99, 2000/s', 'open-2000', 'p99_ms'),
  latency('latency p50, 5000/s', 'open-5000', 'p50_ms'),
  latency('latency p99, 5000/s', 'open-5000', 'p99_ms', EQUAL),
  ...stored('archived', 'store', 'store-w1'),
  ...stored('archived, 8 under way', 'store', 'store-w8'),
  ...stored('archived on disk', 'disk', 'disk-w1'),
  ...stored('archived on disk, 8 under way', 'disk', 'disk-w8'),
  pageCost('page of 50 from 10,000', 'page-10k'),
  pageCost('page of 50 from 1,000,000', 'page-1m'),
  delivery('10 rooms of 20', 'rooms', 'rooms-20'),
  delivery('room of 200', 'rooms', 'rooms-200'),
  delivery('room of 2000', 'rooms', 'rooms-2000'),
  { ...cost('join of 1000 into a room', 'rooms', 'join-1000', 'srv_cpu_ms_per_join'), rivalGoal: THIRD },
  cost('... until all are in', 'rooms', 'join-1000', 'joins_ms'),
  ...beside(2000),
];
