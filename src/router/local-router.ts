import type { Maybe } from '../hooks.ts';
import type { Jid } from '../jid.ts';
import type { Log } from '../log.ts';
import { Envelope, nobody } from '../stanza/envelope.ts';
import { StanzaError } from '../stanza/errors.ts';
import type { Stanza } from '../xml/stanza.ts';
import type { Destination, NodeId, Resource, Router } from './router.ts';

const NONE: readonly Resource[] = [];

/** The router of a single node: everything is owned here, and what is in memory is answered at once. */
export class LocalRouter implements Router {
  readonly #destinations = new Map<string, Destination>();
  readonly #accounts = new Map<string, readonly Resource[]>();
  readonly #log: Log;
  readonly #remote: (env: Envelope) => Maybe<void>;

  /** `remote` takes what is for a domain nobody here serves. */
  constructor(log: Log, remote: (env: Envelope) => Maybe<void>) {
    this.#log = log;
    this.#remote = remote;
  }

  route(env: Envelope): Maybe<void> {
    const destination = this.#destinations.get(env.to.domain);
    return destination ? destination.deliver(env) : this.#remote(env);
  }

  send(stanza: Stanza, from: Jid, to: Jid): void {
    try {
      const pending = this.route(new Envelope(stanza.addressed(from.full, to.full), from, to, nobody));
      if (pending) pending.catch((error: unknown) => this.#report(error));
    } catch (error) {
      this.#report(error);
    }
  }

  owner(_bare: string): NodeId {
    return 'local';
  }

  bind(resource: Resource): Resource | undefined {
    const { bare } = resource.jid;
    const others = this.#accounts.get(bare) ?? NONE;
    const replaced = find(others, resource.jid.full);
    this.#accounts.set(bare, [...others.filter((other) => other !== replaced), resource]);
    return replaced;
  }

  unbind(resource: Resource): boolean {
    const { bare } = resource.jid;
    const all = this.#accounts.get(bare);
    if (!all?.includes(resource)) return false;
    if (all.length === 1) this.#accounts.delete(bare);
    else
      this.#accounts.set(
        bare,
        all.filter((other) => other !== resource),
      );
    return true;
  }

  resources(bare: string): readonly Resource[] {
    return this.#accounts.get(bare) ?? NONE;
  }

  resource(full: Jid): Resource | undefined {
    const all = this.#accounts.get(full.bare);
    return all && find(all, full.full);
  }

  serve(domain: string, destination: Destination): () => void {
    if (this.#destinations.has(domain)) throw new Error(`${domain} is served already`);
    this.#destinations.set(domain, destination);
    return () => {
      if (this.#destinations.get(domain) === destination) this.#destinations.delete(domain);
    };
  }

  waits(domain: string): boolean {
    return this.#destinations.get(domain)?.waits === true;
  }

  serves(domain: string): boolean {
    return this.#destinations.has(domain);
  }

  #report(error: unknown): void {
    if (!(error instanceof StanzaError)) this.#log.error('a stanza of ours failed', { error });
  }
}

function find(resources: readonly Resource[], full: string): Resource | undefined {
  for (const resource of resources) if (resource.jid.full === full) return resource;
  return undefined;
}
