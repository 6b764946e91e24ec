import assert from 'node:assert/strict';
import type { Element } from 'ltx';
import blocking from '../../modules/blocking/index.ts';
import caps from '../../modules/caps/index.ts';
import disco from '../../modules/disco/index.ts';
import pep from '../../modules/pep/index.ts';
import presence from '../../modules/presence/index.ts';
import pubsub from '../../modules/pubsub/index.ts';
import roster from '../../modules/roster/index.ts';
import { answer, type Kind as ClientKind, info, kindOf, legacy, question } from './caps-scene.ts';
import { Elsewhere } from './elsewhere.ts';
import { type Probe, settle } from './probe.ts';
import { ACCESS, type Kind, type Outcome, PEOPLE, type Person, PUBLISH, type Whereabouts } from './pubsub-rules.ts';
import { form } from './pubsub-scene.ts';
import { startHost, type TestHost } from './start-host.ts';

export const NS = 'http://jabber.org/protocol/pubsub';
export const GROUP = 'Court';
const OWNER = 'owner@example.org';
const ELSEWHERE = 'elsewhere.example';

/** The node of a kind. */
export const nodeOf = ({ access, model }: Kind): string => `${access}-${model}`;

/** Every kind of node there is at a place. */
export const kindsAt = (at: Whereabouts): readonly Kind[] =>
  ACCESS.flatMap((access) => PUBLISH.map((model) => ({ at, access, model })));

/** What was answered. */
export function outcomeOf(iq: Element): Outcome {
  if (iq.attrs['type'] === 'result') return 'ok';
  const error = iq.getChild('error')!;
  const children = error.getChildElements();
  const own = children.find((child) => child.getNS() === `${NS}#errors`);
  return [error.attrs['type'], children[0]!.name, own?.name].filter((name) => name !== undefined).join(' ');
}

/** A client of somebody, here or elsewhere. */
export interface Client {
  readonly jid: string;
  readonly bare: string;
  ask(iq: string): Promise<Element>;
  send(stanza: string): Promise<void>;
  /** What has come since the last time, but for answers. */
  take(): readonly Element[];
}

class ClientHere implements Client {
  readonly probe: Probe;

  constructor(probe: Probe) {
    this.probe = probe;
  }

  get jid(): string {
    return this.probe.jid;
  }

  get bare(): string {
    return this.probe.session.jid.bare;
  }

  ask(iq: string): Promise<Element> {
    return this.probe.ask(iq);
  }

  async send(stanza: string): Promise<void> {
    this.probe.send(stanza);
    await settle();
  }

  take(): readonly Element[] {
    return this.probe.take();
  }
}

/** All clients of another server, of which each has what is addressed to it. */
class Abroad {
  readonly #elsewhere: Elsewhere;
  #arrived: readonly Element[] = [];
  #ids = 0;

  constructor(host: TestHost) {
    this.#elsewhere = new Elsewhere(host, ELSEWHERE);
  }

  client(name: string): Client {
    const bare = `${name}@${ELSEWHERE}`;
    const jid = `${bare}/x`;
    const send = async (stanza: string): Promise<void> => {
      await this.#elsewhere.send(stanza.replace(/^<\w+/, `$& from='${jid}'`));
      this.#arrived = [...this.#arrived, ...(await this.#elsewhere.take())];
    };
    const take = (isWanted: (stanza: Element) => boolean): readonly Element[] => {
      const isMine = (stanza: Element) => [jid, bare].includes(String(stanza.attrs['to'])) && isWanted(stanza);
      const mine = this.#arrived.filter(isMine);
      this.#arrived = this.#arrived.filter((stanza) => !isMine(stanza));
      return mine;
    };
    return {
      jid,
      bare,
      send,
      take: () => take(() => true),
      ask: async (iq) => {
        const id = `far-${++this.#ids}`;
        await send(iq.replace('<iq', `<iq id='${id}'`));
        const [found] = take(({ attrs }) => attrs['id'] === id);
        assert(found, `nothing came for ${iq}`);
        return found;
      },
    };
  }

