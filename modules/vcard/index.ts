// XEP-0054: what a user says of themself to everybody, with a picture.
import {
  defineModule,
  type Element,
  type Envelope,
  mapStore,
  OneByOne,
  option,
  Priority,
  type Query,
  readElement,
  Signal,
  StanzaError,
  writeElement,
  xml,
} from '#core';
import { type CardNames, readNames } from './names.ts';

export type { CardNames } from './names.ts';

const NS = 'vcard-temp';
/** Of no owner: once cards of before there were `names` have theirs. */
const NAMED = 'named';
const PAGE = 100;
/** Where base64 is longer than the bytes it stands for. */
const BASE64 = 4 / 3;

/** A vCard is another one than before. */
export interface CardChange {
  readonly username: string;
  /** As it is now; undefined when there is none any more. */
  readonly card: Element | undefined;
  /** The module that has changed it; undefined when it was its user. */
  readonly by: string | undefined;
}

/** What other modules get from this one. */
export interface VCardApi {
  /** The vCard of an account. */
  of(username: string): Promise<Element | undefined>;
  /** What people are called in it; undefined without a vCard. */
  namesOf(username: string): Promise<CardNames | undefined>;
  /** The same of all who have a vCard, ascending by username from behind `after`, at most `max`. No card is read for it. */
  names(after: string | undefined, max: number): Promise<readonly (readonly [username: string, names: CardNames])[]>;
  /**
   * Puts in the place of a vCard what `change` makes of it, in turn with whatever else changes it; the same element when there is nothing
   * to be changed, undefined for none at all. Rejects with StanzaError `policy-violation` when it would be too big.
   */
  edit(username: string, by: string, change: (card: Element | undefined) => Element | undefined): Promise<void>;
  /** Told once a change is durable, in the order of the changes. */
  readonly changed: Signal<CardChange>;
}

export default defineModule({
  name: 'vcard',
  doc: 'vCards: what users say of themselves, with a picture.',
  xeps: [{ xep: 54, version: '1.3.0' }],
  features: [NS],
  config: option.object({
    maxBytes: option.bytes({ default: '128KiB', min: 1024, max: '16MiB', doc: 'Size of a vCard, its pictures included.' }),
    maxPhotoBytes: option.bytes({
      default: '72KiB',
      min: 0,
      max: '12MiB',
      doc: 'Size of each picture in it; 0 for none at all.',
    }),
  }),
  stores: {
    /** Of each user: `vcard`, as XML; and `names`, which are in it, as JSON: cards have pictures, and are not to be read for a name. */
    cards: mapStore<string>(),
  },

  setup({ config, disco, hooks, iq, log, on, stopping, stores: { cards } }): VCardApi {
    const changed = new Signal<CardChange>('changed', (signal, error) => log.error('a listener failed', { signal, error }));
    const turns = new OneByOne();
    let naming: Promise<void> | undefined;

    disco.feature('account', NS);
    iq.get('self', NS, 'vCard', showOwn);
    iq.get('account', NS, 'vCard', showOther);
    iq.set('self', NS, 'vCard', change);
    on(hooks.iqReceived, refuse, Priority.guard);

    async function showOwn({ to }: Query): Promise<Element> {
      return (await of(to.local)) ?? xml('vCard', NS);
    }

    /** Without a vCard the answer is the one for an account that does not exist (XEP-0054 section 3.3). */
    async function showOther({ to }: Query): Promise<Element> {
      const card = await of(to.local);
      if (!card) throw new StanzaError('service-unavailable');
      return card;
    }

    function change({ from, payload }: Query): Promise<void> {
      const card = payload.getChildElements().length === 0 ? undefined : payload;
      return turns.run(from.local, () => write(from.local, card, undefined));
    }

    /** Only in turn. */
    async function write(username: string, card: Element | undefined, by: string | undefined): Promise<void> {
      if (card) checkPhotos(card, config.maxPhotoBytes);
      const text = card && writeElement(card);
      if (text !== undefined && Buffer.byteLength(text) > config.maxBytes) throw tooBig('vCard', config.maxBytes);
      const names = card && JSON.stringify(readNames(card));
      await cards.update(
        username,
        new Map([
          ['vcard', text],
          ['names', names],
        ]),
      );
      changed.emit({ username, card, by });
    }

    /** Cards that were set before there were `names`: once. */
    async function nameOld(): Promise<void> {
      if ((await cards.get('', NAMED)) !== undefined) return;
      for (let after: string | undefined; !stopping.aborted; ) {
        const page = await cards.scan('vcard', after, PAGE);
        await Promise.all(page.map(([username, text]) => nameOne(username, text)));
        after = page.at(-1)?.[0];
        if (after === undefined) return cards.update('', new Map([[NAMED, '1']]));
      }
    }

    async function nameOne(username: string, text: string): Promise<void> {
      // A card that is set meanwhile has its names already.
      const isNew = await cards.insert(username, 'names', JSON.stringify(readNames(readElement(text))));
      if (isNew && (await cards.get(username, 'vcard')) === undefined)
        await cards.update(username, new Map([['names', undefined]]));
    }

    async function of(username: string): Promise<Element | undefined> {
      const text = await cards.get(username, 'vcard');
      return text === undefined ? undefined : readElement(text);
    }

    return {
      of,
      async namesOf(username) {
        const text = await cards.get(username, 'names');
        if (text !== undefined) return JSON.parse(text) as CardNames;
        const card = await of(username);
        return card && readNames(card);
      },
      async names(after, max) {
        naming ??= nameOld().catch((error: unknown) => {
          naming = undefined;
          throw error;
        });
        await naming;
        const page = await cards.scan('names', after, max);
        return page.map(([username, text]) => [username, JSON.parse(text) as CardNames]);
      },
      edit: (username, by, edit) =>
        turns.run(username, async () => {
          const before = await of(username);
          const after = edit(before);
          if (after !== before) await write(username, after, by);
        }),
      changed,
    };
  },
});

/** Nobody changes what is another's, whether that account exists or not (XEP-0054 section 3.2). */
function refuse({ stanza, from, to }: Envelope): void {
  if (to.local === '' || to.resource !== '' || stanza.type !== 'set' || to.bare === from.bare) return;
  if (stanza.has('vCard', NS)) throw new StanzaError('forbidden');
}

function checkPhotos(card: Element, maxBytes: number): void {
  for (const part of card.getChildElements()) {
    const data = part.getChildText('BINVAL');
    if (data && data.length / BASE64 > maxBytes + 2) throw tooBig('picture', maxBytes);
  }
}

function tooBig(what: string, bytes: number): StanzaError {
  return new StanzaError('policy-violation', { text: `The ${what} is too big: at most ${bytes} bytes are allowed` });
}
