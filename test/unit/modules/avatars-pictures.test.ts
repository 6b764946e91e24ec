import assert from 'node:assert/strict';
import avatars from '../../../modules/avatars/index.ts';
import { sizeOf } from '../../../modules/avatars/sizes.ts';
import caps from '../../../modules/caps/index.ts';
import disco from '../../../modules/disco/index.ts';
import { type PictureType, typeOf } from '../../../modules/muc-vcard/pictures.ts';
import pep from '../../../modules/pep/index.ts';
import vcard from '../../../modules/vcard/index.ts';
import { conditionOf } from '../../support/answers.ts';
import {
  cardOf,
  DATA,
  dataItem,
  itemsOf,
  METADATA,
  metadataItem,
  payloadless,
  photo,
  pictureOf,
  png,
  publish,
  publishAvatar,
  setCard,
  sidesOf,
} from '../../support/avatar-scene.ts';
import { type Probe, settle } from '../../support/probe.ts';
import { makeRandom } from '../../support/random.ts';
import { startHost, type TestHost } from '../../support/start-host.ts';

const bytes = (...parts: readonly (string | readonly number[])[]): Buffer =>
  Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part, 'latin1') : Buffer.from(part))));

const GIF = bytes('GIF89a', [0x2c, 0x01, 0x0a, 0x00], [0, 0, 0]);
const SOF = [0xff, 0xc2, 0x00, 0x11, 0x08, 0x01, 0x02, 0x03, 0x04, 0x03];
const JPEG = bytes([0xff, 0xd8], [0xff, 0xe0, 0x00, 0x04, 0, 0], [0xff, 0xff, 0xff, 0xc4, 0x00, 0x03, 1], [0xff, 0xd0], SOF);
const riff = (kind: string, ...rest: readonly number[]) =>
  bytes('RIFF', [0, 0, 0, 0], 'WEBP', kind, [0, 0, 0, 0], rest, new Array(20).fill(0));
const VP8X = riff('VP8X', 0, 0, 0, 0, 0xff, 0x01, 0x00, 0x7f, 0x00, 0x00);
const VP8L = riff('VP8L', 0x2f, 0x63, 0xc0, 0x0c, 0x00);
const VP8 = riff('VP8 ', 0, 0, 0, 0x9d, 0x01, 0x2a, 0x40, 0x41, 0x20, 0x80);
const PNG = Buffer.from(png(640, 480).base64, 'base64');

const sizeBy = (data: Buffer) => {
  const size = sizeOf(data, typeOf(data)!);
  return size && [size.width, size.height];
};

describe('avatars: the size of a picture', () => {
  it('is read out of its header', () => {
    assert.deepEqual(sizeBy(PNG), [640, 480]);
    assert.deepEqual(sizeBy(GIF), [300, 10]);
    assert.deepEqual(sizeBy(JPEG), [0x0304, 0x0102]);
    assert.deepEqual(sizeBy(VP8X), [512, 128]);
    assert.deepEqual(sizeBy(VP8L), [100, 52]);
    assert.deepEqual(sizeBy(VP8), [0x140, 0x20]);
  });

  it('is not known where the header is cut off, or says what cannot be', () => {
    for (const data of [PNG, GIF, JPEG, VP8X, VP8L, VP8]) {
      const type = typeOf(data)!;
      for (let length = 12; length < data.length; length++) sizeOf(data.subarray(0, length), type);
      assert.equal(sizeOf(data.subarray(0, 9), type), undefined);
    }
    for (const [width, height] of [
      [0, 1],
      [1, 65_536],
      [0xffffffff, 0xffffffff],
    ] as const) {
      assert.equal(sizeBy(Buffer.from(png(width, height).base64, 'base64')), undefined);
    }
    for (const rest of [
      [0xff, 0xe0, 0, 0],
      [0xff, 0xe0, 0xff, 0xff],
      [0xff, 0xd9, 0, 2],
      [0x00],
      [0xff, 0xda, 0, 4, ...SOF],
      [0xff, 0xd0],
    ]) {
      assert.equal(sizeOf(bytes([0xff, 0xd8], rest), 'image/jpeg'), undefined);
    }
    assert.equal(sizeBy(riff('EXIF', 1, 2, 3, 4)), undefined);
    assert.equal(sizeBy(riff('VP8L', 0x30, 1, 1, 1, 1)), undefined);
  });

  it('is looked for within the picture, whatever it holds', () => {
    const random = makeRandom(398);
    for (let i = 0; i < 4000; i++) {
      const data = Buffer.from(
        Array.from({ length: random.below(120) }, () => (random.below(3) === 0 ? 0xff : random.below(256))),
      );
      for (const type of ['image/png', 'image/gif', 'image/jpeg', 'image/webp'] satisfies PictureType[]) {
        const size = sizeOf(data, type);
        assert(size === undefined || (size.width > 0 && size.width < 65_536 && size.height > 0 && size.height < 65_536));
      }
    }
    // Nothing but segments that are as short as can be.
    sizeOf(bytes([0xff, 0xd8], new Array(20_000).fill([0xff, 0xe1, 0, 2]).flat()), 'image/jpeg');
  });
});