  /** Lets what is on its way arrive. */
  async settle(): Promise<void> {
    this.#arrived = [...this.#arrived, ...(await this.#elsewhere.take())];
  }
}

/** An owner, one of every kind of people around, and a node of every kind at the owner's account or at the service. */
export class Society {
  readonly host: TestHost;
  readonly at: Whereabouts;
  readonly owner: Probe;
  readonly clients = new Map<string, Client>();
  readonly #abroad: Abroad;
  #isListening = false;

  private constructor(host: TestHost, at: Whereabouts, owner: Probe) {
    this.host = host;
    this.at = at;
    this.owner = owner;
    this.#abroad = new Abroad(host);
  }

  static async gather(at: Whereabouts): Promise<Society> {
    const modules = [roster, presence, blocking, disco, caps, pubsub, ...(at === 'account' ? [pep] : [])];
    const host = await startHost(modules, { settings: { admins: ['admin@example.org'] } });
    const society = new Society(host, at, await host.online('owner', 'desk'));
    for (const [name, person] of Object.entries(PEOPLE)) await society.#welcome(name, person);
    for (const kind of kindsAt(at)) await society.#make(kind);
    await society.#block();
    await society.settle();
    society.hearing();
    return society;
  }

  stop(): Promise<void> {
    return this.host.stop();
  }

  /** Whether clients have said that they are interested. */
  get isListening(): boolean {
    return this.#isListening;
  }

  /** Where the nodes are. */
  get to(): string {
    return this.at === 'account' ? OWNER : 'pubsub.example.org';
  }

  iq(type: 'get' | 'set', inner: string): string {
    return `<iq type='${type}' to='${this.to}'>${inner}</iq>`;
  }

  user(type: 'get' | 'set', inner: string): string {
    return this.iq(type, `<pubsub xmlns='${NS}'>${inner}</pubsub>`);
  }

  manage(type: 'get' | 'set', inner: string): string {
    return this.iq(type, `<pubsub xmlns='${NS}#owner'>${inner}</pubsub>`);
  }

  /** Asked by the owner; fails for an error. */
  async order(iq: string): Promise<Element> {
    const reply = await this.owner.ask(iq);
    assert.equal(outcomeOf(reply), 'ok', iq);
    return reply;
  }

  publish(node: string, id: string): Promise<Element> {
    return this.order(this.user('set', `<publish node='${node}'><item id='${id}'><x xmlns='urn:x'/></item></publish>`));
  }

  async settle(): Promise<void> {
    await settle();
    await this.#abroad.settle();
  }

  /** Who has heard of something, as often as they have, and of what. */
  hearing(): readonly string[] {
    return [...this.clients]
      .flatMap(([name, client]) =>
        client
          .take()
          .flatMap(newsIn)
          .map((news) => `${name} ${news}`),
      )
      .sort();
  }

  /** All clients here and elsewhere say that they are interested in what is published at these nodes. */
  async listen(nodes: readonly string[]): Promise<void> {
    this.#isListening = true;
    const kind = kindOf(...nodes.map((node) => `${node}+notify`));
    const [first, ...others] = [...this.clients].filter(([name]) => !PEOPLE[name]!.isForeign).map(([, client]) => client);
    assert(first instanceof ClientHere);
    first.probe.send(`<presence>${legacy(kind.ver)}</presence>`);
    await answer(first.probe, await question(first.probe, `https://client.example#${kind.ver}`), info(kind));
    for (const client of others) await client.send(`<presence>${legacy(kind.ver)}</presence>`);
    for (const [name, client] of this.clients) if (PEOPLE[name]!.isForeign) await this.#sendPresence(client, kind);
    await this.settle();
    this.hearing();
  }

  /** Goes offline and comes again. */
  async comeAgain(name: string, nodes: readonly string[]): Promise<void> {
    const client = this.clients.get(name)!;
    const { ver } = kindOf(...nodes.map((node) => `${node}+notify`));
    await client.send("<presence type='unavailable'/>");
    client.take();
    await client.send(nodes.length === 0 ? '<presence/>' : `<presence>${legacy(ver)}</presence>`);
    await this.settle();
  }

