// The upload service: gives out slots (XEP-0363), and takes files back.
import {
  type Destination,
  type Element,
  type Envelope,
  Jid,
  type Maybe,
  readDateTime,
  resultOf,
  StanzaError,
  writeForm,
  xml,
} from '#core';
import { tidy, writeInfo, writeItems } from '../disco/answer.ts';
import type { Files } from './files.ts';
import type { Access, FileRecord, Purpose } from './record.ts';
import { isAmong, readType } from './types.ts';

export const NS_UPLOAD = 'urn:xmpp:http:upload:0';
const NS_PURPOSE = 'urn:xmpp:http:upload:purpose:0';
/** Our own: whom a file is for, tickets, and taking it back. */
export const NS_OWN = 'parlance:upload:1';
/** The PUT address of a slot may be filled in pieces, by tus 1.0. */
const NS_TUS = 'https://tus.io/protocols/resumable-upload';
const NS_INFO = 'http://jabber.org/protocol/disco#info';
const NS_ITEMS = 'http://jabber.org/protocol/disco#items';
const NS_PING = 'urn:xmpp:ping';

const PURPOSES: readonly Purpose[] = ['message', 'profile', 'ephemeral', 'permanent'];
const MAX_NAME = 255;

/** What a service works with. */
export interface ServiceParts {
  readonly files: Files;
  readonly jid: Jid;
  readonly name: string;
  /** The address below which files are: `https://example.org:5281/upload/`. Undefined when nothing is served over HTTP. */
  site(): string | undefined;
  readonly maxFileSize: number;
  /** Types that are taken, and those that are not: `image/*`. */
  readonly types: { readonly allow: readonly string[]; readonly deny: readonly string[] };
  readonly access: Access;
  /** Milliseconds. */
  readonly slotTime: number;
  readonly linkTime: number;
  readonly ticketTime: number;
  /** For how long files of a purpose are kept, in milliseconds; 0 for ever, undefined when they are not taken. */
  keepFor(purpose: Purpose): number | undefined;
  mayUpload(by: Jid): boolean;
  /** Whether somebody is one of those whom a file was sent to. */
  isReader(by: Jid, record: FileRecord): Maybe<boolean>;
  /** Whether somebody may take a file away that is not theirs. */
  mayRevoke(by: Jid, record: FileRecord): Maybe<boolean>;
}

/** Answers for the domain of the service. */
export class UploadService implements Destination {
  readonly #parts: ServiceParts;

  constructor(parts: ServiceParts) {
    this.#parts = parts;
  }

  async deliver(env: Envelope): Promise<void> {
    const { stanza, to, from } = env;
    if (stanza.name === 'presence' || stanza.type === 'error' || stanza.type === 'result') return;
    if (stanza.name === 'message' || to.local !== '' || to.resource !== '') throw new StanzaError('service-unavailable');
    const payload = stanza.element.getChildElements()[0]!;
    const answer = await (stanza.type === 'get' ? this.#show(payload, from) : this.#change(payload, from));
    env.origin.send(resultOf(env, answer));
  }

  #show(payload: Element, from: Jid): Maybe<Element | undefined> {
    if (payload.is('request', NS_UPLOAD)) return this.#open(payload, from);
    if (payload.is('ticket', NS_OWN)) return this.#giveTicket(payload, from);
    if (payload.is('query', NS_INFO)) return this.#describe(payload);
    if (payload.is('query', NS_ITEMS)) return writeItems([], undefined);
    if (payload.is('ping', NS_PING)) return undefined;
    throw new StanzaError('service-unavailable');
  }

