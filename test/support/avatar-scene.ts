import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import type { Element } from 'ltx';
import { payloadOf } from './answers.ts';
import { answer, info, kindOf, legacy } from './caps-scene.ts';
import { type Probe, settle } from './probe.ts';

export const PUBSUB = 'http://jabber.org/protocol/pubsub';
export const DATA = 'urn:xmpp:avatar:data';
export const METADATA = 'urn:xmpp:avatar:metadata';
export const NS_UPDATE = 'vcard-temp:x:update';

/** A picture in base64, with its hash. */
export interface TestPicture {
  readonly base64: string;
  readonly hash: string;
  readonly bytes: number;
}

export const pictureOf = (data: Buffer): TestPicture => ({
  base64: data.toString('base64'),
  hash: createHash('sha1').update(data).digest('hex'),
  bytes: data.length,
});

/** The header of a PNG of this size, and as many bytes as are wanted. */
export function png(width: number, height: number, { seed = 0, bytes = 33 } = {}): TestPicture {
  const data = Buffer.alloc(bytes, seed);
  Buffer.from('\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR', 'latin1').copy(data);
  data.writeUInt32BE(width, 16);
  data.writeUInt32BE(height, 20);
  return pictureOf(data);
}

/** Publishing one item, with this access model where one is given. */
export function publish(node: string, item: string, access?: string): string {
  const field = (name: string, value: string) => `<field var='${name}'><value>${value}</value></field>`;
  const options = `<publish-options><x xmlns='jabber:x:data' type='submit'>${field('FORM_TYPE', `${PUBSUB}#publish-options`)}${field('pubsub#access_model', access ?? '')}</x></publish-options>`;
  return `<iq type='set'><pubsub xmlns='${PUBSUB}'><publish node='${node}'>${item}</publish>${access ? options : ''}</pubsub></iq>`;
}

export const dataItem = ({ base64, hash }: Pick<TestPicture, 'base64' | 'hash'>): string =>
  `<item id='${hash}'><data xmlns='${DATA}'>${base64}</data></item>`;
export const metadataItem = ({ hash, bytes }: Pick<TestPicture, 'bytes' | 'hash'>, more = ''): string =>
  `<item id='${hash}'><metadata xmlns='${METADATA}'><info id='${hash}' bytes='${bytes}' type='image/png'/>${more}</metadata></item>`;
export const NO_AVATAR = `<item id='x'><metadata xmlns='${METADATA}'/></item>`;

/** Publishes an avatar as clients do: data, then metadata. */
export async function publishAvatar(probe: Probe, picture: TestPicture, access: string | undefined = 'open'): Promise<void> {
  payloadless(await probe.ask(publish(DATA, dataItem(picture), access)));
  payloadless(await probe.ask(publish(METADATA, metadataItem(picture), access)));
}

export function payloadless(reply: Element): void {
  assert.equal(reply.attrs['type'], 'result', String(reply));
}

export const photo = (base64: string, type = 'image/png'): string =>
  `<PHOTO><TYPE>${type}</TYPE><BINVAL>${base64}</BINVAL></PHOTO>`;

/** Sets the vCard. */
export async function setCard(probe: Probe, inner: string): Promise<void> {
  payloadless(await probe.ask(`<iq type='set'><vCard xmlns='vcard-temp'>${inner}</vCard></iq>`));
}

/** The own vCard. */
export async function cardOf(probe: Probe): Promise<Element> {
  return payloadOf(await probe.ask("<iq type='get'><vCard xmlns='vcard-temp'/></iq>"));
}

/** The items of a node: their elements. */
export async function itemsOf(probe: Probe, node: string, to = ''): Promise<readonly Element[]> {
  const reply = await probe.ask(
    `<iq type='get' ${to && `to='${to}'`}><pubsub xmlns='${PUBSUB}'><items node='${node}'/></pubsub></iq>`,
  );
  if (reply.attrs['type'] === 'error') return [];
  return payloadOf(reply).getChild('items')!.getChildElements();
}

/** Both sides in short: hashes in the vCard, at the data node, and in the metadata. */
export async function sidesOf(probe: Probe) {
  const photos = (await cardOf(probe)).getChildren('PHOTO');
  const card = photos.map((each) => hashOf(each.getChildText('BINVAL') ?? ''));
  const data = (await itemsOf(probe, DATA)).map((item) => item.attrs['id']);
  const [metadata] = (await itemsOf(probe, METADATA)).slice(-1);
  return {
    card,
    data,
    metadata: metadata
      ?.getChild('metadata', METADATA)
      ?.getChildren('info')
      .map(({ attrs }) => attrs['id']),
  };
}

const hashOf = (base64: string): string => createHash('sha1').update(Buffer.from(base64, 'base64')).digest('hex');

/** What a presence says of the picture: the hash, '' for an empty one, undefined when it says nothing. */
export function saidBy(presence: Element): string | undefined {
  assert.equal(presence.name, 'presence', String(presence));
  const all = presence.getChildren('x', NS_UPDATE);
  assert(all.length <= 1, String(presence));
  return all[0] && (all[0].getChildText('photo') ?? 'no photo');
}

/** Comes online as a client that wants to hear of these nodes. What comes for it meanwhile is thrown away. */
export async function listen(probe: Probe, ...nodes: readonly string[]): Promise<void> {
  const kind = kindOf(...nodes.map((node) => `${node}+notify`));
  probe.send(`<presence>${legacy(kind.ver)}</presence>`);
  await settle();
  // What another client has said already is not asked again.
  const asked = probe.take().find(({ name, attrs }) => name === 'iq' && attrs['type'] === 'get');
  if (asked) await answer(probe, asked, info(kind));
  probe.take();
}

/** The nodes and ids of the items of which it has been notified; whatever else has come is thrown away. */
export function notified(probe: Probe): readonly string[] {
  return probe
    .take()
    .filter(({ name }) => name === 'message')
    .flatMap((message) => {
      const items = message.getChild('event', `${PUBSUB}#event`)?.getChild('items');
      return items?.getChildren('item').map((item) => `${items.attrs['node']} ${item.attrs['id']}`) ?? [];
    });
}
