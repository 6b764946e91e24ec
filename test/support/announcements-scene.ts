import assert from 'node:assert/strict';
import type { Element } from 'ltx';
import announce from '../../modules/announce/index.ts';
import commands from '../../modules/commands/index.ts';
import mam, { type MamApi } from '../../modules/mam/index.ts';
import muc, { type MucApi, type Room } from '../../modules/muc/index.ts';
import type { Clock } from '../../modules/muc-announcements/alarm.ts';
import { type AnnouncementsApi, onClock } from '../../modules/muc-announcements/index.ts';
import presence from '../../modules/presence/index.ts';
import roster from '../../modules/roster/index.ts';
import { option } from '../../src/config/option.ts';
import { defineModule } from '../../src/module/module.ts';
import { type Storage, StorageError, type StoreSpecs, type Stores } from '../../src/storage/storage.ts';
import { conditionOf, payloadOf } from './answers.ts';
import { type Probe, settle } from './probe.ts';
import { type HostOptions, startHost, type TestHost } from './start-host.ts';

export const ROOM = 'lounge@conference.example.org';
export const NS_COMMANDS = 'http://jabber.org/protocol/commands';
const NS_DATA = 'jabber:x:data';

/** A clock that goes when the test wants. */
export class FakeClock implements Clock {
  time: number;
  readonly #calls = new Set<{ readonly at: number; readonly call: () => void }>();

  constructor(time: number = Date.now()) {
    this.time = time;
  }

  now(): number {
    return this.time;
  }

  wake(milliseconds: number, call: () => void): () => void {
    const entry = { at: this.time + milliseconds, call };
    this.#calls.add(entry);
    return () => this.#calls.delete(entry);
  }

