import { once } from 'node:events';
import { request } from 'node:http';
import { type Element, parse } from 'ltx';
import type { Answer, TestHttp } from './http-support.ts';
import type { Recorder } from './support.ts';

export const NS = "xmlns='http://jabber.org/protocol/httpbind'";
export const XBOSH = "xmlns:xmpp='urn:xmpp:xbosh'";
export const OPENED = "<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' from='example.org' id='x' version='1.0' xml:lang='en'/>";
export const FEATURES =
  "<stream:features xmlns:stream='http://etherx.jabber.org/streams'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></stream:features>";
export const CLOSE = "<close xmlns='urn:ietf:params:xml:ns:xmpp-framing'/>";
/** A stanza with this text. */
export const message = (text: string) => `<message xmlns='jabber:client'><body>${text}</body></message>`;

/** A request that is under way. */
export interface Asked {
  /** Resolves with the response's <body/>. */
  readonly body: Promise<Element>;
  readonly answer: Promise<Answer>;
  /** Breaks the line. */
  abort(): void;
}

/** A client of BOSH that numbers its requests. */
export class BoshClient {
  readonly server: TestHttp;
  recorder!: Recorder;
  sid = '';
  rid = 1000;

  constructor(server: TestHttp) {
    this.server = server;
  }

  /** Sends any text. */
  post(text: string | Buffer, headers: Readonly<Record<string, string>> = {}): Asked {
    const asking = request({
      port: this.server.port,
      host: '127.0.0.1',
      path: '/http-bind',
      method: 'POST',
      agent: false,
      headers: { Host: 'a', ...headers },
    });
    asking.end(text);
    const answer = once(asking, 'response').then(async ([response]): Promise<Answer> => {
      const chunks: Buffer[] = [];
      for await (const chunk of response) chunks.push(chunk);
      return { status: response.statusCode, headers: response.headers, body: Buffer.concat(chunks).toString() };
    });
    const body = answer.then((each) => parse(each.body));
    answer.catch(() => {});
    body.catch(() => {});
    return { answer, body, abort: () => void asking.destroy() };
  }

  /** Asks for a session, whose core answers with features. */
  async create(attrs = "hold='1' wait='60' ver='1.11'", features = FEATURES): Promise<Element> {
    const asked = this.post(
      `<body rid='${this.rid}' to='example.org' xml:lang='de' ${attrs} xmpp:version='1.0' ${NS} ${XBOSH}/>`,
    );
    this.recorder = await this.server.accepting.next();
    await this.recorder.until(() => this.recorder.chunks.length === 1);
    this.recorder.transport.send(OPENED);
    if (features !== '') this.recorder.transport.send(features);
    const body = await asked.body;
    this.sid = body.attrs['sid'];
    return body;
  }

  /** Sends the next request. */
  send(payload = '', attrs = '', rid = ++this.rid): Asked {
    const head = `<body rid='${rid}' sid='${this.sid}' ${attrs} ${NS} ${XBOSH}`;
    return this.post(payload === '' ? `${head}/>` : `${head}>${payload}</body>`);
  }
}

/** Some attributes of a response. */
export function attributes(body: Element, ...names: string[]): unknown[] {
  return names.map((name) => body.attrs[name]);
}

/** The payloads of a response. */
export const children = (body: Element) => body.getChildElements().map(String);
