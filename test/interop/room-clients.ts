// Client libraries in rooms, all with one face: what they do there, and what they have noticed. This file has the face, @xmpp/client
// and slixmpp; the others have files of their own.
import { randomUUID } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { type Client, client, xml } from '@xmpp/client';
import type { Element } from 'ltx';
import { type Login, ProgramPeer, Sightings } from './peer.ts';

const NS_MUC = 'http://jabber.org/protocol/muc';
const NS_USER = `${NS_MUC}#user`;

/**
 * A library's client. What it notices stands in lines; rooms are named by the local parts of their addresses:
 * - `<room> said <nick> <text>`, and with it `<room> at <id in the archive> <nick> <text>` and `<room> id <nick> <occupant id>`
 * - `<room> subject <nick> <text>`
 * - `<room> here <nick>`; `<room> gone <nick> <codes>`; `<room> renamed <nick> <new nick>`
 * - `<room> invited <occupant's address> <reason>`, `<room> invited-directly <bare JID> <reason>`
 */
export interface RoomClient {
  start(login: Login): Promise<void>;
  /** Enters a room, asking for so many messages of history; resolves when the room has told everything. Rejects when it may not. */
  join(room: string, nick: string, history?: number): Promise<void>;
  say(room: string, text: string): Promise<void>;
  setSubject(room: string, text: string): Promise<void>;
  changeNick(room: string, nick: string): Promise<void>;
  /** Pings an address, such as its own in a room (XEP-0410). Rejects with the condition of the error. */
  ping(address: string): Promise<void>;
  /** Resolves when it has noticed this. */
  notices(...what: readonly string[]): Promise<void>;
  /** All that it has noticed of this kind, in order. */
  noticed(...kind: readonly string[]): readonly string[];
  stop(): Promise<void>;
}

/** One that manages rooms as well. */
export interface RoomKeeper extends RoomClient {
  /** Fetches the form of a room, and submits it with another value for one field; resolves to the value that there was. */
  configure(room: string, field: string, value: string): Promise<string>;
  grant(room: string, jid: string, affiliation: 'owner' | 'member' | 'none'): Promise<void>;
  invite(room: string, jid: string, reason: string): Promise<void>;
  inviteDirectly(room: string, jid: string, reason: string): Promise<void>;
  kick(room: string, nick: string, reason: string): Promise<void>;
  ban(room: string, jid: string, reason: string): Promise<void>;
}

/** One that reads archives. */
export interface RoomReader extends RoomKeeper {
  /** The archive of a room behind this id, page by page: `<id> <nick> <text>` for each message with a text. */
  readArchive(room: string, max: number, after?: string): Promise<readonly (readonly string[])[]>;
}

/** The local part of an address, which names a room. */
export function nameOf(jid: string): string {
  return jid.split('@')[0]!;
}

function nickOf(jid: string): string {
  return jid.slice(jid.indexOf('/') + 1);
}

/** Notes what a stanza of a room says. */
export function noteStanza(seen: Sightings, stanza: Element): void {
  const from = String(stanza.attrs['from'] ?? '');
  if (stanza.is('message')) noteMessage(seen, stanza, from);
  const user = stanza.getChild('x', NS_USER);
  if (!stanza.is('presence') || !user) return;
  const codes = user.getChildren('status').map(({ attrs }) => String(attrs['code']));
  const renamed = codes.includes('303') ? String(user.getChild('item')?.attrs['nick']) : undefined;
  notePresence(seen, from, { isGone: stanza.attrs['type'] === 'unavailable', codes, renamed });
}

