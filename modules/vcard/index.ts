// XEP-0054: what a user says of themself to everybody, with a picture.
import {
  defineModule,
  type Element,
  type Envelope,
  mapStore,
  option,
  Priority,
  type Query,
  readElement,
  StanzaError,
  writeElement,
  xml,
} from '#core';

const NS = 'vcard-temp';
/** Where base64 is longer than the bytes it stands for. */
const BASE64 = 4 / 3;

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
  /** Of each user: `vcard`, as XML. */
  stores: { cards: mapStore<string>() },

  setup({ config, disco, hooks, iq, on, stores: { cards } }) {
    disco.feature('account', NS);
    iq.get('self', NS, 'vCard', showOwn);
    iq.get('account', NS, 'vCard', showOther);
    iq.set('self', NS, 'vCard', change);
    on(hooks.iqReceived, refuse, Priority.guard);

    async function showOwn({ to }: Query): Promise<Element> {
      const text = await cards.get(to.local, 'vcard');
      return text === undefined ? xml('vCard', NS) : readElement(text);
    }

    /** Without a vCard the answer is the one for an account that does not exist (XEP-0054 section 3.3). */
    async function showOther({ to }: Query): Promise<Element> {
      const text = await cards.get(to.local, 'vcard');
      if (text === undefined) throw new StanzaError('service-unavailable');
      return readElement(text);
    }

    async function change({ from, payload }: Query): Promise<void> {
      const isEmpty = payload.getChildElements().length === 0;
      if (!isEmpty) checkPhotos(payload, config.maxPhotoBytes);
      const text = isEmpty ? undefined : writeElement(payload);
      if (text !== undefined && Buffer.byteLength(text) > config.maxBytes) throw tooBig('vCard', config.maxBytes);
      await cards.update(from.local, new Map([['vcard', text]]));
    }
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
