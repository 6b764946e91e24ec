import type { Element } from 'ltx';
import disco from '../../modules/disco/index.ts';
import httpUpload from '../../modules/http-upload/index.ts';
import type { AnyModule } from '../../src/module/module.ts';
import { type Answer, TestHttp } from '../unit/net/http-support.ts';
import type { Probe } from './probe.ts';
import { type HostOptions, startHost, type TestHost } from './start-host.ts';

export const SERVICE = 'upload.example.org';
export const NS_UPLOAD = 'urn:xmpp:http:upload:0';

/** A slot as a client sees it. */
export interface Slot {
  /** Paths, without the origin. */
  readonly put: string;
  readonly get: string;
  readonly authorization: string;
}

/** How a scene differs from the usual one. */
export interface UploadOptions {
  readonly config?: unknown;
  readonly more?: readonly AnyModule[];
  readonly host?: HostOptions;
}

/** A host that takes files, with a listener for HTTP, and somebody who sends some. */
export class UploadScene {
  readonly host: TestHost;
  readonly http: TestHttp;
  readonly romeo: Probe;

  private constructor(host: TestHost, http: TestHttp, romeo: Probe) {
    this.host = host;
    this.http = http;
    this.romeo = romeo;
  }

  static async start({ config = {}, more = [], host: options = {} }: UploadOptions = {}): Promise<UploadScene> {
    let port = 0;
    const endpoints = { websocket: '/ws', bosh: '/bosh', site: () => `http://example.org:${port}` };
    const modules = { ...options.modules, 'http-upload': config };
    const host = await startHost([disco, httpUpload, ...more], { endpoints, ...options, modules });
    const http = await TestHttp.start({ site: host.site });
    port = http.port;
    return new UploadScene(host, http, await host.login('romeo', 'orchard'));
  }

  async stop(): Promise<void> {
    this.http.stop();
    await this.host.stop();
  }

  /** Asks for a slot; `attrs` and `inner` are XML. */
  request(attrs: string, inner = '', by: Probe = this.romeo): Promise<Element> {
    return by.ask(`<iq type='get' to='${SERVICE}'><request xmlns='${NS_UPLOAD}' ${attrs}>${inner}</request></iq>`);
  }

  async slot(size: number, inner = '', by: Probe = this.romeo): Promise<Slot> {
    const answer = await this.request(`filename='a b.png' size='${size}' content-type='image/png'`, inner, by);
    const slot = answer.getChild('slot', NS_UPLOAD)!;
    const path = (name: string) => String(slot.getChild(name)!.attrs['url']).replace(/^https?:\/\/[^/]+/, '');
    return { put: path('put'), get: path('get'), authorization: slot.getChild('put')!.getChildText('header')! };
  }

  put({ put, authorization }: Slot, body: string | Buffer, headers: Readonly<Record<string, string>> = {}): Promise<Answer> {
    const length = String(Buffer.byteLength(body));
    return this.http.ask(put, {
      method: 'PUT',
      body,
      headers: { Authorization: authorization, 'Content-Length': length, ...headers },
    });
  }

  /** A file that is there. */
  async upload(body: string, inner = '', by: Probe = this.romeo): Promise<Slot> {
    const slot = await this.slot(Buffer.byteLength(body), inner, by);
    await this.put(slot, body);
    return slot;
  }
}
