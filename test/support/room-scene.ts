import type { Element } from 'ltx';
import mam from '../../modules/mam/index.ts';
import { changeRoles } from '../../modules/muc/affiliating.ts';
import muc, { type Affiliation, type MucApi, type Role, type Room } from '../../modules/muc/index.ts';
import type { Settings } from '../../modules/muc/settings.ts';
import presence from '../../modules/presence/index.ts';
import roster from '../../modules/roster/index.ts';
import { option } from '../../src/config/option.ts';
import { type AnyModule, defineModule } from '../../src/module/module.ts';
import { type Probe, settle } from './probe.ts';
import { type HostOptions, startHost, type TestHost } from './start-host.ts';

/** The domain of the rooms of test hosts. */
export const SERVICE = 'conference.example.org';
/** The room that tests use when one is enough. */
export const LOUNGE = `lounge@${SERVICE}`;
export const MUC = 'http://jabber.org/protocol/muc';
export const USER = `${MUC}#user`;
export const ADMIN = `${MUC}#admin`;
export const OWNER = `${MUC}#owner`;
export const CONFIG = `${MUC}#roomconfig`;
const STANZAS = 'urn:ietf:params:xml:ns:xmpp-stanzas';

/** How a scene differs from the usual one. */
export interface RoomSceneOptions extends HostOptions {
  /** The section of the module. */
  readonly muc?: Readonly<Record<string, unknown>>;
  /** Modules besides those that rooms need. */
  readonly more?: readonly AnyModule[];
}

/** What a room of a scene is like. */
export interface RoomPlan {
  /** The local part of its address. */
  readonly name?: string;
  readonly settings?: Partial<Settings>;
  /** By username, or by address. */
  readonly people?: Readonly<Record<string, Affiliation>>;
}

/** A host with rooms, and clients of it. */
export class RoomScene {
  readonly host: TestHost;
  readonly rooms: MucApi;
  readonly #probes = new Map<string, Probe>();
  readonly #modules: readonly AnyModule[];

  private constructor(host: TestHost, rooms: MucApi, modules: readonly AnyModule[]) {
    this.host = host;
    this.rooms = rooms;
    this.#modules = modules;
  }

  static async start({ muc: section = {}, more = [], ...options }: RoomSceneOptions = {}): Promise<RoomScene> {
    let api: MucApi | undefined;
    const window = defineModule({
      name: 'window',
      doc: 'Lets a test look inside.',
      needs: [muc],
      config: option.object({}),
      setup: ({ use }) => void (api = use(muc)),
    });
    const modules = [roster, presence, mam, ...more, muc, window];
    const host = await startHost(modules, { ...options, modules: { muc: { lock: false, ...section }, ...options.modules } });
    return new RoomScene(host, api!, modules);
  }

  /** Starts the modules again with another section for the rooms, as a reload of the configuration does. */
  async reload(section: Readonly<Record<string, unknown>>): Promise<void> {
    const sections = new Map<string, unknown>([['muc', { lock: false, ...section }]]);
    await this.host.modules.apply(
      this.#modules.map((module) => ({ module, config: module.config.parse(sections.get(module.name) ?? {}, module.name) })),
    );
  }

  stop(): Promise<void> {
    return this.host.stop();
  }

  /** A client that is online; the same for the same name. */
  async client(username: string, resource = 'desk'): Promise<Probe> {
    const key = `${username}/${resource}`;
    const known = this.#probes.get(key);
    if (known) return known;
    const probe = await this.host.online(username, resource);
    this.#probes.set(key, probe);
    return probe;
  }

  /** Makes a room, without anybody in it. */
  async room({ name = 'lounge', settings = {}, people = {} }: RoomPlan = {}): Promise<Room> {
    const room = await this.rooms.create({ name, owners: [this.host.jid('keeper@example.org')], settings });
    const changes = Object.entries(people).map(([who, affiliation]) => ({
      jid: this.host.jid(who.includes('.') ? who : `${who}@example.org`),
      affiliation,
    }));
    if (changes.length > 0) await this.rooms.affiliate(room, undefined, changes);
    return room;
  }

  /** Lets a client in, under its username when no nick is given; returns all it was told. Asks for no history unless `x` does. */
  async enter(probe: Probe, { room = LOUNGE, nick = probe.session.jid.local, x = '' } = {}): Promise<Element[]> {
    probe.send(join(`${room}/${nick}`, x));
    await settle();
    return probe.take();
  }

