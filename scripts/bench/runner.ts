// Runs the scenarios of all servers, round by round, so that a busy hour of the machine strikes all of them.
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { createSelfSigned } from '../../src/net/self-signed.ts';
import type { Archive, Scenario, Size, Stage } from './catalog.ts';
import { Child, findPorts } from './child.ts';
import { runTool } from './load-tool.ts';
import { waitUntilQuiet } from './machine.ts';
import type { Contender, Place } from './servers.ts';
import { figureOf, type Measurement, troubleOf } from './summary.ts';

/** What is to be run. */
export interface Plan {
  readonly rounds: number;
  readonly size: Size;
  readonly contenders: readonly Contender[];
  readonly stages: readonly Stage[];
  /** The load tool. */
  readonly program: string;
  /** For everything the servers keep. */
  readonly folder: string;
  /** For what is to be kept on a disk, which the other is not. */
  readonly diskFolder: string;
  /** How long to wait for a quiet machine before a run, in milliseconds. */
  readonly patience: number;
  readonly signal: AbortSignal;
  /** Is told what is going on. */
  readonly tell: (text: string) => void;
  /** Is given each measurement as soon as it is there. */
  readonly keep: (measurement: Measurement) => void;
}

/** A server as it runs. */
interface Running {
  readonly contender: Contender;
  readonly place: Place;
  readonly variant: string;
  readonly child: Child;
}

/** How a server is to be started. */
interface Start {
  readonly contender: Contender;
  readonly place: Place;
  readonly variant: string;
  readonly hasArchive: boolean;
}

/** Runs all of it. What fails is told and left out. Rejects only when the signal is aborted; by then all servers are stopped. */
export async function runPlan(plan: Plan): Promise<void> {
  const runner = new Runner(plan);
  await runner.run();
}

class Runner {
  readonly #plan: Plan;
  readonly #places = new Map<Contender, Place>();
  readonly #broken = new Set<Contender>();

  constructor(plan: Plan) {
    this.#plan = plan;
  }

  async run(): Promise<void> {
    const { contenders, folder, rounds, stages } = this.#plan;
    const certs = createCertificates(folder);
    for (const contender of contenders) {
      this.#places.set(contender, await createPlace(join(folder, contender.name), certs));
      if (contender.hasAccounts && stages.some(({ archive }) => !archive))
        await this.#attempt(contender, 'accounts', () => this.#createAccounts(contender));
    }
    for (let round = 1; round <= rounds; round++) {
      if (rounds > 1) this.#plan.tell(`round ${round} of ${rounds}`);
      for (const stage of stages) for (const contender of contenders) await this.#runStage(stage, contender, round);
    }
  }

