// strophe.js in rooms, over WebSocket, with its plugin for them, which Debian ships with JSXC.
import { readFile } from 'node:fs/promises';
import { compileFunction } from 'node:vm';
import { type Element, parse } from 'ltx';
import { $build, $iq, $msg, $pres, Strophe } from 'strophe.js';
import { type Login, Sightings } from './peer.ts';
import { endsEntry, nameOf, noteStanza, type RoomKeeper } from './room-clients.ts';

const PLUGIN = '/usr/share/javascript/jsxc/lib/strophe.muc.js';

// It writes to the console what becomes of its connection.
Strophe.setLogLevel(Strophe.LogLevel.FATAL);

/** An element of the DOM that strophe.js works with. */
type DomElement = Parameters<typeof Strophe.serialize>[0];
type Handler = (element: NonNullable<DomElement>) => void;

/** As much of the plugin as there is here. */
interface MucPlugin {
  join(room: string, nick: string, onMessage: Handler, onPresence: Handler, ...more: readonly unknown[]): void;
  groupchat(room: string, text: string): void;
  setTopic(room: string, text: string): void;
  changeNick(room: string, nick: string): void;
  configure(room: string, done: Handler, failed: Handler): void;
  saveConfiguration(room: string, fields: readonly unknown[], done: Handler, failed: Handler): void;
  modifyAffiliation(room: string, jid: string, affiliation: string, reason: null, done: Handler, failed: Handler): void;
  invite(room: string, jid: string, reason: string): void;
  directInvite(room: string, jid: string, reason: string): void;
  kick(room: string, nick: string, reason: string, done: Handler, failed: Handler): void;
  ban(room: string, jid: string, reason: string, done: Handler, failed: Handler): void;
}

/** strophe.js and strophe.muc.js. */
export class StropheRoomClient implements RoomKeeper {
  readonly #seen = new Sightings();
  #connection: InstanceType<typeof Strophe.Connection> | undefined = undefined;
  /** Who waits for the end of what a room tells to whoever enters. */
  readonly #entering = new Map<string, (stanza: Element) => void>();

  async start({ username, password, domain, http }: Login): Promise<void> {
    // It is made for pages, whose global object has all of the library.
    const load = compileFunction(await readFile(PLUGIN, 'utf8'));
    load.call({ window: { Strophe, $build, $iq, $msg, $pres } });
    const connection = new Strophe.Connection(`ws://127.0.0.1:${http}/xmpp-websocket`);
    this.#connection = connection;
    // Invitations come from rooms that one is not in.
    connection.addHandler((stanza: DomElement) => this.#takeInvitation(read(stanza)), null as never, 'message');
    await new Promise<void>((resolve, reject) => {
      connection.connect(`${username}@${domain}/strophe`, password, (status: number, reason?: unknown) => {
        if (status === Strophe.Status.CONNECTED) resolve();
        else if (status === Strophe.Status.CONNFAIL || status === Strophe.Status.AUTHFAIL) reject(new Error(String(reason)));
      });
    });
    connection.send($pres());
  }

  #takeInvitation(stanza: Element): boolean {
    if (stanza.attrs['type'] !== 'groupchat') noteStanza(this.#seen, stanza);
    return true;
  }

  #take(stanza: Element): boolean {
    noteStanza(this.#seen, stanza);
    if (endsEntry(stanza)) this.#entering.get(nameOf(String(stanza.attrs['from'])))?.(stanza);
    return true;
  }

  async join(room: string, nick: string, history = 100): Promise<void> {
    const answer = new Promise<Element>((resolve) => this.#entering.set(nameOf(room), resolve));
    const take: Handler = (element) => this.#take(read(element));
    this.#muc.join(room, nick, take, take, null, null, { maxstanzas: history });
    const error = (await answer).getChild('error');
    if (error) throw new Error(error.getChildElements()[0]?.name);
  }

  async say(room: string, text: string): Promise<void> {
    this.#muc.groupchat(room, text);
  }

  async setSubject(room: string, text: string): Promise<void> {
    this.#muc.setTopic(room, text);
  }

  async changeNick(room: string, nick: string): Promise<void> {
    this.#muc.changeNick(room, nick);
  }

  async ping(address: string): Promise<void> {
    const ping = $iq({ to: address, type: 'get' }).c('ping', { xmlns: 'urn:xmpp:ping' });
    await ask((done, failed) => this.#connection!.sendIQ(ping.tree(), done as never, failed as never));
  }

  async configure(room: string, field: string, value: string): Promise<string> {
    const form = await ask((done, failed) => this.#muc.configure(room, done, failed));
    const fields = form.getChild('query')?.getChild('x')?.getChildren('field') ?? [];
    const before = fields.find(({ attrs }) => attrs['var'] === field)?.getChildText('value');
    const type = 'http://jabber.org/protocol/muc#roomconfig';
    const made = [
      $build('field', { var: 'FORM_TYPE' }).c('value').t(type).tree(),
      $build('field', { var: field }).c('value').t(value).tree(),
    ];
    await ask((done, failed) => this.#muc.saveConfiguration(room, made, done, failed));
    return String(before);
  }

  async grant(room: string, jid: string, affiliation: string): Promise<void> {
    await ask((done, failed) => this.#muc.modifyAffiliation(room, jid, affiliation, null, done, failed));
  }

  async invite(room: string, jid: string, reason: string): Promise<void> {
    this.#muc.invite(room, jid, reason);
  }

  async inviteDirectly(room: string, jid: string, reason: string): Promise<void> {
    this.#muc.directInvite(room, jid, reason);
  }

  async kick(room: string, nick: string, reason: string): Promise<void> {
    await ask((done, failed) => this.#muc.kick(room, nick, reason, done, failed));
  }

  async ban(room: string, jid: string, reason: string): Promise<void> {
    await ask((done, failed) => this.#muc.ban(room, jid, reason, done, failed));
  }

  notices(...what: readonly string[]): Promise<void> {
    return this.#seen.wait(...what);
  }

  noticed(...kind: readonly string[]): readonly string[] {
    return this.#seen.all(...kind);
  }

  async stop(): Promise<void> {
    this.#connection?.disconnect('bye');
    await new Promise((resolve) => setImmediate(resolve));
    this.#connection?.reset();
  }

  get #muc(): MucPlugin {
    return (this.#connection as unknown as { readonly muc: MucPlugin }).muc;
  }
}

function read(element: DomElement): Element {
  return parse(Strophe.serialize(element)!);
}

/** Rejects with the condition of an error. */
async function ask(send: (done: Handler, failed: Handler) => unknown): Promise<Element> {
  return await new Promise((resolve, reject) => {
    const failed: Handler = (element) => reject(new Error(read(element).getChild('error')?.getChildElements()[0]?.name));
    send((element) => resolve(read(element)), failed);
  });
}