  #change(payload: Element, from: Jid): Maybe<undefined> {
    if (payload.is('delete', NS_OWN)) return this.#revoke(payload, from);
    if (payload.is('share', NS_OWN)) return this.#share(payload, from);
    throw new StanzaError('service-unavailable');
  }

  #describe(payload: Element): Element {
    if (payload.attrs['node'] !== undefined) throw new StanzaError('item-not-found');
    const { name, maxFileSize, keepFor } = this.#parts;
    const purposes = PURPOSES.filter((purpose) => keepFor(purpose) !== undefined).map((purpose) => `${NS_PURPOSE}#${purpose}`);
    const form = writeForm('result', NS_UPLOAD, [{ name: 'max-file-size', values: [String(maxFileSize)] }]);
    return writeInfo(
      tidy({
        identities: [{ category: 'store', type: 'file', name }],
        features: [NS_INFO, NS_ITEMS, NS_PING, NS_UPLOAD, NS_OWN, NS_TUS, ...purposes],
        forms: [form],
      }),
      undefined,
    );
  }

  async #open(request: Element, from: Jid): Promise<Element> {
    const { files, mayUpload, site, slotTime, types } = this.#parts;
    if (!mayUpload(from)) throw new StanzaError('forbidden', { text: 'Only those with an account here may upload files' });
    const base = site();
    if (base === undefined) throw new StanzaError('service-unavailable', { text: 'Nothing is served over HTTP' });
    const name = readName(request.attrs['filename']);
    const size = this.#readSize(request.attrs['size']);
    const given: unknown = request.attrs['content-type'];
    const type = typeof given === 'string' && given !== '' ? readType(given) : '';
    const judged = type || 'application/octet-stream';
    if (!isAmong(judged, types.allow) || isAmong(judged, types.deny)) {
      throw new StanzaError('not-acceptable', { text: `Files of the type ${judged} are not taken` });
    }
    const { purpose, notAfter } = this.#readPurpose(request);
    const own = this.#readOwn(request);
    const expires = Math.min(Date.now() + slotTime, notAfter ?? Number.POSITIVE_INFINITY);
    const last = notAfter === undefined ? {} : { notAfter };
    const { id, token } = await files.open({ owner: from.local, name, type, size, purpose, expires, ...last, ...own });
    const url = `${base}${id}/${encodeURIComponent(name)}`;
    const ticket = own.access === 'signed' ? `?ticket=${files.writeTicket(id, '', Date.now() + this.#parts.linkTime)}` : '';
    const header = xml('header', { name: 'Authorization' }, `Bearer ${token}`);
    return xml('slot', NS_UPLOAD, xml('put', { url }, header), xml('get', { url: `${url}${ticket}` }));
  }

  #readSize(text: unknown): number {
    const { maxFileSize } = this.#parts;
    const size = typeof text === 'string' && /^\d{1,15}$/.test(text) ? Number(text) : 0;
    if (size === 0) throw new StanzaError('bad-request', { text: 'The size is a number of bytes' });
    if (size <= maxFileSize) return size;
    const extra = xml('file-too-large', NS_UPLOAD, xml('max-file-size', {}, String(maxFileSize)));
    throw new StanzaError('not-acceptable', { text: `Files may have ${maxFileSize} bytes`, extra });
  }

  /** Section 6: without a purpose it is for a message. An ephemeral file is gone by the time that is named. */
  #readPurpose(request: Element): { readonly purpose: Purpose; readonly notAfter?: number } {
    const named = PURPOSES.filter((each) => request.getChild(each, NS_PURPOSE));
    const purpose = named[0] ?? 'message';
    if (named.length > 1) throw new StanzaError('bad-request', { text: 'A file is for one purpose' });
    if (this.#parts.keepFor(purpose) === undefined) throw new StanzaError('feature-not-implemented');
    if (purpose !== 'ephemeral') return { purpose };
    const notAfter = readDateTime(String(request.getChild(purpose, NS_PURPOSE)?.attrs['expire-before']));
    if (notAfter === undefined || notAfter <= Date.now())
      throw new StanzaError('bad-request', { text: 'expire-before is a time to come' });
    return { purpose, notAfter };
  }

  #readOwn(request: Element): Pick<FileRecord, 'access' | 'with'> {
    const wanted = request.getChild('access', NS_OWN);
    const to: unknown = wanted?.attrs['to'];
    const mode: unknown = wanted?.attrs['mode'];
    const jid = typeof to === 'string' ? Jid.tryParse(to)?.bare : undefined;
    if (typeof to === 'string' && jid === undefined) throw new StanzaError('bad-request', { text: 'There is no such address' });
    if (mode !== undefined && mode !== 'link' && mode !== 'signed' && mode !== 'people') {
      throw new StanzaError('bad-request', { text: 'Files are for whoever has the link, a signed link, or for people' });
    }
    return { access: mode ?? this.#parts.access, ...(jid !== undefined && { with: jid }) };
  }

  /** Lets one of those a file was sent to fetch it. */
  async #giveTicket(payload: Element, from: Jid): Promise<Element> {
    const { files, isReader, ticketTime } = this.#parts;
    const { id, record } = await this.#find(payload);
    const isOwn = this.#isOwn(from, record);
    if (!isOwn && record.access === 'people' && !(await isReader(from, record))) throw new StanzaError('item-not-found');
    const until = Date.now() + ticketTime;
    return xml(
      'ticket',
      { xmlns: NS_OWN, url: String(payload.attrs['url']), expires: new Date(until).toISOString() },
      files.writeTicket(id, from.bare, until),
    );
  }

  async #revoke(payload: Element, from: Jid): Promise<undefined> {
    const { files, mayRevoke } = this.#parts;
    const { id, record } = await this.#find(payload);
    if (!this.#isOwn(from, record) && !(await mayRevoke(from, record))) throw new StanzaError('item-not-found');
    const done = await files.alone(id, async () => {
      await files.remove(id, record);
      return true;
    });
    if (!done) throw new StanzaError('resource-constraint', { text: 'It is being uploaded' });
    return undefined;
  }

  /** Says whom a file is for. */
  async #share(payload: Element, from: Jid): Promise<undefined> {
    const { id, record } = await this.#find(payload);
    const to = Jid.tryParse(String(payload.attrs['to']));
    if (!this.#isOwn(from, record)) throw new StanzaError('item-not-found');
    if (!to) throw new StanzaError('bad-request', { text: 'There is no such address' });
    await this.#parts.files.share(id, record, to.bare);
    return undefined;
  }

  #isOwn(by: Jid, { owner }: FileRecord): boolean {
    return this.#parts.mayUpload(by) && by.local === owner;
  }

  async #find(payload: Element): Promise<{ readonly id: string; readonly record: FileRecord }> {
    const id = /\/([\w-]{8,64})\/[^/]*$/.exec(String(payload.attrs['url']).split(/[?#]/, 1)[0]!)?.[1];
    const record = id === undefined ? undefined : await this.#parts.files.find(id);
    if (!record) throw new StanzaError('item-not-found');
    return { id: id!, record };
  }
}

/** The name without what would make it another path, or hide its ending. */
function readName(given: unknown): string {
  const name = String(given ?? '')
    .normalize('NFC')
    .replace(/[\u0000-\u001f\u007f\u200b-\u200f\u202a-\u202e\u2066-\u2069/\\]/g, '_')
    .trim();
  if (typeof given !== 'string' || name === '' || Buffer.byteLength(name) > MAX_NAME) {
    throw new StanzaError('bad-request', { text: `A file has a name of at most ${MAX_NAME} bytes` });
  }
  return /^\.+$/.test(name) ? '_' : name;
}