  async #runStage(stage: Stage, contender: Contender, round: number): Promise<void> {
    const scenarios = stage.scenarios.filter(({ servers }) => servers?.includes(contender.name) ?? true);
    if (scenarios.length === 0 || this.#broken.has(contender)) return;
    if (stage.archive && contender.missingForArchive() !== undefined) return;
    const place = this.#places.get(contender)!;
    for (const variant of contender.variants[stage.load])
      await this.#attempt(contender, variant, async () => {
        const measureAll = async (running: Running): Promise<void> => {
          for (const scenario of scenarios)
            await this.#attempt(contender, scenario.name, () => this.#measure(running, scenario, round));
        };
        if (stage.archive) await this.#withArchive({ contender, place, variant, hasArchive: true }, stage.archive, measureAll);
        else
          await this.#with({ contender, place, variant, hasArchive: false }, async (running) => {
            const background = stage.hasIdleClients ? await this.#holdClients(running) : undefined;
            try {
              await measureAll(running);
            } finally {
              await background?.stop();
            }
          });
      });
  }

  /** Runs something while a server is up that has an archive, and nothing from before. */
  async #withArchive(start: Start, archive: Archive, run: (running: Running) => Promise<void>): Promise<void> {
    const { contender, place } = start;
    const { diskFolder, folder, signal, size, tell } = this.#plan;
    const fresh = { ...place, folder: join(archive.place === 'disk' ? diskFolder : folder, `${contender.name}-archive`) };
    mkdirSync(join(fresh.folder, 'data'), { recursive: true });
    try {
      if (archive.seeded !== undefined) {
        tell(`  ${contender.name}: writing archives of ${archive.seeded} messages`);
        await contender.seed?.(fresh, archive.seeded, signal);
      }
      await this.#with({ ...start, place: fresh }, async (running) => {
        await this.#load(running, ['--scenario', 'register', '--conc', '20', '--clients', String(archive.accounts(size))]);
        if (archive.exchanged !== undefined) {
          const exchange = ['--clients', '2', '--messages', String(archive.exchanged), '--window', '50', '--timeout', '300'];
          await this.#load(running, ['--scenario', 'pairs', ...exchange]);
        }
        await run(running);
      });
    } finally {
      rmSync(fresh.folder, { recursive: true, force: true });
    }
  }

  async #measure(running: Running, scenario: Scenario, round: number): Promise<void> {
    const { keep, patience, signal, size, tell } = this.#plan;
    await waitUntilQuiet(patience, signal);
    const cache = scenario.isScram ? ['--scram-cache', this.#scramCache(running.contender)] : [];
    const figures = await this.#load(running, [...scenario.options(size), ...cache], scenario.isWebSocket);
    const { name: server } = running.contender;
    const measurement: Measurement = { scenario: scenario.name, server, variant: running.variant, round, figures };
    keep(measurement);
    tell(`  ${label(running)} ${scenario.name}: ${describe(measurement)}`);
  }

  /** Makes the accounts, their rosters where they are needed, and what the load tool has to know of SCRAM. */
  async #createAccounts(contender: Contender): Promise<void> {
    const { size, stages, tell } = this.#plan;
    const [variant] = contender.variants.full as [string];
    const scenarios = stages.flatMap((stage) => stage.scenarios);
    const count = Math.max(size.accounts, ...scenarios.map(({ accounts = 0 }) => accounts));
    tell(`${contender.name}: ${count} accounts`);
    const place = this.#places.get(contender)!;
    const { contacts } = scenarios.find((scenario) => scenario.contacts !== undefined) ?? {};
    await this.#with({ contender, place, variant, hasArchive: false }, async (running) => {
      const accounts = ['--clients', String(count), '--timeout', '300'];
      await this.#load(running, ['--scenario', 'register', '--conc', '20', ...accounts]);
      if (contacts !== undefined) {
        const clients = ['--clients', String(size.clients), '--contacts', String(contacts)];
        await this.#load(running, ['--scenario', 'roster', ...clients]);
      }
      if (scenarios.some(({ isScram }) => isScram)) {
        const cache = ['--scram-cache', this.#scramCache(contender), '--settle', '0'];
        await this.#load(running, ['--scenario', 'login', '--scram', ...cache, ...accounts]);
      }
    });
  }

  /** The accounts that send nothing. */
  async #holdClients(running: Running): Promise<Child> {
    const { folder, program, signal, size } = this.#plan;
    const accounts = ['--first', String(size.clients), '--clients', String(size.accounts - size.clients)];
    const args = ['--scenario', 'hold', '--port', String(running.place.port), '--duration', '600', ...accounts];
    const child = await Child.start({ file: program, args }, join(folder, 'idle-clients'));
    try {
      await child.waitForOutput(/^holding/m, 120_000, signal);
      return child;
    } catch (error) {
      await child.stop();
      throw error;
    }
  }

  async #load(running: Running, options: readonly string[], isWebSocket = false): Promise<Measurement['figures']> {
    const { child, contender, place } = running;
    const target = isWebSocket
      ? ['--port', String(place.webPort), '--ws', contender.webSocketPath]
      : ['--port', String(place.port)];
    const args = [...options, ...target, '--server-pid', String(child.pid)];
    return await runTool(this.#plan.program, args, join(this.#plan.folder, 'load'), this.#plan.signal);
  }

  /** Runs something while a server is up. */
  async #with({ contender, place, variant, hasArchive }: Start, run: (running: Running) => Promise<void>): Promise<void> {
    const { signal, size } = this.#plan;
    signal.throwIfAborted();
    const child = await Child.start(contender.prepare(place, variant, hasArchive), join(place.folder, 'output'));
    try {
      await child.waitForPorts([place.port, place.webPort], signal);
      await sleep(size.rest * 1000, undefined, { signal });
      await run({ contender, place, variant, child });
    } finally {
      await child.stop();
    }
  }

  /** What goes wrong with one server must not keep the others from being measured. */
  async #attempt(contender: Contender, what: string, run: () => Promise<void>): Promise<void> {
    try {
      await run();
    } catch (error) {
      this.#plan.signal.throwIfAborted();
      if (what === 'accounts') this.#broken.add(contender);
      this.#plan.tell(`  ${contender.name} ${what} FAILED: ${error instanceof Error ? error.message : String(error)}`);
    }
  }

  #scramCache(contender: Contender): string {
    return join(this.#places.get(contender)!.folder, 'scram-keys');
  }
}

