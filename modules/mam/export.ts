import { type ArchiveItem, type ArchiveStore, type Jid, type Stanza, timeOf, xml } from '#core';
import { tryRead } from './retraction.ts';
import { TAG } from './tag.ts';

const NS_PIE = 'urn:xmpp:pie:0';
const NS_ARCHIVE = 'urn:xmpp:pie:0#mam';
const NS_MAM = 'urn:xmpp:mam:2';
const NS_FORWARD = 'urn:xmpp:forward:0';
const NS_DELAY = 'urn:xmpp:delay';

/** Items held in memory at once. */
const PAGE = 100;

/** xml: the form of XEP-0227, which other servers can import. jsonl: an object on each line, for programs. */
export type ExportFormat = 'xml' | 'jsonl';

/** What is exported, and how. */
export interface ExportRequest {
  readonly messages: ArchiveStore;
  /** The bare JID of the account. */
  readonly account: Jid;
  readonly format: ExportFormat;
  /** Milliseconds since the epoch, inclusive. */
  readonly since?: number;
  /** Give one in any case where the archive goes on growing, or the end may never be reached. */
  readonly until: number;
}

/** A part of an export. */
export interface ExportChunk {
  readonly text: string;
  /** Messages in it. */
  readonly messages: number;
  /** Items left out since they cannot be read: the database is damaged. */
  readonly damaged: number;
  /** The time of the last item; undefined where there is none. */
  readonly time: number | undefined;
}

interface Form {
  readonly head: string;
  readonly tail: string;
  write(item: Required<ArchiveItem>, stanza: Stanza, time: number): string;
}

/** A user's archive as text, oldest first, in parts: never all of it is in memory. */
export async function* exportArchive(request: ExportRequest): AsyncGenerator<ExportChunk> {
  const { messages, account, since, until } = request;
  const form = request.format === 'xml' ? makeXml(account) : JSON_LINES;
  yield { text: form.head, messages: 0, damaged: 0, time: undefined };
  const filter = { ...(since !== undefined && { start: since }), end: until, max: PAGE };
  for (let after: string | undefined; ; ) {
    const page = await messages.query(account.local, { ...filter, ...(after !== undefined && { after }) });
    if (page.items.length > 0) yield writePage(page.items, form);
    if (page.complete) break;
    after = page.items.at(-1)?.id;
  }
  yield { text: form.tail, messages: 0, damaged: 0, time: undefined };
}

function writePage(items: readonly Required<ArchiveItem>[], form: Form): ExportChunk {
  let text = '';
  let written = 0;
  let time: number | undefined;
  for (const item of items) {
    time = timeOf(item.id);
    const stanza = tryRead(item.stanza);
    if (!stanza || time === undefined) continue;
    text += form.write(item, stanza, time);
    written++;
  }
  return { text, messages: written, damaged: items.length - written, time };
}

/** XEP-0227 section 4.11: results as a query of the archive gives them (XEP-0313). Items are XML that stands alone already. */
function makeXml({ local, domain }: Jid): Form {
  const open = (name: string, attrs: Readonly<Record<string, string>>) => xml(name, attrs).toString().replace(/\/>$/, '>');
  return {
    head: [
      "<?xml version='1.0' encoding='UTF-8'?>",
      open('server-data', { xmlns: NS_PIE }),
      open('host', { jid: domain }),
      open('user', { name: local }),
      `${open('archive', { xmlns: NS_ARCHIVE })}\n`,
    ].join('\n'),
    tail: '</archive>\n</user>\n</host>\n</server-data>\n',
    write: ({ id, stanza }, _read, time) =>
      `<result xmlns='${NS_MAM}' id='${id}'><forwarded xmlns='${NS_FORWARD}'>` +
      `<delay xmlns='${NS_DELAY}' stamp='${stampOf(time)}'/>${stanza}</forwarded></result>\n`,
  };
}

const JSON_LINES: Form = {
  head: '',
  tail: '',
  write({ id, with: other, resource, tag, stanza: text }, stanza, time) {
    const { from, to, type = 'normal' } = stanza;
    const line = {
      id,
      time: stampOf(time),
      with: resource === '' ? other : `${other}/${resource}`,
      sent: (tag & TAG.outgoing) !== 0,
      from,
      to,
      type,
      stanzaId: stanza.id,
      body: stanza.text('body'),
      stanza: text,
    };
    return `${JSON.stringify(line)}\n`;
  },
};

function stampOf(time: number): string {
  return new Date(time).toISOString();
}