describe('avatars: pictures that are none', () => {
  const A = png(64, 64);
  const kept = { card: [A.hash], data: [A.hash], metadata: [A.hash] };
  let host: TestHost;
  let juliet: Probe;
  beforeEach(async () => {
    host = await startHost([avatars, caps, disco, pep, vcard]);
    juliet = await host.online('juliet', 'balcony');
    await publishAvatar(juliet, A);
    await settle();
  });
  afterEach(() => host.stop());

  const SVG = pictureOf(Buffer.from("<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>"));

  it('are what they are, whatever is said of them (XEP-0153 section 5)', async () => {
    const gif = pictureOf(GIF);
    await setCard(juliet, photo(gif.base64, 'image/png'));
    await settle();
    const [item] = await itemsOf(juliet, METADATA);
    const { attrs } = item!.getChild('metadata', METADATA)!.getChild('info')!;
    assert.deepEqual([attrs['type'], attrs['width'], attrs['bytes']], ['image/gif', '300', String(GIF.length)]);
    const jpeg = pictureOf(JPEG);
    await publishAvatar(juliet, jpeg);
    await settle();
    assert.equal((await cardOf(juliet)).getChild('PHOTO')?.getChildText('TYPE'), 'image/jpeg');
  });

  it('are not given a size that cannot be', async () => {
    await setCard(juliet, photo(png(0xffffffff, 0xffffffff).base64));
    await settle();
    const [item] = await itemsOf(juliet, METADATA);
    const { attrs } = item!.getChild('metadata', METADATA)!.getChild('info')!;
    assert.deepEqual([attrs['type'], attrs['width'], attrs['height']], ['image/png', undefined, undefined]);
  });

  it('in a vCard are not published: SVG, rubbish, nothing', async () => {
    for (const inner of [
      photo(SVG.base64, 'image/png'),
      photo('%%%'),
      photo('aGk'),
      photo(''),
      '<PHOTO/>',
      '<PHOTO><EXTVAL>https://example.org/x.png</EXTVAL></PHOTO>',
    ]) {
      await publishAvatar(juliet, A);
      await settle();
      await setCard(juliet, inner);
      await settle();
      const { data, metadata } = await sidesOf(juliet);
      assert.deepEqual({ data, metadata }, { data: [], metadata: [] }, inner);
    }
  });

  it('are passed over where another one in the vCard is one', async () => {
    await setCard(juliet, photo(SVG.base64, 'image/svg+xml') + photo(A.base64));
    await settle();
    const { data, metadata } = await sidesOf(juliet);
    assert.deepEqual({ data, metadata }, { data: [A.hash], metadata: [A.hash] });
  });

  it('at the nodes are not copied, and what was there stays: a wrong hash, rubbish, nothing', async () => {
    const B = png(1, 1);
    const wrong = { hash: B.hash, base64: A.base64, bytes: 1 };
    const rubbish = { hash: B.hash, base64: '%%%', bytes: 1 };
    for (const picture of [wrong, rubbish, { ...rubbish, base64: '' }]) {
      await publishAvatar(juliet, picture);
      await settle();
      assert.deepEqual((await sidesOf(juliet)).card, [A.hash]);
    }
    payloadless(await juliet.ask(publish(DATA, `<item id='${B.hash}'><other xmlns='urn:other'>${B.base64}</other></item>`)));
    payloadless(await juliet.ask(publish(METADATA, metadataItem({ hash: 'nothing', bytes: 1 }))));
    await settle();
    assert.deepEqual((await sidesOf(juliet)).card, [A.hash]);
  });

  it('at the nodes, where clients know better, are not for the vCard', async () => {
    await publishAvatar(juliet, SVG);
    await settle();
    assert.deepEqual(await sidesOf(juliet), { card: [], data: [SVG.hash], metadata: [SVG.hash] });
  });

  it('are metadata that say nothing', async () => {
    const infos = new Array(500).fill(`<info id='${A.hash}' bytes='1' type='image/png' url='http://example.org/'/>`).join('');
    for (const inner of ['<info/>', "<info id='' bytes='x' type=''/>", `${infos}<info id='${A.hash}'/>`]) {
      payloadless(await juliet.ask(publish(METADATA, `<item id='x'><metadata xmlns='${METADATA}'>${inner}</metadata></item>`)));
      await settle();
    }
    assert.deepEqual((await sidesOf(juliet)).card, [A.hash]);
  });

  it('of somebody else cannot be set', async () => {
    const romeo = await host.online('romeo');
    for (const item of [dataItem(A), dataItem(png(5, 5))]) {
      const iq = publish(DATA, item).replace('<iq', "<iq to='juliet@example.org'");
      assert.equal(conditionOf(await romeo.ask(iq)), 'forbidden');
    }
    assert.deepEqual(await sidesOf(juliet), kept);
  });
});
