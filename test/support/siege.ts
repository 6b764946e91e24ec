import { Bystanders } from './bystanders.ts';
import { ServerProcess } from './server-process.ts';

/** A server that is attacked by a suite, and two who chat on it meanwhile. */
export interface Siege {
  readonly server: ServerProcess;
  readonly others: Bystanders;
  /** Where the attacker of the present test comes from: nobody else has used it. */
  readonly address: string;
}

/** Tight limits, and a host where TLS is required, for attacks on streams. */
export const TIGHT: Readonly<Record<string, unknown>> = {
  limits: {
    ...{ exemptLoopback: false, connectionsPerAddress: 50, connectionsPerMinute: 100 },
    ...{ bytesPerSecond: 0, queueBytes: '64KiB' },
  },
  sessions: { resourcesPerAccount: 3 },
  hosts: {
    localhost: { certificate: 'self-signed' },
    'strict.localhost': {
      certificate: 'self-signed',
      authentication: { trustLoopback: false, plainWithoutTlsOnLoopback: false },
    },
  },
  modules: { roster: { maxContacts: 30 }, presence: { maxDirected: 100 }, ping: {}, private: {}, offline: {}, register: {} },
};

/**
 * Starts such a server for the suite that calls it, and ends it afterwards. `config` is put over what a ServerProcess has; attackers
 * come from the network 127.0.`net`.0/24. What it returns is filled in before the first test.
 */
export function besiege(config: Readonly<Record<string, unknown>>, net = 0): Siege {
  const siege = { server: undefined as unknown as ServerProcess, others: undefined as unknown as Bystanders, address: '' };
  let addresses = 1;

  before(async function () {
    this.timeout(60_000);
    siege.server = await ServerProcess.create({ log: { level: 'info', format: 'json' }, ...config });
    await siege.server.start();
    siege.others = await Bystanders.create(siege.server);
  });

  after(async () => {
    await siege.others?.close();
    await siege.server?.remove();
  });

  beforeEach(() => {
    siege.address = `127.0.${net}.${++addresses}`;
    siege.others.mark();
  });

  return siege;
}
