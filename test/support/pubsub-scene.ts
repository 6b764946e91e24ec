import assert from 'node:assert/strict';
import type { Element } from 'ltx';
import commands from '../../modules/commands/index.ts';
import presence from '../../modules/presence/index.ts';
import pubsub from '../../modules/pubsub/index.ts';
import roster from '../../modules/roster/index.ts';
import { conditionOf } from './answers.ts';
import type { Probe } from './probe.ts';
import { settle } from './probe.ts';
import { type HostOptions, startHost, type TestHost } from './start-host.ts';

export const SERVICE = 'pubsub.example.org';
export const PUBSUB = 'http://jabber.org/protocol/pubsub';
const RSM = 'http://jabber.org/protocol/rsm';

/** Values of a form by the names of its fields, without the `pubsub#`. */
export type Fields = Readonly<Record<string, string | readonly string[]>>;

/** A host with a publish-subscribe service. */
export class PubSubScene {
  readonly host: TestHost;

  constructor(host: TestHost) {
    this.host = host;
  }

  static async open(config: object = {}, options: HostOptions = {}): Promise<PubSubScene> {
    return new PubSubScene(await startHost([roster, presence, commands, pubsub], { ...options, modules: { pubsub: config } }));
  }

  stop(): Promise<void> {
    return this.host.stop();
  }

  /** Several clients of as many accounts, available. */
  clients(...names: readonly string[]): Promise<Probe[]> {
    return Promise.all(names.map((name) => this.host.online(name, 'r')));
  }
}

/** Asks for something, and returns the whole answer. */
export function ask(probe: Probe, type: 'get' | 'set', inner: string, at: '' | '#owner' = ''): Promise<Element> {
  return probe.ask(`<iq type='${type}' to='${SERVICE}'><pubsub xmlns='${PUBSUB}${at}'>${inner}</pubsub></iq>`);
}

/** As above; fails for an error. */
export async function get(probe: Probe, inner: string, at: '' | '#owner' = ''): Promise<Element> {
  return resultOf(await ask(probe, 'get', inner, at));
}

/** As above. */
export async function set(probe: Probe, inner: string, at: '' | '#owner' = ''): Promise<Element> {
  return resultOf(await ask(probe, 'set', inner, at));
}

function resultOf(answer: Element): Element {
  assert.equal(answer.attrs['type'], 'result', String(answer));
  return answer;
}

/** What an error says: its condition, and that of pubsub where there is one. */
export function refusalOf(answer: Element): string {
  const condition = conditionOf(answer);
  const more = answer.getChild('error')!.getChildElements().slice(1);
  const extra = more.find((child) => child.getNS() === `${PUBSUB}#errors`);
  return extra ? `${condition}, ${extra.name}` : String(condition);
}

/** A form that is filled in. */
export function form(kind: string, fields: Fields): string {
  const all = Object.entries(fields).map(([name, values]) => {
    const list = [values].flat().map((value) => `<value>${value}</value>`);
    return `<field var='pubsub#${name}'>${list.join('')}</field>`;
  });
  const type = `<field var='FORM_TYPE' type='hidden'><value>${PUBSUB}#${kind}</value></field>`;
  return `<x xmlns='jabber:x:data' type='submit'>${type}${all.join('')}</x>`;
}

export async function create(probe: Probe, node: string, fields: Fields = {}): Promise<void> {
  await set(probe, `<create node='${node}'/><configure>${form('node_config', fields)}</configure>`);
}

export async function configure(probe: Probe, node: string, fields: Fields): Promise<void> {
  await set(probe, `<configure node='${node}'>${form('node_config', fields)}</configure>`, '#owner');
}

/** The request that publishes an item. */
export const publication = (node: string, id: string, payload = "<e xmlns='urn:example'/>"): string =>
  `<publish node='${node}'><item id='${id}'>${payload}</item></publish>`;

export async function publish(probe: Probe, node: string, ...ids: readonly string[]): Promise<void> {
  for (const id of ids) await set(probe, publication(node, id));
}

export async function retract(probe: Probe, node: string, id: string): Promise<void> {
  await set(probe, `<retract node='${node}'><item id='${id}'/></retract>`);
}

/** Subscribes a client, with options where some are given, and lets what comes of it happen. */
export async function subscribe(probe: Probe, node: string, options?: Fields, jid = probe.jid): Promise<void> {
  const chosen = options ? `<options>${form('subscribe_options', options)}</options>` : '';
  await set(probe, `<subscribe node='${node}' jid='${jid}'/>${chosen}`);
  await settle();
}

export async function setOptions(probe: Probe, node: string, options: Fields, jid = probe.jid): Promise<void> {
  await set(probe, `<options node='${node}' jid='${jid}'>${form('subscribe_options', options)}</options>`);
}

export async function affiliate(probe: Probe, node: string, jid: string, affiliation: string): Promise<void> {
  await set(
    probe,
    `<affiliations node='${node}'><affiliation jid='${jid}' affiliation='${affiliation}'/></affiliations>`,
    '#owner',
  );
}

/** A page of items. */
export interface Page {
  readonly ids: readonly string[];
  readonly first: string | undefined;
  readonly last: string | undefined;
  readonly count: number | undefined;
}

/** Asks for items; `rsm` is what stands in a `<set/>`, which is not sent when it is undefined. */
export async function page(probe: Probe, node: string, rsm?: string, attrs = ''): Promise<Page> {
  const set = rsm === undefined ? '' : `<set xmlns='${RSM}'>${rsm}</set>`;
  const payload = (await get(probe, `<items node='${node}' ${attrs}/>${set}`)).getChild('pubsub')!;
  const found = payload.getChild('set', RSM);
  const count = found?.getChildText('count');
  return {
    ids: payload
      .getChild('items')!
      .getChildren('item')
      .map(({ attrs }) => String(attrs['id'])),
    first: found?.getChildText('first') ?? undefined,
    last: found?.getChildText('last') ?? undefined,
    count: count === undefined || count === null ? undefined : Number(count),
  };
}

/** The ids of the items that are there, oldest first. */
export async function idsOf(probe: Probe, node: string): Promise<readonly string[]> {
  return (await page(probe, node)).ids;
}

/** What a client is told, in short: `+id` for an item, `*id` for one that was there before, `-id` for one that is gone, else the name. */
export function newsIn(stanzas: readonly Element[]): readonly string[] {
  return stanzas.flatMap((stanza) => {
    const event = stanza.name === 'message' ? stanza.getChild('event', `${PUBSUB}#event`) : undefined;
    const isOld = stanza.getChild('delay', 'urn:xmpp:delay') !== undefined;
    return (event?.getChildElements() ?? []).flatMap((child) => {
      if (child.name !== 'items') return [child.name];
      return child.getChildElements().map(({ name, attrs }) => `${name === 'retract' ? '-' : isOld ? '*' : '+'}${attrs['id']}`);
    });
  });
}

/** What has come for a client until now. */
export async function news(probe: Probe): Promise<readonly string[]> {
  await settle();
  return newsIn(probe.take());
}
