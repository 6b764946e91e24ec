import assert from 'node:assert/strict';
import type { Element } from 'ltx';
import { ArchiveQueries, type ArchiveQueriesParts, type Item, NS_MAM, type PageRead } from '../../modules/mam/query/index.ts';
import { TAG } from '../../modules/mam/tag.ts';
import { option } from '../../src/config/option.ts';
import { makeIdSource } from '../../src/ids.ts';
import { defineModule } from '../../src/module/module.ts';
import { type ArchiveItem, type ArchiveStore, archiveStore } from '../../src/storage/storage.ts';
import { escapeXml } from '../../src/xml/escape.ts';
import type { Probe } from './probe.ts';
import { type HostOptions, startHost, type TestHost } from './start-host.ts';

/** When the first message of an archive was kept, unless a test says otherwise. */
export const EPOCH = Date.UTC(2024, 0, 1);

/** How the queries of a scene differ from the usual ones. */
export interface SceneOptions extends Partial<Pick<ArchiveQueriesParts, 'maxPage' | 'searchLimit' | 'onPage'>> {
  readonly transform?: (item: Item) => string;
  readonly host?: HostOptions;
}

/** A message to be put into an archive. */
export interface Kept {
  readonly with?: string;
  readonly resource?: string;
  readonly tag?: number;
  /** Milliseconds since 1970; a second after the one before if it is not said. */
  readonly time?: number;
  readonly body?: string;
  /** The whole stanza, in place of one with the body. */
  readonly stanza?: string;
}

/** What a query was answered with. */
export interface Answer {
  /** Ids of the results, in the order in which they came. */
  readonly ids: readonly string[];
  readonly results: readonly Element[];
  /** The condition of the error; undefined when there was none. */
  readonly error: string | undefined;
  readonly complete: string | undefined;
  readonly first: string | undefined;
  readonly last: string | undefined;
  readonly count: string | undefined;
}

/** A host that answers queries to archives, and Juliet, who has one. */
export class ArchiveScene {
  readonly host: TestHost;
  readonly store: ArchiveStore;
  readonly juliet: Probe;
  /** What `onPage` was told. */
  readonly pages: PageRead[];
  #time = EPOCH;
  readonly #nextId = makeIdSource(() => this.#time);
  #queries = 0;

  private constructor(parts: Pick<ArchiveScene, 'host' | 'store' | 'juliet' | 'pages'>) {
    this.host = parts.host;
    this.store = parts.store;
    this.juliet = parts.juliet;
    this.pages = parts.pages;
  }

  static async open(options: SceneOptions = {}): Promise<ArchiveScene> {
    const { maxPage = 250, searchLimit = 20_000, onPage, transform } = options;
    const pages: PageRead[] = [];
    let store: ArchiveStore | undefined;
    const module = defineModule({
      name: 'archive',
      doc: 'An archive that is read and not written.',
      config: option.object({}),
      stores: { messages: archiveStore() },
      setup({ iq, log, stopping, stores: { messages } }) {
        store = messages;
        const tell = (page: PageRead) => {
          pages.push(page);
          return onPage?.(page);
        };
        const queries = new ArchiveQueries({ messages, log, maxPage, searchLimit, stopping, onPage: tell });
        iq.get('self', NS_MAM, 'query', () => queries.showForm());
        iq.get('self', NS_MAM, 'metadata', ({ from }) => queries.showMetadata(from.local));
        iq.set('self', NS_MAM, 'query', (query) =>
          queries.query({ owner: query.from.local, archive: query.from.bareJid, query, transform }),
        );
      },
    });
    const host = await startHost([module], options.host);
    assert(store);
    return new ArchiveScene({ host, store, juliet: await host.login('juliet', 'balcony'), pages });
  }

  /** Puts messages into an archive, in this order, and returns them as they were kept. */
  async keep(messages: readonly Kept[], owner = 'juliet'): Promise<readonly Required<ArchiveItem>[]> {
    const items = messages.map((message) => this.#toItem(message));
    await Promise.all(items.map((item) => this.store.append(owner, item)));
    return items;
  }

  /** Asks for a page. `fields` are those of the form; one without values is left blank. `rsm` and `more` are XML. */
  async ask(fields: Readonly<Record<string, readonly string[]>> = {}, rsm = '', more: { attrs?: string; inner?: string } = {}) {
    const set = rsm === '' ? '' : `<set xmlns='http://jabber.org/protocol/rsm'>${rsm}</set>`;
    const form = Object.keys(fields).length === 0 ? '' : writeSubmission(fields);
    return this.send(form + set + (more.inner ?? ''), more.attrs);
  }

  /** Sends a query with this in it, and collects what it is answered with. */
  async send(inner: string, attrs = '', probe = this.juliet): Promise<Answer> {
    const id = `q${++this.#queries}`;
    probe.send(`<iq type='set' id='${id}'><query xmlns='${NS_MAM}' ${attrs}>${inner}</query></iq>`);
    const results: Element[] = [];
    for (;;) {
      const stanza = await probe.receive();
      if (stanza.name === 'message') results.push(stanza.getChild('result', NS_MAM)!);
      else if (stanza.attrs['id'] === id) return toAnswer(stanza, results);
    }
  }

  #toItem(message: Kept): Required<ArchiveItem> {
    this.#time = message.time ?? this.#time + 1000;
    const { with: other = 'romeo@example.net', resource = '', tag = TAG.conversation, body = 'Hail to thee' } = message;
    const from = resource === '' ? other : `${other}/${resource}`;
    const stanza =
      message.stanza ??
      `<message xmlns='jabber:client' from='${from}' to='juliet@example.org' type='chat'><body>${escapeXml(body)}</body></message>`;
    return { id: this.#nextId(), with: other, resource, tag, stanza };
  }
}

/** A form that was filled in, as XML. */
export function writeSubmission(fields: Readonly<Record<string, readonly string[]>>): string {
  const all = { FORM_TYPE: [NS_MAM], ...fields };
  const inner = Object.entries(all).map(
    ([name, values]) =>
      `<field var='${escapeXml(name)}'>${values.map((value) => `<value>${escapeXml(value)}</value>`).join('')}</field>`,
  );
  return `<x xmlns='jabber:x:data' type='submit'>${inner.join('')}</x>`;
}

function toAnswer(iq: Element, results: readonly Element[]): Answer {
  const fin = iq.getChild('fin', NS_MAM);
  const set = fin?.getChild('set', 'http://jabber.org/protocol/rsm');
  const error = iq.getChild('error')?.getChildElements()[0]?.name;
  assert(set || error, `neither a page nor an error: ${iq}`);
  return {
    ids: results.map(({ attrs }) => String(attrs['id'])),
    results,
    error,
    complete: fin?.attrs['complete'] as string | undefined,
    first: set?.getChildText('first') ?? undefined,
    last: set?.getChildText('last') ?? undefined,
    count: set?.getChildText('count') ?? undefined,
  };
}
