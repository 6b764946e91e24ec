/** As much of @xmpp/client as tests use; the package brings no types. */
declare module '@xmpp/client' {
  import type { EventEmitter } from 'node:events';
  import type { Element } from 'ltx';

  export interface Client extends EventEmitter {
    readonly iqCaller: { request(stanza: Element, timeout?: number): Promise<Element> };
    readonly jid: { toString(): string } | null;
    readonly reconnect: { stop(): void };
    start(): Promise<{ toString(): string }>;
    stop(): Promise<unknown>;
    send(stanza: Element): Promise<void>;
    on(event: 'stanza', listener: (stanza: Element) => void): this;
    on(event: string, listener: (...args: never[]) => void): this;
  }

  export function client(options: {
    readonly service: string;
    readonly domain?: string;
    readonly resource?: string;
    readonly username?: string;
    readonly password?: string;
  }): Client;
  export function xml(
    name: string,
    attrs?: Readonly<Record<string, string | undefined>>,
    ...children: readonly (Element | string)[]
  ): Element;
  export function jid(text: string): { toString(): string; bare(): { toString(): string } };
}