function noteMessage(seen: Sightings, message: Element, from: string): void {
  const room = nameOf(from);
  const body = message.getChildText('body');
  const subject = message.getChildText('subject');
  const id = String(message.getChild('stanza-id', 'urn:xmpp:sid:0')?.attrs['id']);
  const occupant = String(message.getChild('occupant-id', 'urn:xmpp:occupant-id:0')?.attrs['id']);
  const invite = message.getChild('x', NS_USER)?.getChild('invite');
  const direct = message.getChild('x', 'jabber:x:conference');
  if (message.attrs['type'] === 'groupchat') {
    if (body) noteWords(seen, from, { id, occupant, body });
    else if (subject !== null) noteSubject(seen, from, subject);
  } else if (invite) {
    seen.note(room, 'invited', String(invite.attrs['from']), invite.getChildText('reason') ?? '');
  } else if (direct) {
    seen.note(nameOf(String(direct.attrs['jid'])), 'invited-directly', bareOf(from), String(direct.attrs['reason'] ?? ''));
  }
}

/** Whether this is the last thing that a room says to whoever enters: what it talks about, or why not. */
export function endsEntry(stanza: Element): boolean {
  if (stanza.is('presence')) return stanza.attrs['type'] === 'error';
  return stanza.is('message') && stanza.getChild('subject') !== undefined && stanza.getChild('body') === undefined;
}

function bareOf(jid: string): string {
  return jid.split('/')[0]!;
}

/** Notes what somebody has said. */
export function noteWords(
  seen: Sightings,
  from: string,
  { id, occupant, body }: { readonly id: string; readonly occupant: string; readonly body: string },
): void {
  seen.note(nameOf(from), 'id', nickOf(from), occupant);
  seen.note(nameOf(from), 'at', id, nickOf(from), body);
  seen.note(nameOf(from), 'said', nickOf(from), body);
}

/** Notes what a room talks about. */
export function noteSubject(seen: Sightings, from: string, text: string): void {
  seen.note(nameOf(from), 'subject', from.includes('/') ? nickOf(from) : '', text);
}

/** What a presence of a room says. */
export interface Comings {
  readonly isGone: boolean;
  readonly codes: readonly string[];
  readonly renamed: string | undefined;
}

/** Notes that somebody has come or gone. */
export function notePresence(seen: Sightings, from: string, { isGone, codes, renamed }: Comings): void {
  if (renamed !== undefined) seen.note(nameOf(from), 'renamed', nickOf(from), renamed);
  else if (isGone) seen.note(nameOf(from), 'gone', nickOf(from), codes.toSorted().join(','));
  else seen.note(nameOf(from), 'here', nickOf(from));
}

/** @xmpp/client, which knows nothing of rooms: whoever uses it writes the stanzas. */
export class XmppRoomClient implements RoomClient {
  readonly #seen = new Sightings();
  #client: Client | undefined = undefined;

  async start({ username, password, domain, c2s }: Login): Promise<void> {
    const made = client({ service: `xmpp://127.0.0.1:${c2s}`, domain, username, password, resource: 'xmpp.js' });
    this.#client = made;
    made.on('error', (error: Error) => this.#seen.note('error:', error.message));
    made.on('stanza', (stanza) => noteStanza(this.#seen, stanza));
    await made.start();
    await made.send(xml('presence'));
  }

  async join(room: string, nick: string, history = 100): Promise<void> {
    const wish = xml('x', { xmlns: NS_MUC }, xml('history', { maxstanzas: String(history) }));
    const answer = this.#next((stanza) => bareOf(String(stanza.attrs['from'])) === room && endsEntry(stanza));
    await this.#client!.send(xml('presence', { to: `${room}/${nick}` }, wish));
    const error = (await answer).getChild('error');
    if (error) throw new Error(error.getChildElements()[0]?.name);
  }

  #next(matches: (stanza: Element) => boolean): Promise<Element> {
    return new Promise((resolve) => {
      const look = (stanza: Element): void => {
        if (!matches(stanza)) return;
        this.#client!.off('stanza', look);
        resolve(stanza);
      };
      this.#client!.on('stanza', look);
    });
  }

  async say(room: string, text: string): Promise<void> {
    await this.#client!.send(xml('message', { to: room, type: 'groupchat', id: randomUUID() }, xml('body', {}, text)));
  }

  async setSubject(room: string, text: string): Promise<void> {
    await this.#client!.send(xml('message', { to: room, type: 'groupchat' }, xml('subject', {}, text)));
  }

  async changeNick(room: string, nick: string): Promise<void> {
    await this.#client!.send(xml('presence', { to: `${room}/${nick}` }));
  }

  async ping(address: string): Promise<void> {
    const ping = xml('iq', { type: 'get', to: address }, xml('ping', { xmlns: 'urn:xmpp:ping' }));
    await this.#client!.iqCaller.request(ping).catch((error: { readonly condition: string }) => {
      throw new Error(error.condition);
    });
  }