  /** How many wait to be woken, and the longest wait. */
  get waiting(): readonly number[] {
    return [...this.#calls].map(({ at }) => at - this.time).sort((a, b) => a - b);
  }

  /** Lets so many milliseconds pass, and all that is due then be done. */
  async pass(milliseconds: number): Promise<void> {
    const end = this.time + milliseconds;
    for (;;) {
      await settle();
      const next = [...this.#calls].filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)[0];
      if (!next) break;
      this.#calls.delete(next);
      this.time = Math.max(this.time, next.at);
      next.call();
    }
    this.time = end;
    await settle();
  }
}

/** A storage that dies with the process: from some write on nothing is written or read any more, and nobody is told. */
export class MortalStorage {
  readonly storage: Storage;
  writes = 0;
  isDead = false;
  /** The write with which it dies; undefined: it lives. */
  #failing = 0;
  #last: { readonly at: number; readonly isWritten: boolean } | undefined = undefined;

  constructor(storage: Storage) {
    const open = async <S extends StoreSpecs>(domain: string, module: string, specs: S): Promise<Stores<S>> => {
      const stores = await storage.open(domain, module, specs);
      const wrapped = Object.entries<object>(stores as Record<string, object>).map(([name, store]) => [name, this.#wrap(store)]);
      return Object.fromEntries(wrapped) as Stores<S>;
    };
    this.storage = new Proxy(storage, {
      get: (target, name) => {
        if (name === 'open') return open;
        const value: unknown = Reflect.get(target, name, target);
        return typeof value === 'function' ? value.bind(target) : value;
      },
    });
  }

  /** Dies at the nth write from now on (the first is 1): just before it is written, or just after, before anybody knows. */
  dieAt(nth: number, isWritten: boolean): void {
    this.#last = { at: this.writes + nth, isWritten };
  }

  /** The nth write from now on fails, and all is well again behind it. */
  failAt(nth: number): void {
    this.#failing = this.writes + nth;
  }

  #wrap(store: object): object {
    return new Proxy(store, {
      get: (target, name) => {
        const method: unknown = Reflect.get(target, name, target);
        if (typeof method !== 'function') return method;
        return (...args: unknown[]) => this.#call(() => method.apply(target, args), WRITES.has(String(name)));
      },
    });
  }

  #call(act: () => Promise<unknown>, isWrite: boolean): Promise<unknown> {
    const never = new Promise(() => {});
    if (this.isDead) return never;
    if (!isWrite) return act().then((value) => (this.isDead ? never : value));
    this.writes++;
    if (this.writes === this.#failing) return Promise.reject(new StorageError('full', 'the disk is full'));
    if (this.writes !== this.#last?.at) return act().then((value) => (this.isDead ? never : value));
    this.isDead = true;
    return this.#last.isWritten ? act().then(() => never) : never;
  }
}

const WRITES = new Set(['update', 'insert', 'clear', 'append', 'remove', 'replace']);

/** A storage that a host which stops leaves open for the next one. */
export function lasting(storage: Storage): Storage {
  return new Proxy(storage, {
    get(target, name) {
      if (name === 'close') return async () => {};
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}

/** A host with announcements, on a clock of the test. */
export class Scene {
  readonly host: TestHost;
  readonly clock: FakeClock;
  readonly api: AnnouncementsApi;
  readonly rooms: MucApi;
  readonly mam: MamApi;

  constructor(parts: Pick<Scene, 'host' | 'clock' | 'api' | 'rooms' | 'mam'>) {
    this.host = parts.host;
    this.clock = parts.clock;
    this.api = parts.api;
    this.rooms = parts.rooms;
    this.mam = parts.mam;
  }

  /** A room that there is. */
  async room(address: string = ROOM): Promise<Room> {
    const room = await this.rooms.find(this.host.jid(address));
    assert(room, `there is no room ${address}`);
    return room;
  }

  /** Makes a room, which romeo owns. */
  create(name = 'lounge', settings: Parameters<MucApi['create']>[0]['settings'] = {}): Promise<Room> {
    return this.rooms.create({ name, owners: [this.host.jid('romeo@example.org')], settings });
  }

  /** Comes into a room; what comes back for it is thrown away. */
  async enter(username: string, nick: string, inner = ''): Promise<Probe> {
    const probe = await this.host.online(username, 'client');
    probe.send(`<presence to='${ROOM}/${nick}'><x xmlns='http://jabber.org/protocol/muc'>${inner}</x></presence>`);
    await settle();
    return probe;
  }

  /** What a room keeps: the ids and texts of its messages. */
  async kept(address: string = ROOM): Promise<readonly (readonly [id: string, text: string])[]> {
    const { items } = await this.rooms.messages.query(address, {});
    return items.map(({ id, stanza }) => [id, /<body>(.*)<\/body>/s.exec(stanza)?.[1] ?? '']);
  }

  /** The texts of a room's messages. */
  async texts(address: string = ROOM): Promise<readonly string[]> {
    return (await this.kept(address)).map(([, text]) => text);
  }

  /** The texts of what an account has been sent. */
  async mail(username: string): Promise<readonly string[]> {
    const { items } = await this.mam.messages.query(username, {});
    return items.map(({ stanza }) => /<body>(.*)<\/body>/s.exec(stanza)?.[1] ?? '');
  }

  stop(): Promise<void> {
    return this.host.stop();
  }
}

/** How a scene differs from the usual one. */
export interface SceneOptions extends HostOptions {
  readonly clock?: FakeClock;
  /** Accounts that there are before the modules start: they are not in the storage. */
  readonly people?: readonly string[];
}

/** Starts one. Give it a clock and a storage to go on where another one was. */
export async function startScene(options: SceneOptions = {}): Promise<Scene> {
  const clock = options.clock ?? new FakeClock();
  const module = onClock(clock);
  let found: { api: AnnouncementsApi; rooms: MucApi; mam: MamApi } | undefined;
  const spy = defineModule({
    name: 'spy',
    doc: 'Gives the test what other modules get.',
    needs: [module, muc, mam],
    config: option.object({}),
    setup: ({ use }) => void (found = { api: use(module), rooms: use(muc), mam: use(mam) }),
  });
  const people = defineModule({
    name: 'people',
    doc: 'Makes accounts.',
    config: option.object({}),
    async setup({ accounts }) {
      for (const name of options.people ?? []) await accounts.create(name, 'secret');
    },
  });
  const settings = { admins: ['admin@example.org'], ...options.settings };
  const modules = { muc: { lock: false }, ...options.modules };
  const host = await startHost([people, roster, presence, mam, commands, announce, muc, module, spy], {
    ...options,
    settings,
    modules,
  });
  assert(found);
  return new Scene({ host, clock, ...found });
}

/** Runs a command to its end with these answers for each page; returns the last reply. */
export async function run(probe: Probe, to: string, node: string, ...pages: readonly Answers[]): Promise<Element> {
  const ask = (attrs: string, inner = '') =>
    probe.ask(`<iq type='set' to='${to}'><command xmlns='${NS_COMMANDS}' node='${node}' ${attrs}>${inner}</command></iq>`);
  let reply = await ask('');
  for (const answers of pages) {
    if (reply.attrs['type'] === 'error') return reply;
    const fields = Object.entries(answers).map(([name, value]) => {
      const values = [value].flat().map((each) => `<value>${each}</value>`);
      return `<field var='${name}'>${values.join('')}</field>`;
    });
    const { sessionid } = payloadOf(reply).attrs;
    reply = await ask(`sessionid='${sessionid}'`, `<x xmlns='${NS_DATA}' type='submit'>${fields.join('')}</x>`);
  }
  return reply;
}

/** What is filled into one page. */
export type Answers = Readonly<Record<string, string | readonly string[]>>;

/** What a command has ended with: its note, or the values of its form; or the error. */
export function outcome(reply: Element): string | readonly string[] {
  if (reply.attrs['type'] === 'error') return conditionOf(reply) ?? '';
  const command = payloadOf(reply);
  const fields = command.getChild('x', NS_DATA)?.getChildren('field') ?? [];
  const shown = fields.filter(({ attrs }) => attrs['var'] !== 'FORM_TYPE');
  const note = command.getChildText('note');
  return (
    note ??
    shown.map((field) =>
      field
        .getChildren('value')
        .map((value) => value.getText())
        .join('\n'),
    )
  );
}
