import assert from 'node:assert/strict';
import vcard, { type CardChange, type VCardApi } from '../../../modules/vcard/index.ts';
import { defineModule, option, StanzaError, xml } from '../../../src/index.ts';
import { cardOf, setCard } from '../../support/avatar-scene.ts';
import type { Probe } from '../../support/probe.ts';
import { startHost, type TestHost } from '../../support/start-host.ts';

const card = (name: string) => xml('vCard', 'vcard-temp', xml('FN', {}, name));

describe('vcard: changes by other modules', () => {
  let host: TestHost;
  let juliet: Probe;
  let cards: VCardApi;
  let told: CardChange[];
  beforeEach(async () => {
    told = [];
    const editor = defineModule({
      name: 'editor',
      doc: '',
      needs: [vcard],
      config: option.object({}),
      setup({ use, on }) {
        cards = use(vcard);
        on(cards.changed, (change) => void told.push(change));
      },
    });
    host = await startHost([vcard, editor], { modules: { vcard: { maxBytes: 2048, maxPhotoBytes: 512 } } });
    juliet = await host.online('juliet');
  });
  afterEach(() => host.stop());

  const news = () => told.splice(0).map(({ username, by, card: now }) => [username, by, now?.getChildText('FN')]);

  it('are told with who has made them', async () => {
    await setCard(juliet, '<FN>Juliet</FN>');
    await cards.edit('juliet', 'editor', () => card('J'));
    await cards.edit('juliet', 'editor', () => undefined);
    assert.deepEqual(news(), [
      ['juliet', undefined, 'Juliet'],
      ['juliet', 'editor', 'J'],
      ['juliet', 'editor', undefined],
    ]);
    assert.equal(await cards.of('juliet'), undefined);
  });

  it('that are none are not told', async () => {
    await cards.edit('juliet', 'editor', (before) => before);
    await setCard(juliet, '<FN>Juliet</FN>');
    await cards.edit('juliet', 'editor', (before) => before);
    assert.deepEqual(news(), [['juliet', undefined, 'Juliet']]);
  });

  it('see what was set before, and lose nothing of what is set meanwhile', async () => {
    const all: Promise<void>[] = [];
    for (let i = 0; i < 10; i++) {
      all.push(cards.edit('juliet', 'editor', (before) => card(`${before?.getChildText('FN') ?? ''}${i}`)));
      if (i === 4) all.push(setCard(juliet, '<FN>x</FN>'));
    }
    await Promise.all(all);
    const names = news().map(([, , name]) => name);
    const at = names.indexOf('x');
    assert.equal(names.length, 11);
    assert.equal(names.at(-1), `x${Array.from({ length: 10 - at }, (_, i) => at + i).join('')}`);
    assert.equal((await cardOf(juliet)).getChildText('FN'), names.at(-1));
  });

  it('are bound by the same limits, and a failure stops nobody', async () => {
    await setCard(juliet, '<FN>Juliet</FN>');
    const big = (_: unknown) => card('x'.repeat(3000));
    const isRefusal = (error: unknown) => error instanceof StanzaError && error.condition === 'policy-violation';
    await assert.rejects(cards.edit('juliet', 'editor', big), isRefusal);
    const photo = xml('vCard', 'vcard-temp', xml('PHOTO', {}, xml('BINVAL', {}, 'A'.repeat(900))));
    await assert.rejects(
      cards.edit('juliet', 'editor', () => photo),
      isRefusal,
    );
    await assert.rejects(
      cards.edit('juliet', 'editor', () => {
        throw new Error('no');
      }),
    );
    await cards.edit('juliet', 'editor', () => card('J'));
    assert.equal((await cardOf(juliet)).getChildText('FN'), 'J');
  });
});