  /** Somebody of another server has to say it to whom it is to be known. */
  async #sendPresence(client: Client, { ver }: ClientKind): Promise<void> {
    await client.send(`<presence to='${OWNER}'>${legacy(ver)}</presence>`);
  }

  async #welcome(name: string, person: Person): Promise<void> {
    const client = await this.#connect(name, person);
    this.clients.set(name, client);
    if (person.isOwner) return;
    if (!person.isGuest && (person.isInGroup || person.seesPresence)) {
      const group = person.isInGroup ? `<group>${GROUP}</group>` : '<group>Others</group>';
      const item = `<item jid='${client.bare}'>${group}</item>`;
      await this.order(`<iq type='set'><query xmlns='jabber:iq:roster'>${item}</query></iq>`);
    }
    if (!person.seesPresence) return;
    await client.send(`<presence to='${OWNER}' type='subscribe'/>`);
    this.owner.send(`<presence to='${client.bare}' type='subscribed'/>`);
    await settle();
  }

  async #connect(name: string, { isForeign, isGuest, isOwner }: Person): Promise<Client> {
    if (isForeign) return this.#abroad.client(name);
    if (!isGuest) return new ClientHere(await this.host.online(name, isOwner ? 'phone' : 'x'));
    const probe = await this.host.loginAsGuest();
    probe.send('<presence/>');
    return new ClientHere(probe);
  }

  /** A node with everybody what they are to it: people subscribe while they may. */
  async #make(kind: Kind): Promise<void> {
    const node = nodeOf(kind);
    const configure = (fields: Readonly<Record<string, string>>) =>
      this.order(this.manage('set', `<configure node='${node}'>${form('node_config', fields)}</configure>`));
    await this.order(
      this.user('set', `<create node='${node}'/><configure>${form('node_config', { max_items: 'max' })}</configure>`),
    );
    for (const [state, access_model] of [
      ['subscribed', 'open'],
      ['pending', 'authorize'],
    ] as const) {
      await configure({ access_model });
      for (const [name, client] of this.clients) {
        if (PEOPLE[name]!.subscription !== state) continue;
        const reply = await client.ask(this.user('set', `<subscribe node='${node}' jid='${client.bare}'/>`));
        assert.equal(reply.getChild('pubsub')?.getChild('subscription')?.attrs['subscription'], state, name);
      }
    }
    const affiliations = [...this.clients].flatMap(([name, { bare }]) => {
      const { affiliation, isOwner } = PEOPLE[name]!;
      return affiliation && !isOwner ? [`<affiliation jid='${bare}' affiliation='${affiliation}'/>`] : [];
    });
    await this.order(this.manage('set', `<affiliations node='${node}'>${affiliations.join('')}</affiliations>`));
    await configure({ access_model: kind.access, publish_model: kind.model, roster_groups_allowed: GROUP });
    await this.publish(node, 'base');
  }

  async #block(): Promise<void> {
    const block = (jid: string) => `<iq type='set'><block xmlns='urn:xmpp:blocking'><item jid='${jid}'/></block></iq>`;
    for (const [name, client] of this.clients) {
      const { isBlocked, hasBlocked } = PEOPLE[name]!;
      if (isBlocked) await this.order(block(client.bare));
      if (hasBlocked) assert.equal(outcomeOf(await client.ask(block(OWNER))), 'ok');
    }
  }
}

/** What a stanza tells: the node, and the id of an item, with a `-` for one that is gone; or what has become of the node or of a subscription. */
function newsIn(stanza: Element): readonly string[] {
  const event = stanza.name === 'message' ? stanza.getChild('event', `${NS}#event`) : undefined;
  return (event?.getChildElements() ?? []).flatMap((about) => {
    const { node, subscription } = about.attrs as Record<string, string | undefined>;
    if (about.name !== 'items') return [`${node} ${subscription ?? about.name}`];
    return about.getChildElements().map(({ name, attrs }) => `${node} ${name === 'retract' ? '-' : ''}${attrs['id']}`);
  });
}
