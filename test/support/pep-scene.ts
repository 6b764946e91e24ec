import assert from 'node:assert/strict';
import type { Element } from 'ltx';
import blocking from '../../modules/blocking/index.ts';
import caps from '../../modules/caps/index.ts';
import disco from '../../modules/disco/index.ts';
import pep from '../../modules/pep/index.ts';
import presence from '../../modules/presence/index.ts';
import roster from '../../modules/roster/index.ts';
import { info, type Kind, kindOf, legacy } from './caps-scene.ts';
import { type Probe, settle } from './probe.ts';
import { type Fields, form, newsIn, PUBSUB } from './pubsub-scene.ts';

/** What it takes for accounts to keep nodes, and to tell contacts of them. */
export const PEP_MODULES = [blocking, caps, disco, pep, presence, roster] as const;

/** Whoever sends and gets stanzas in a test. */
export type Client = Pick<Probe, 'send' | 'take'>;

/** Where a request goes; to the own account when it is not said. */
export interface At {
  readonly to?: string;
  readonly ns?: '' | '#owner';
}

/** Asks an account for something about nodes. */
export function ask(probe: Pick<Probe, 'ask'>, type: 'get' | 'set', inner: string, { to, ns = '' }: At = {}): Promise<Element> {
  const address = to === undefined ? '' : ` to='${to}'`;
  return probe.ask(`<iq type='${type}'${address}><pubsub xmlns='${PUBSUB}${ns}'>${inner}</pubsub></iq>`);
}

/** As above; fails for an error. */
export async function set(probe: Pick<Probe, 'ask'>, inner: string, at: At = {}): Promise<Element> {
  const answer = await ask(probe, 'set', inner, at);
  assert.equal(answer.attrs['type'], 'result', String(answer));
  return answer;
}

/** Publishes one item, with options where some are given. */
export async function publish(probe: Pick<Probe, 'ask'>, node: string, id: string, options?: Fields): Promise<void> {
  const wish = options ? `<publish-options>${form('publish-options', options)}</publish-options>` : '';
  await set(probe, `<publish node='${node}'><item id='${id}'><e xmlns='urn:example'/></item></publish>${wish}`);
}

export async function configure(probe: Pick<Probe, 'ask'>, node: string, fields: Fields): Promise<void> {
  await set(probe, `<configure node='${node}'>${form('node_config', fields)}</configure>`, { ns: '#owner' });
}

/** The ids of the items that somebody reads at an account. */
export async function idsAt(probe: Pick<Probe, 'ask'>, to: string, node: string): Promise<readonly string[]> {
  const answer = await ask(probe, 'get', `<items node='${node}'/>`, { to });
  assert.equal(answer.attrs['type'], 'result', String(answer));
  const items = answer.getChild('pubsub')!.getChild('items')!;
  return items.getChildren('item').map(({ attrs }) => String(attrs['id']));
}

/** A client that is interested in these nodes. */
export function interestedIn(...nodes: readonly string[]): Kind {
  return kindOf(...nodes.map((node) => `${node}+notify`));
}

/** A client comes online, or changes what it is interested in, and says what that is when it is asked. Returns what it is told for it. */
export async function listen(client: Client, ...nodes: readonly string[]): Promise<readonly string[]> {
  const kind = interestedIn(...nodes);
  client.send(`<presence>${legacy(kind.ver)}</presence>`);
  await settle();
  const found = client.take();
  for (const { name, attrs } of found) {
    if (name === 'iq' && attrs['type'] === 'get')
      client.send(`<iq type='result' id='${attrs['id']}' to='${attrs['from']}'>${info(kind)}</iq>`);
  }
  await settle();
  return toldIn([...found, ...client.take()]);
}

/**
 * What has come for a client: of whom, of which node, and what, such as `juliet tune +i1`; `*i1` for an item that was there before, `-i1` for
 * one that is gone.
 */
export async function told(client: Client): Promise<readonly string[]> {
  await settle();
  return toldIn(client.take());
}

function toldIn(stanzas: readonly Element[]): readonly string[] {
  return stanzas.flatMap((stanza) => {
    const child = stanza.name === 'message' ? stanza.getChild('event')?.getChildElements()[0] : undefined;
    const from = String(stanza.attrs['from']).split('@')[0];
    return newsIn([stanza]).map((what) => `${from} ${child?.attrs['node']} ${what}`);
  });
}