  notices(...what: readonly string[]): Promise<void> {
    return this.#seen.wait(...what);
  }

  noticed(...kind: readonly string[]): readonly string[] {
    return this.#seen.all(...kind);
  }

  async stop(): Promise<void> {
    this.#client?.reconnect.stop();
    await this.#client?.stop();
  }
}

const slixmpp = fileURLToPath(new URL('../../../test/interop/slixmpp_rooms.py', import.meta.url));

/** slixmpp, in a program of its own: it answers each line with `done <number>` or `failed <number> <condition>`. */
export class SlixmppRoomClient implements RoomReader {
  readonly #peer = new ProgramPeer(({ username, domain, password, c2s }) => [
    ...['/usr/bin/python3', '-B', slixmpp, `${username}@${domain}/slix`, password, String(c2s)],
  ]);
  #asked = 0;

  start(login: Login): Promise<void> {
    return this.#peer.start(login);
  }

  async join(room: string, nick: string, history = 100): Promise<void> {
    await this.#ask('join', room, nick, String(history));
  }

  async say(room: string, text: string): Promise<void> {
    await this.#ask('say', room, text);
  }

  async setSubject(room: string, text: string): Promise<void> {
    await this.#ask('subject', room, text);
  }

  async changeNick(room: string, nick: string): Promise<void> {
    await this.#ask('nick', room, nick);
  }

  async ping(address: string): Promise<void> {
    await this.#ask('ping', address);
  }

  async configure(room: string, field: string, value: string): Promise<string> {
    const number = await this.#ask('configure', room, field, value);
    return this.#peer.said('was', String(number))[0] ?? '';
  }

  async grant(room: string, jid: string, affiliation: string): Promise<void> {
    await this.#ask('grant', room, jid, affiliation);
  }

  async invite(room: string, jid: string, reason: string): Promise<void> {
    await this.#ask('invite', room, jid, reason);
  }

  async inviteDirectly(room: string, jid: string, reason: string): Promise<void> {
    await this.#ask('invite-directly', room, jid, reason);
  }

  async kick(room: string, nick: string, reason: string): Promise<void> {
    await this.#ask('kick', room, nick, reason);
  }

  async ban(room: string, jid: string, reason: string): Promise<void> {
    await this.#ask('ban', room, jid, reason);
  }

  async readArchive(room: string, max: number, after = ''): Promise<readonly (readonly string[])[]> {
    const number = await this.#ask('archive', room, String(max), after);
    const pages: string[][] = [];
    for (const line of this.#peer.said('archived', String(number))) {
      if (line === 'page') pages.push([]);
      else pages.at(-1)!.push(line.slice('item '.length));
    }
    return pages;
  }

  notices(...what: readonly string[]): Promise<void> {
    return this.#peer.says(...what);
  }

  noticed(...kind: readonly string[]): readonly string[] {
    return this.#peer.said(...kind);
  }

  stop(): Promise<void> {
    return this.#peer.stop();
  }

  async #ask(...words: readonly string[]): Promise<number> {
    const number = ++this.#asked;
    await this.#peer.tell(String(number), ...words);
    await this.#peer.says('answered', String(number));
    const [condition] = this.#peer.said('failed', String(number));
    if (condition !== undefined) throw new Error(condition);
    return number;
  }
}
