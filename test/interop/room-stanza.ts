// stanza.js in rooms, over WebSocket, by its own functions for them.
import { type AgentEvents, createClient } from 'stanza';
import { bare, type Login, Sightings } from './peer.ts';
import { nameOf, notePresence, noteSubject, noteWords, type RoomReader } from './room-clients.ts';

type Agent = ReturnType<typeof createClient>;

/** stanza.js. */
export class StanzaRoomClient implements RoomReader {
  readonly #seen = new Sightings();
  #agent: Agent | undefined = undefined;

  async start({ username, password, domain, http }: Login): Promise<void> {
    const agent = createClient({
      jid: `${username}@${domain}/stanza`,
      password,
      transports: { websocket: `ws://127.0.0.1:${http}/xmpp-websocket`, bosh: false },
    });
    this.#agent = agent;
    const ready = new Promise<void>((resolve) => void agent.on('session:started', () => resolve()));
    this.#listen(agent);
    agent.connect();
    await ready;
    agent.sendPresence();
  }

  #listen(agent: Agent): void {
    const seen = this.#seen;
    agent.on('groupchat', ({ from, body, stanzaIds, occupantId }) => {
      if (body) noteWords(seen, from, { id: String(stanzaIds?.[0]?.id), occupant: String(occupantId), body });
    });
    agent.on('muc:topic', ({ from, topic }) => noteSubject(seen, from, topic ?? ''));
    agent.on('muc:available', (presence) => this.#see(presence, false));
    agent.on('muc:unavailable', (presence) => this.#see(presence, true));
    agent.on('muc:invite', ({ type, room, from, reason }) => {
      if (type === 'direct') seen.note(nameOf(room), 'invited-directly', bare(from), reason ?? '');
      else seen.note(nameOf(room), 'invited', from, reason ?? '');
    });
  }

  #see({ from, muc }: AgentEvents['muc:available'], isGone: boolean): void {
    const codes = (muc.statusCodes ?? []).map(String);
    notePresence(this.#seen, from, { isGone, codes, renamed: codes.includes('303') ? muc.nick : undefined });
  }

  async join(room: string, nick: string, history = 100): Promise<void> {
    const subject = new Promise<void>((resolve) => void this.#agent!.once('muc:topic', () => resolve()));
    await reporting(this.#agent!.joinRoom(room, nick, { muc: { type: 'join', history: { maxStanzas: history } } }));
    await subject;
  }

  async say(room: string, text: string): Promise<void> {
    this.#agent!.sendMessage({ to: room, body: text, type: 'groupchat' });
  }

  async setSubject(room: string, text: string): Promise<void> {
    this.#agent!.setSubject(room, text);
  }

  async changeNick(room: string, nick: string): Promise<void> {
    this.#agent!.sendPresence({ to: `${room}/${nick}` });
  }

  async ping(address: string): Promise<void> {
    await reporting(this.#agent!.ping(address));
  }

  async configure(room: string, field: string, value: string): Promise<string> {
    const form = await reporting(this.#agent!.getRoomConfig(room));
    const fields = form.fields ?? [];
    const before = fields.find(({ name }) => name === field)?.value;
    const changed = fields.map((each) => (each.name === field ? { ...each, value } : each)) as typeof fields;
    await reporting(this.#agent!.configureRoom(room, { ...form, fields: changed }));
    return String(before);
  }

  async grant(room: string, jid: string, affiliation: 'owner' | 'member' | 'none'): Promise<void> {
    await reporting(this.#agent!.setRoomAffiliation(room, jid, affiliation));
  }

  async invite(room: string, jid: string, reason: string): Promise<void> {
    this.#agent!.invite(room, { to: jid, reason });
  }

  async inviteDirectly(room: string, jid: string, reason: string): Promise<void> {
    this.#agent!.directInvite(room, jid, { reason });
  }

  async kick(room: string, nick: string, reason: string): Promise<void> {
    await reporting(this.#agent!.kick(room, nick, reason));
  }

  async ban(room: string, jid: string, reason: string): Promise<void> {
    await reporting(this.#agent!.ban(room, jid, reason));
  }

  async readArchive(room: string, max: number, after?: string): Promise<readonly (readonly string[])[]> {
    const pages: (readonly string[])[] = [];
    let last = after;
    for (;;) {
      const paging = last === undefined ? { max } : { max, after: last };
      const page = await reporting(this.#agent!.searchHistory(room, { paging }));
      const items = (page.results ?? []).flatMap(({ id, item: { message } }) =>
        message?.body ? `${id} ${message.from?.split('/')[1]} ${message.body}` : [],
      );
      pages.push(items);
      if (page.complete) return pages;
      last = page.paging?.last;
    }
  }

  notices(...what: readonly string[]): Promise<void> {
    return this.#seen.wait(...what);
  }

  noticed(...kind: readonly string[]): readonly string[] {
    return this.#seen.all(...kind);
  }

  async stop(): Promise<void> {
    this.#agent?.disconnect();
  }
}

/** It rejects with the stanza that was the error. */
async function reporting<T>(answer: Promise<T>): Promise<T> {
  return await answer.catch(({ error }: { readonly error?: { readonly condition: string } }) => {
    throw new Error(error?.condition);
  });
}
