import assert from 'node:assert/strict';
import { EventEmitter, once } from 'node:events';
import type { Element } from 'ltx';
import push, { type PushApi } from '../../modules/push/index.ts';
import { defineModule, Envelope, Jid, option, Stanza, type StanzaCondition, StanzaError, xml } from '../../src/index.ts';
import type { AnyModule } from '../../src/module/module.ts';
import { type Probe, settle } from './probe.ts';
import { type HostOptions, startHost, type TestHost } from './start-host.ts';

export const NS_PUSH = 'urn:xmpp:push:0';
const NS_STANZAS = 'urn:ietf:params:xml:ns:xmpp-stanzas';
const PATIENCE = 2000;

/** An app server of a test: it keeps what it is notified of, and answers as the test says. */
export class AppServer {
  readonly #host: TestHost;
  readonly #jid: Jid;
  readonly #arrived: Element[] = [];
  readonly #news = new EventEmitter();
  /** What it answers: a result, an error of this condition, or nothing. */
  answers: 'result' | 'nothing' | StanzaCondition = 'result';

  constructor(host: TestHost, domain: string) {
    this.#host = host;
    this.#jid = Jid.parse(domain);
    host.host.router.serve(domain, {
      deliver: ({ stanza }) => {
        const { element } = stanza;
        this.#arrived.push(element);
        this.#news.emit('stanza');
        if (this.answers !== 'nothing') this.answer(element, this.answers);
      },
    });
  }

  /** The next notification. */
  async receive(): Promise<Element> {
    const deadline = AbortSignal.timeout(PATIENCE);
    while (this.#arrived.length === 0) {
      try {
        await once(this.#news, 'stanza', { signal: deadline });
      } catch {
        throw new assert.AssertionError({ message: `no notification came to ${this.#jid}` });
      }
    }
    return this.#arrived.shift()!;
  }

  /** All that has come and was not received yet. */
  take(): readonly Element[] {
    return this.#arrived.splice(0);
  }

  /** Waits until all is handled, then asserts that nothing has come. */
  async quiet(): Promise<void> {
    await settle();
    assert.deepEqual(this.#arrived.map(String), []);
  }

  /** Answers a notification, as whoever it is. */
  answer({ attrs }: Element, answer: 'result' | StanzaCondition = 'result', from: Jid = this.#jid): void {
    const head = { id: String(attrs['id']), from: from.full, to: String(attrs['from']) };
    const reply =
      answer === 'result'
        ? xml('iq', { ...head, type: 'result' })
        : xml('iq', { ...head, type: 'error' }, new StanzaError(answer).toElement());
    this.#host.host.router.send(Stanza.of(reply), from, Jid.parse(head.to));
  }

  /** Sends a stanza of its own. */
  async send(stanza: Element): Promise<void> {
    const to = Jid.parse(String(stanza.attrs['to']));
    const env = new Envelope(Stanza.of(stanza).addressed(this.#jid.full, to.full), this.#jid, to, { send() {} });
    await this.#host.host.router.route(env);
    await settle();
  }
}

/** A host with push notifications, romeo who writes, and an app server. */
export class PushScene {
  readonly host: TestHost;
  readonly romeo: Probe;
  readonly app: AppServer;
  readonly api: PushApi;

  private constructor(host: TestHost, romeo: Probe, api: PushApi) {
    this.host = host;
    this.romeo = romeo;
    this.api = api;
    this.app = new AppServer(host, 'push.example.org');
  }

  /** `config` is that of the module; notifications do not wait unless it says so. */
  static async open(more: readonly AnyModule[], config: object = {}, options: HostOptions = {}): Promise<PushScene> {
    let api: PushApi | undefined;
    const taker = defineModule({
      name: 'taker',
      doc: 'Takes the API.',
      needs: [push],
      config: option.object({}),
      setup: ({ use }) => void (api = use(push)),
    });
    const modules = { ...options.modules, push: { interval: 0, lookEvery: '10ms', ...config } };
    const host = await startHost([...more, push, taker], { ...options, modules });
    return new PushScene(host, await host.online('romeo', 'orchard'), api!);
  }

  /** A client of juliet's that has registered, and has gone. */
  async registered(node = 'node', resource = 'phone'): Promise<void> {
    const juliet = await this.host.online('juliet', resource);
    assertResult(await juliet.ask(enable(node)));
    juliet.leave();
    await settle();
  }

  /** romeo writes to juliet; returns when that has been handled. */
  async write(body: string, more = '', to = 'juliet@example.org'): Promise<void> {
    this.romeo.send(`<message type='chat' to='${to}' id='m'><body>${body}</body>${more}</message>`);
    await settle();
  }

  async stop(): Promise<void> {
    await this.host.stop();
  }
}

/** The request to register. */
export function enable(node: string | undefined, inner = '', jid = 'push.example.org'): string {
  const at = node === undefined ? '' : `node='${node}'`;
  return `<iq type='set'><enable xmlns='${NS_PUSH}' jid='${jid}' ${at}>${inner}</enable></iq>`;
}

/** The request to take that back. */
export function disable(node: string | undefined, jid = 'push.example.org'): string {
  const at = node === undefined ? '' : `node='${node}'`;
  return `<iq type='set'><disable xmlns='${NS_PUSH}' jid='${jid}' ${at}/></iq>`;
}

/** A form of publish options with these fields. */
export function options(fields: Readonly<Record<string, string>>): string {
  const all = Object.entries({ FORM_TYPE: 'http://jabber.org/protocol/pubsub#publish-options', ...fields });
  const written = all.map(([name, value]) => `<field var='${name}'><value>${value}</value></field>`).join('');
  return `<x xmlns='jabber:x:data' type='submit'>${written}</x>`;
}

export function assertResult(iq: Element): void {
  assert.equal(iq.attrs['type'], 'result', String(iq));
}

/** The condition of an error. */
export function conditionIn(iq: Element): string | undefined {
  const child = iq.getChild('error')?.getChildElements()[0];
  return child?.getNS() === NS_STANZAS ? child.name : undefined;
}

/** The node a notification is for. */
export function nodeOf(iq: Element): string | undefined {
  return iq.getChild('pubsub')?.getChild('publish')?.attrs['node'];
}

/** What its summary says, without FORM_TYPE. */
export function summaryOf(iq: Element): Readonly<Record<string, string>> {
  const notification = iq.getChild('pubsub')?.getChild('publish')?.getChild('item')?.getChild('notification', NS_PUSH);
  assert(notification, String(iq));
  return fieldsOf(notification.getChild('x', 'jabber:x:data'));
}

/** The publish options that come with it; undefined when there are none. */
export function optionsOf(iq: Element): Readonly<Record<string, string>> | undefined {
  const form = iq.getChild('pubsub')?.getChild('publish-options')?.getChild('x', 'jabber:x:data');
  return form && fieldsOf(form);
}

function fieldsOf(form: Element | undefined): Readonly<Record<string, string>> {
  const fields = form?.getChildren('field') ?? [];
  const all = fields.map((field) => [String(field.attrs['var']), field.getChildText('value') ?? ''] as const);
  return Object.fromEntries(all.filter(([name]) => name !== 'FORM_TYPE'));
}