function createCertificates(folder: string): string {
  const certs = join(folder, 'certs');
  const { certificate, key } = createSelfSigned('localhost', Date.now());
  mkdirSync(certs);
  for (const [name, content] of [
    ['cert.pem', certificate],
    ['key.pem', key],
    ['all.pem', certificate + key],
  ] as const)
    writeFileSync(join(certs, name), content, { mode: 0o600 });
  return certs;
}

async function createPlace(folder: string, certs: string): Promise<Place> {
  mkdirSync(join(folder, 'data'), { recursive: true });
  const [port, webPort, sparePort] = (await findPorts(3)) as [number, number, number];
  return { folder, certs, port, webPort, sparePort };
}

function label({ contender, variant }: Running): string {
  return variant === 'base' ? contender.name : `${contender.name}/${variant}`;
}

/** The figures worth a glance. */
const GLANCE = [
  ['srv_cpu_us_per_delivery', 'µs CPU'],
  ['srv_cpu_ms_per_login', 'ms CPU'],
  ['srv_cpu_ms_per_resume', 'ms CPU'],
  ['srv_cpu_ms_per_page', 'ms CPU'],
  ['srv_cpu_us_per_publication', 'µs CPU to publish'],
  ['kib_per_login', 'KiB sent'],
  ['items_per_login', 'items sent'],
  ['results_per_page', 'on a page'],
  ['srv_cpu_ms_per_join', 'ms CPU'],
  ['joins_ms', 'ms until all were in'],
  ['idle_p99_ms', 'ms p99 of chat'],
  ['beside_p99_ms', 'ms p99 of chat while they talk'],
  ['msgs_per_s', 'messages/s'],
  ['deliveries_per_s', 'deliveries/s'],
  ['logins_per_s', 'logins/s'],
  ['resumes_per_s', 'resumptions/s'],
  ['pages_per_s', 'pages/s'],
  ['archived', 'in the archive'],
  ['kib_per_conn', 'KiB/connection'],
  ['p99_ms', 'ms p99'],
  ['other_cpu_pct', '% taken by others'],
] as const;

function describe(measurement: Measurement): string {
  const figures = GLANCE.flatMap(([name, unit]) => {
    const figure = figureOf(measurement, name);
    return figure === undefined ? [] : [`${figure} ${unit}`];
  });
  const trouble = troubleOf(measurement);
  return [...figures, ...(trouble > 0 ? [`${trouble} LOST OR FAILED`] : [])].join(', ');
}
