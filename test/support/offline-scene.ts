import type { Element } from 'ltx';
import offline from '../../modules/offline/index.ts';
import type { AnyModule } from '../../src/module/module.ts';
import { type Probe, settle } from './probe.ts';
import { type HostOptions, startHost, type TestHost } from './start-host.ts';

/** A host that keeps messages, romeo who is online, and juliet who is not. */
export class OfflineScene {
  readonly host: TestHost;
  readonly romeo: Probe;

  private constructor(host: TestHost, romeo: Probe) {
    this.host = host;
    this.romeo = romeo;
  }

  /** `config` is that of the module. */
  static async open(config: unknown = {}, options: HostOptions = {}, more: readonly AnyModule[] = []): Promise<OfflineScene> {
    const host = await startHost([offline, ...more], { ...options, modules: { offline: config } });
    const romeo = await host.online('romeo', 'orchard');
    await host.host.accounts.create('juliet', 'secret');
    return new OfflineScene(host, romeo);
  }

  /** romeo writes to juliet; returns when that has been handled. */
  async write(...bodies: readonly string[]): Promise<void> {
    for (const body of bodies) this.romeo.send(chat(body));
    await settle();
  }

  /** juliet comes online; returns her client and what it has got. */
  async arrive(
    resource?: string,
    presence = '<presence/>',
  ): Promise<{ readonly juliet: Probe; readonly bodies: readonly string[] }> {
    const juliet = await this.host.login('juliet', resource);
    juliet.send(presence);
    await settle();
    return { juliet, bodies: bodiesOf(juliet.take()) };
  }
}

/** A chat message to juliet. */
export function chat(body: string, to = 'juliet@example.org'): string {
  return `<message type='chat' to='${to}' id='${body.slice(0, 20)}'><body>${body}</body></message>`;
}

/** The texts of the messages among these. */
export function bodiesOf(stanzas: readonly Element[]): string[] {
  return stanzas.filter(({ name }) => name === 'message').map((message) => message.getChildText('body') ?? '');
}
