import type { Accounts } from '../auth/accounts.ts';
import type { ChannelBindingType, SaslContext, SaslExchange, SaslMechanism } from '../auth/sasl.ts';
import type { Transport } from '../net/transport.ts';
import { SaslError } from '../stanza/errors.ts';

/** What a host says about how to log in. */
export interface LoginSettings {
  /** Nothing but STARTTLS is offered on a connection in the clear. */
  readonly requireEncryption: boolean;
  /** Exempts connections from loopback addresses, for tools and tests. */
  readonly trustLoopback: boolean;
}

/** The ways to log in to a host: the mechanisms of the core and those of modules. */
export class Login {
  readonly #host: { readonly domain: string; readonly accounts: Accounts; readonly config: LoginSettings };
  #mechanisms: readonly SaslMechanism[] = [];

  constructor(host: { readonly domain: string; readonly accounts: Accounts; readonly config: LoginSettings }) {
    this.#host = host;
  }

  /** Adds a mechanism; returns what takes it back. Throws when the name is taken. */
  add(mechanism: SaslMechanism): () => void {
    if (this.#mechanisms.some(({ name }) => name === mechanism.name)) throw new Error(`two modules offer ${mechanism.name}`);
    this.#mechanisms = [...this.#mechanisms, mechanism].sort((a, b) => b.strength - a.strength);
    return () => {
      this.#mechanisms = this.#mechanisms.filter((other) => other !== mechanism);
    };
  }

  /** Whether this connection has to be encrypted before anything else. */
  mustEncrypt(transport: Transport): boolean {
    const { requireEncryption, trustLoopback } = this.#host.config;
    return requireEncryption && !transport.secure && !(trustLoopback && transport.loopback);
  }

  /** The names of the mechanisms that may be used on this connection, strongest first. */
  offered(transport: Transport): readonly string[] {
    return this.#usable(transport).map(({ name }) => name);
  }

  /**
   * The channel-binding types of this connection, where any mechanism that is offered binds to them: types without such mechanisms make
   * a client give up, as under an attack (XEP-0440 section 4).
   */
  bindings(transport: Transport, offered: readonly string[]): readonly ChannelBindingType[] {
    const { tls } = transport;
    if (!tls || !offered.some((name) => name.endsWith('-PLUS'))) return [];
    const types: ChannelBindingType[] = tls.protocol === 'TLSv1.3' ? ['tls-exporter'] : [];
    if (tls.serverEndPoint()) types.push('tls-server-end-point');
    return types;
  }

  /** Begins an exchange; throws SaslError `invalid-mechanism` for what is not offered here. `offered` is what was announced. */
  start(name: string, transport: Transport, offered: readonly string[]): SaslExchange {
    const mechanism = this.#usable(transport).find((usable) => usable.name === name);
    // Not announced on this stream, it is not in what XEP-0474 hashes either.
    if (!mechanism || !offered.includes(name)) throw new SaslError('invalid-mechanism');
    const context: SaslContext = {
      domain: this.#host.domain,
      accounts: this.#host.accounts,
      tls: transport.tls,
      remoteAddress: transport.remoteAddress,
      offered,
      bindings: this.bindings(transport, offered),
    };
    return mechanism.start(context);
  }

  #usable(transport: Transport): readonly SaslMechanism[] {
    const { tls, secure, loopback } = transport;
    return this.#mechanisms.filter((mechanism) => mechanism.isOffered({ tls, secure, loopback, domain: this.#host.domain }));
  }
}
