import { Jid } from '../jid.ts';
import { option } from './option.ts';
import type { Infer } from './schema.ts';
import {
  type AuthenticationConfig,
  authentication,
  authenticationOverrides,
  type LimitsConfig,
  limits,
  type SessionsConfig,
  sessionOverrides,
  sessions,
} from './sections/limits.ts';
import {
  type HttpConfig,
  http,
  type ListenerConfig,
  listeners,
  type TlsConfig,
  tls,
  trustedProxies,
} from './sections/listening.ts';
import {
  type LogConfig,
  log,
  type MetricsConfig,
  metrics,
  type ShutdownConfig,
  type StorageConfig,
  shutdown,
  storage,
} from './sections/running.ts';

export type {
  AuthenticationConfig,
  HttpConfig,
  LimitsConfig,
  ListenerConfig,
  LogConfig,
  MetricsConfig,
  SessionsConfig,
  ShutdownConfig,
  StorageConfig,
  TlsConfig,
};

/** Where a host's certificate comes from: looked for in tls.certificates, made by the server itself, or these files. */
const certificate = option.union(
  [
    option.choice(['auto', 'self-signed'], { doc: '' }),
    option.object({
      cert: option.path({ doc: 'The certificate with its chain, PEM.' }),
      key: option.path({ doc: 'Its private key, PEM.' }),
    }),
  ],
  {
    default: 'auto',
    expected: 'auto, self-signed or { cert: file, key: file }',
    doc: 'auto looks in tls.certificates; self-signed makes one, for development; or the files: { cert: ./cert.pem, key: ./key.pem }.',
  },
);
export type CertificateConfig = Infer<typeof certificate>;

const admins = (doc: string) =>
  option.list(
    option.jid((text) => parseBare(text), { doc: 'The address of an account.' }),
    { default: [], unique: true, example: ['juliet@example.org'], doc },
  );

const section = option.anything({ doc: 'The options of a module; true or nothing for none, false to switch it off.' });

/** `hosts.*` */
const host = option.object(
  {
    certificate,
    admins: admins('Who may administer this host, besides `admins` above.'),
    authentication: authenticationOverrides,
    sessions: sessionOverrides,
    modules: option.map(section, {
      default: {},
      example: { blocking: { maxItems: 100 }, version: false },
      doc: 'What differs from `modules` above: options of single modules, further modules, or false for a module this host does not have.',
    }),
  },
  { doc: 'A domain that is served.' },
);

/** The whole config file. `modules` stays unread here: its sections are checked by the modules themselves, for each host. */
export const serverOptions = option.object({
  data: option.path({
    default: './data',
    doc: 'The folder for the database, certificates and secrets that the server makes itself.',
  }),
  log,
  storage,
  listeners,
  trustedProxies,
  http,
  tls,
  limits,
  authentication,
  sessions,
  metrics,
  shutdown,
  admins: admins('Who may administer every host.'),
  plugins: option.map(option.string({ doc: 'A file (./weather.js) or a package.', minLength: 1 }), {
    default: {},
    example: { weather: './weather.js' },
    doc: 'Modules from elsewhere by their names: a file, relative to this one, or an installed package. They are switched on under `modules`.',
  }),
  modules: option.map(section, { default: {}, doc: 'The modules that all hosts have, with their options.' }),
  hosts: option.map(host, {
    key: option.domain((text) => Jid.prepareDomain(text), { doc: 'A domain.' }),
    example: { 'example.org': {} },
    doc: 'The domains that are served.',
  }),
});
/** What the file says, checked but for its modules. */
export type ServerOptions = Infer<typeof serverOptions>;

/** One host, with everything it inherits. */
export interface HostConfig {
  readonly domain: string;
  readonly certificate: CertificateConfig;
  /** Bare JIDs, those of all hosts among them. */
  readonly admins: readonly string[];
  readonly authentication: AuthenticationConfig;
  readonly sessions: SessionsConfig;
  /** The sections of the modules it enables by name, as their own schemas yield them. */
  readonly modules: ReadonlyMap<string, unknown>;
}

/** A config in which nothing is left to decide: defaults filled in, paths absolute, hosts complete, all of it checked. Frozen. */
export interface ServerConfig extends Omit<ServerOptions, 'hosts' | 'modules' | 'admins' | 'authentication' | 'sessions'> {
  /** The file it was read from. */
  readonly file: string;
  /** By prepared domain, in the order of the file. */
  readonly hosts: ReadonlyMap<string, HostConfig>;
}

/** The bare form; an address with a resource is refused, since it would never match. */
function parseBare(text: string): string {
  const jid = Jid.parse(text);
  if (!jid.isBare || jid.local === '') throw new Error('not the address of an account');
  return jid.bare;
}