  /** Gives everybody of an account this role in a room, by right of the room. */
  assign(room: Room, username: string, role: Role): void {
    changeRoles(room, undefined, [{ occupants: room.occupants.ofAccount(`${username}@example.org`), role }]);
  }

  /** Forgets what these clients have been told so far. */
  async hush(...probes: readonly Probe[]): Promise<void> {
    await settle();
    for (const probe of probes) probe.take();
  }
}

/** Carol and Mallory in a room, who have read all that they were told, and somebody outside. */
export interface Meeting {
  readonly scene: RoomScene;
  readonly room: Room;
  readonly carol: Probe;
  readonly mallory: Probe;
  readonly outside: Probe;
}

/** Starts a scene and lets them meet. */
export async function meet(options: RoomSceneOptions = {}): Promise<Meeting> {
  const scene = await RoomScene.start(options);
  const room = await scene.room();
  const [carol, mallory, outside] = [await scene.client('carol'), await scene.client('mallory'), await scene.client('outside')];
  await scene.enter(carol);
  await scene.enter(mallory);
  await scene.hush(carol, mallory);
  return { scene, room, carol, mallory, outside };
}

/** Sends a stanza; all that its sender is told then. */
export async function answersTo(probe: Probe, stanza: string): Promise<Element[]> {
  probe.send(stanza);
  await settle();
  return probe.take();
}

/** A presence that enters a room; `x` is put into its element. */
export function join(address: string, x = ''): string {
  return `<presence to='${address}'><x xmlns='${MUC}'>${x}</x></presence>`;
}

/** A message for everybody in a room. */
export function say(body: string, { room = LOUNGE, id = body, more = '' } = {}): string {
  return `<message type='groupchat' to='${room}' id='${id}'><body>${body}</body>${more}</message>`;
}

/** An IQ that changes lists by these items. */
export function change(items: string, room = LOUNGE): string {
  return `<iq type='set' to='${room}'><query xmlns='${ADMIN}'>${items}</query></iq>`;
}

/** An IQ that asks for a list. */
export function list(attrs: string, room = LOUNGE): string {
  return `<iq type='get' to='${room}'><query xmlns='${ADMIN}'><item ${attrs}/></query></iq>`;
}

/** An IQ that submits fields of the configuration: names after `muc#roomconfig_` (or whole ones) and values. */
export function configure(
  fields: Readonly<Record<string, string | readonly string[]>>,
  { room = LOUNGE, type = CONFIG } = {},
): string {
  const written = Object.entries(fields).map(([name, given]) => {
    const values = [given].flat().map((value) => `<value>${value}</value>`);
    return `<field var='${/[#{]/.test(name) ? name : `muc#roomconfig_${name}`}'>${values.join('')}</field>`;
  });
  const form = `<field var='FORM_TYPE' type='hidden'><value>${type}</value></field>${written.join('')}`;
  return `<iq type='set' to='${room}'><query xmlns='${OWNER}'><x xmlns='jabber:x:data' type='submit'>${form}</x></query></iq>`;
}

/** The condition and the type of an error, as `forbidden/auth`; undefined for anything else. */
export function errorIn(stanza: Element | undefined): string | undefined {
  const error = stanza?.attrs['type'] === 'error' ? stanza.getChild('error') : undefined;
  const condition = error?.getChildElements().find((child) => child.getNS() === STANZAS && child.name !== 'text');
  return condition && `${condition.name}/${error?.attrs['type']}`;
}

/** What the room says of an occupant in a presence. */
export function itemIn(presence: Element | undefined): Record<string, string | undefined> {
  return (presence?.getChild('x', USER)?.getChild('item')?.attrs ?? {}) as Record<string, string | undefined>;
}

/** What somebody is told about itself. */
export function ownIn(stanzas: readonly Element[]): Element | undefined {
  return stanzas.find((stanza) => codesIn(stanza).includes('110'));
}

/** Status codes, ascending. */
export function codesIn(stanza: Element | undefined): string[] {
  const x = stanza?.getChild('x', USER);
  return (x?.getChildren('status') ?? []).map(({ attrs }) => String(attrs['code'])).sort();
}

/** The texts of messages for everybody, in order. */
export function bodies(stanzas: readonly Element[]): string[] {
  return stanzas
    .filter(({ name, attrs }) => name === 'message' && attrs['type'] === 'groupchat')
    .flatMap((message) => message.getChildText('body') ?? []);
}
