// strophe.js inside a page: BOSH as browsers speak it.
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import type { Page } from 'playwright-core';
import type { $msg as makeMessage, $pres as makePresence, Strophe as StropheLibrary } from 'strophe.js';
import { bare, type Login, type Peer, Sightings } from './peer.ts';

type Connection = InstanceType<typeof StropheLibrary.Connection>;

/** What there is in the page. */
interface PageGlobals {
  readonly Strophe: typeof StropheLibrary;
  readonly $msg: typeof makeMessage;
  readonly $pres: typeof makePresence;
  readonly note: (...what: readonly string[]) => void;
  connection: Connection;
}

/** As much of the DOM as the handlers need. */
interface DomElement {
  getAttribute(name: string): string | null;
  getElementsByTagName(name: string): readonly { readonly textContent: string }[];
}

/** strophe.js in a page, over BOSH. */
export class PageStrophePeer implements Peer {
  readonly #page: Page;
  readonly #sightings = new Sightings();

  constructor(page: Page) {
    this.#page = page;
  }

  async start(login: Login): Promise<void> {
    await this.#page.exposeFunction('note', (kind: string, from: string, ...more: readonly string[]) =>
      this.#sightings.note(kind, bare(from), ...more),
    );
    const folder = dirname(createRequire(import.meta.url).resolve('strophe.js/package.json'));
    await this.#page.evaluate(await readFile(join(folder, 'dist', 'strophe.umd.min.js'), 'utf8'));
    await this.#page.evaluate(connectInPage, {
      service: `http://localhost:${login.http}/http-bind`,
      jid: `${login.username}@${login.domain}/page`,
      password: login.password,
    });
    await this.#sightings.wait('status', 'connected');
  }

  /** How it has logged in. */
  mechanism(): Promise<string> {
    return this.#page.evaluate(() => {
      const { connection } = globalThis as unknown as { connection: { _sasl_mechanism?: { mechname: string } } };
      return connection._sasl_mechanism?.mechname ?? '';
    });
  }

  sees(jid: string): Promise<void> {
    return this.#sightings.wait('presence', jid);
  }

  async send(to: string, body: string): Promise<void> {
    await this.#page.evaluate(
      (message) => {
        const { connection, $msg } = globalThis as unknown as PageGlobals;
        connection.send($msg({ to: message.to, type: 'chat' }).c('body').t(message.body));
      },
      { to, body },
    );
  }

  got(from: string, body: string): Promise<void> {
    return this.#sightings.wait('message', from, body);
  }

  async stop(): Promise<void> {
    await this.#page.evaluate(() => (globalThis as unknown as PageGlobals).connection.disconnect('bye'));
    await this.#sightings.wait('status', 'disconnected');
  }
}

/** Runs in the page. */
function connectInPage({ service, jid, password }: { service: string; jid: string; password: string }): void {
  const globals = globalThis as unknown as PageGlobals;
  const { Strophe, $pres, note } = globals;
  const connection = new Strophe.Connection(service);
  globals.connection = connection;
  const see = (stanza: DomElement) => {
    const from = stanza.getAttribute('from') ?? '';
    if (!stanza.getAttribute('type')) note('presence', from);
    const body = stanza.getElementsByTagName('body')[0];
    if (body) note('message', from, body.textContent);
    return true;
  };
  connection.addHandler(see, null as never, 'presence');
  connection.addHandler(see, null as never, 'message');
  connection.connect(jid, password, (status: number) => {
    if (status === Strophe.Status.CONNECTED) connection.send($pres());
    note('status', Object.entries(Strophe.Status).find(([, value]) => value === status)?.[0] ?? String(status));
  });
}
