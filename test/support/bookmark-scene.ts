import assert from 'node:assert/strict';
import type { Element } from 'ltx';
import bookmarks from '../../modules/bookmarks/index.ts';
import caps from '../../modules/caps/index.ts';
import disco from '../../modules/disco/index.ts';
import pep from '../../modules/pep/index.ts';
import presence from '../../modules/presence/index.ts';
import privateStorage from '../../modules/private/index.ts';
import roster from '../../modules/roster/index.ts';
import type { AnyModule } from '../../src/module/module.ts';
import { listen } from './avatar-scene.ts';
import type { Probe } from './probe.ts';
import { settle } from './probe.ts';
import { type HostOptions, startHost, type TestHost } from './start-host.ts';

export const PUBSUB = 'http://jabber.org/protocol/pubsub';
export const NATIVE = 'urn:xmpp:bookmarks:1';
export const OLD = 'storage:bookmarks';
export const ROOM = 'theplay@conference.example.org';
export const OTHER_ROOM = 'orchard@conference.example.org';

/** All that bookmarks take, without private storage where that is left out. */
export const BOOKMARK_MODULES: readonly AnyModule[] = [roster, presence, caps, disco, privateStorage, pep, bookmarks];

export function startBookmarks(options: HostOptions = {}, modules = BOOKMARK_MODULES): Promise<TestHost> {
  return startHost(modules, options);
}

/** A client that wants to hear of these nodes. */
export async function client(host: TestHost, name: string, ...nodes: readonly string[]): Promise<Probe> {
  const [account, resource] = name.split('/');
  const probe = await host.login(account!, resource);
  await listen(probe, ...nodes);
  return probe;
}

// ---- XEP-0402

/** A `<conference/>` of XEP-0402. */
export const native = (attrs = '', inner = ''): string => `<conference xmlns='${NATIVE}' ${attrs}>${inner}</conference>`;

export function ask(probe: Probe, type: 'get' | 'set', inner: string, { to = '', at = '' } = {}): Promise<Element> {
  return probe.ask(`<iq type='${type}' ${to && `to='${to}'`}><pubsub xmlns='${PUBSUB}${at}'>${inner}</pubsub></iq>`);
}

export async function publish(probe: Probe, room: string, conference = native()): Promise<void> {
  resultOf(await ask(probe, 'set', `<publish node='${NATIVE}'><item id='${room}'>${conference}</item></publish>`));
}

export async function retract(probe: Probe, room: string): Promise<void> {
  resultOf(await ask(probe, 'set', `<retract node='${NATIVE}' notify='true'><item id='${room}'/></retract>`));
}

/** The items: their payloads by id. */
export async function items(probe: Probe): Promise<ReadonlyMap<string, Element>> {
  const answer = await ask(probe, 'get', `<items node='${NATIVE}'/>`);
  if (answer.attrs['type'] === 'error') return new Map();
  const all = answer.getChild('pubsub')!.getChild('items')!.getChildren('item');
  return new Map(all.map((item) => [String(item.attrs['id']), item.getChildElements()[0]!]));
}

// ---- XEP-0048

/** A `<conference/>` of XEP-0048. */
export const conference = (room: string, attrs = '', inner = ''): string =>
  `<conference jid='${room}' ${attrs}>${inner}</conference>`;

const storage = (inner: string): string => `<storage xmlns='${OLD}'>${inner}</storage>`;

/** Writes the list into private storage. */
export async function writePrivate(probe: Probe, ...conferences: readonly string[]): Promise<void> {
  resultOf(await tryPrivate(probe, ...conferences));
}

export function tryPrivate(probe: Probe, ...conferences: readonly string[]): Promise<Element> {
  return probe.ask(`<iq type='set'><query xmlns='jabber:iq:private'>${storage(conferences.join(''))}</query></iq>`);
}

/** Publishes the list at the node. */
export async function writeNode(probe: Probe, ...conferences: readonly string[]): Promise<void> {
  resultOf(await ask(probe, 'set', publication(...conferences)));
}

export const publication = (...conferences: readonly string[]): string =>
  `<publish node='${OLD}'><item id='current'>${storage(conferences.join(''))}</item></publish>`;

/** The list in private storage: its children. */
export async function readPrivate(probe: Probe): Promise<readonly Element[]> {
  const answer = await probe.ask(`<iq type='get'><query xmlns='jabber:iq:private'>${storage('')}</query></iq>`);
  return resultOf(answer).getChild('query')!.getChild('storage', OLD)!.getChildElements();
}

/** The list at the node; none when there is no item. */
export async function readNode(probe: Probe): Promise<readonly Element[]> {
  const answer = resultOf(await ask(probe, 'get', `<items node='${OLD}'/>`));
  const [item, second] = answer.getChild('pubsub')!.getChild('items')!.getChildren('item');
  assert.equal(second, undefined);
  return item?.getChild('storage', OLD)?.getChildElements() ?? [];
}

// ---- What is there

/** A bookmark in short, by either specification. */
export function brief(element: Element): string {
  const ns = element.getNS();
  const { jid, name, autojoin, url } = element.attrs;
  const children = element.getChildElements().map((child) => {
    const inner = child.children.length > 0 ? `=${child.children.map(String).join('')}` : '';
    return `${child.getNS() === ns ? '' : `{${child.getNS()}}`}${child.getName()}${inner}`;
  });
  const on = autojoin === 'true' || autojoin === '1' ? 'autojoin' : undefined;
  return [url ?? jid, name, on, ...children].filter((part) => part !== undefined && part !== '').join(' ');
}

/** What a client that knows XEP-0402 sees, in the words of `brief`, without regard to order. */
export async function seenNatively(probe: Probe): Promise<readonly string[]> {
  return [...(await items(probe))].map(([id, element]) => `${id} ${brief(element)}`.trim()).sort();
}

/** The same of private storage and of the node, which have to be equal. */
export async function seenByOthers(probe: Probe): Promise<readonly string[]> {
  const kept = (await readPrivate(probe)).map(brief).sort();
  assert.deepEqual((await readNode(probe)).map(brief).sort(), kept);
  return kept;
}

/** What a client has been told: `+room` for a bookmark, `-room` for one that is gone, and whole lists in brackets. */
export async function told(probe: Probe): Promise<readonly string[]> {
  await settle();
  return probe.take().flatMap((message) => newsIn(message));
}

/** The next thing it is told, in the same words; presence that comes before is thrown away. */
export async function nextNews(probe: Probe): Promise<readonly string[]> {
  for (;;) {
    const stanza = await probe.receive();
    if (stanza.name === 'message') return newsIn(stanza);
    assert.equal(stanza.name, 'presence');
  }
}

export function newsIn(message: Element): readonly string[] {
  const event = message.getChild('event', `${PUBSUB}#event`)?.getChildElements()[0];
  if (!event) return [];
  if (event.attrs['node'] !== OLD) {
    return event.getChildElements().map(({ name, attrs }) => `${name === 'retract' ? '-' : '+'}${attrs['id']}`);
  }
  const list = event.getChild('item')?.getChild('storage', OLD)?.getChildElements() ?? [];
  return [`[${list.map(({ attrs }) => attrs['jid'] ?? attrs['url']).join(' ')}]`];
}

export function resultOf(answer: Element): Element {
  assert.equal(answer.attrs['type'], 'result', String(answer));
  return answer;
}
