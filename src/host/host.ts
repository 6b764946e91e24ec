import type { Accounts } from '../auth/accounts.ts';
import type { Maybe } from '../hooks.ts';
import { Jid } from '../jid.ts';
import type { Log } from '../log.ts';
import type { Destination, Router } from '../router/router.ts';
import type { Envelope } from '../stanza/envelope.ts';
import { StanzaError } from '../stanza/errors.ts';
import { deliverIq, deliverMessage, deliverPresence } from './delivery.ts';
import { DiscoRegistry } from './disco.ts';
import { createHooks, createSignals, type HostHooks, type HostSignals } from './hooks.ts';
import { Lines } from './lines.ts';
import { Login, type LoginSettings } from './login.ts';
import { Queries } from './queries.ts';
import { Questions } from './questions.ts';

const NS_SESSION = 'urn:ietf:params:xml:ns:xmpp-session';

/** What a host needs to know of its configuration. */
export interface HostSettings extends LoginSettings {
  /** Messages for a bare JID go to all resources of non-negative priority, not only to those of the highest (RFC 6121 section 8.5.2.1.1). */
  readonly deliverToAll: boolean;
  /** What happens when a client asks for a resource that is taken (RFC 6120 section 7.7.2.2). */
  readonly resourceConflict: 'replace' | 'refuse' | 'rename';
  /** How many resources one account may have bound. */
  readonly resourcesPerAccount: number;
  /** Bare JIDs of those who may administer this host. */
  readonly admins: readonly string[];
}

/** One domain: its hooks, its accounts, and what its modules have registered. */
export class Host implements Destination {
  readonly domain: string;
  readonly jid: Jid;
  readonly waits = true;
  readonly hooks: HostHooks = createHooks();
  readonly signals: HostSignals;
  readonly queries = new Queries();
  readonly disco = new DiscoRegistry();
  readonly questions: Questions;
  readonly login: Login;
  readonly accounts: Accounts;
  readonly router: Router;
  readonly log: Log;
  /** Other domains that its modules answer for, such as that of its rooms. */
  readonly subdomains = new Set<string>();
  config: HostSettings;
  readonly #lines = new Lines();
  #changing: Promise<void> | undefined = undefined;

  constructor(domain: string, parts: { config: HostSettings; accounts: Accounts; router: Router; log: Log }) {
    this.domain = domain;
    this.jid = Jid.of('', domain);
    this.config = parts.config;
    this.accounts = parts.accounts;
    this.router = parts.router;
    this.log = parts.log;
    this.login = new Login(this);
    this.questions = new Questions(parts.router, parts.log);
    this.signals = createSignals((signal, error) => this.log.error('a listener failed', { signal, error }));
    // RFC 3921 section 3: older clients ask for a session after binding, which has done all there is to do.
    for (const at of ['server', 'self'] as const) this.queries.add('set', at, NS_SESSION, 'session', () => {});
  }

  /** Resolves when all modules run again; undefined when they do. What clients say meanwhile waits: half of the modules would not see it. */
  get changing(): Promise<void> | undefined {
    return this.#changing;
  }

  /** Modules are about to be stopped and started; returns what is to be called when that is over, whatever has come of it. */
  beginChange(): () => void {
    let end: () => void = () => {};
    this.#changing = new Promise((resolve) => {
      end = () => {
        this.#changing = undefined;
        resolve();
      };
    });
    return end;
  }

  /** Takes a stanza from one of this host's clients: its own hooks first, then the router. Throws StanzaError to refuse it. */
  accept(env: Envelope): Maybe<void> {
    const verdict = sentHook(this.hooks, env.stanza.name).run(env);
    if (verdict === true) return;
    if (verdict instanceof Promise) return verdict.then((handled) => (handled ? undefined : this.#forward(env)));
    return this.#forward(env);
  }

  /** Takes a stanza addressed to this host or one of its accounts. Throws StanzaError to refuse it. */
  deliver(env: Envelope): Maybe<void> {
    return env.stanza.name === 'message' && env.to.local !== ''
      ? this.#lines.enter(env, (each) => this.#take(each))
      : this.#take(env);
  }

  /** Resolves when what has come for an account so far was given to it or kept; undefined when it was. Never rejects. */
  underway(bare: string): Promise<void> | undefined {
    return this.#lines.last(bare);
  }

  #take(env: Envelope): Maybe<void> {
    const verdict = receivedHook(this.hooks, env.stanza.name).run(env);
    if (verdict === true) return;
    if (verdict instanceof Promise) return verdict.then((handled) => (handled ? undefined : this.#place(env)));
    return this.#place(env);
  }

  /** Lets modules do what is to be done before an account is erased. Never rejects: what fails is logged, and the erasure goes on. */
  async prepareDeletion(username: string): Promise<void> {
    try {
      await this.hooks.accountDeleting.run({ username });
    } catch (error) {
      this.log.error('an account is deleted though a module has failed to take leave of it', { username, error });
    }
  }

  #forward(env: Envelope): Maybe<void> {
    // Presence without an address is a broadcast (RFC 6121 section 4.4.2), which is a module's work.
    if (env.stanza.to === undefined && env.stanza.name === 'presence') return;
    // A host that is served here waits itself, so that both ends of a conversation are stored together.
    if (env.stored && !this.router.waits(env.to.domain)) {
      env.isBeingStored = true;
      return env.stored.then(() => this.router.route(env));
    }
    return this.router.route(env);
  }

  #place(env: Envelope): Maybe<void> {
    if (!env.stored) return this.#hand(env);
    env.isBeingStored = true;
    return env.stored.then(() => this.#hand(env));
  }

  #hand(env: Envelope): Maybe<void> {
    switch (env.stanza.name) {
      case 'message':
        return deliverMessage(this, env);
      case 'presence':
        return deliverPresence(this, env);
      default:
        return deliverIq(this, env);
    }
  }

  /** Takes a stanza of a local sender for a domain nobody here serves: to federation, or back as `remote-server-not-found`. */
  toRemote(env: Envelope): Maybe<void> {
    const verdict = this.hooks.remote.run(env);
    if (verdict === true) return;
    if (verdict instanceof Promise) return verdict.then((handled) => (handled ? undefined : notFound()));
    notFound();
  }
}

function notFound(): never {
  throw new StanzaError('remote-server-not-found');
}

function sentHook(hooks: HostHooks, name: string) {
  return name === 'message' ? hooks.messageSent : name === 'presence' ? hooks.presenceSent : hooks.iqSent;
}

function receivedHook(hooks: HostHooks, name: string) {
  return name === 'message' ? hooks.messageReceived : name === 'presence' ? hooks.presenceReceived : hooks.iqReceived;
}
