import { option } from '../option.ts';
import type { Infer } from '../schema.ts';

/** `limits` */
export const limits = option.object(
  {
    connectionsPerAddress: option.integer({
      default: 500,
      min: 1,
      doc: 'Connections one address may have open; for IPv6 the /64 counts as one address.',
    }),
    connectionsPerMinute: option.integer({ default: 600, min: 1, doc: 'New connections one address may make in a minute.' }),
    exemptLoopback: option.boolean({
      default: false,
      doc: 'Lifts the two limits above and loginFailures for connections from this machine. Not behind a proxy.',
    }),
    bytesPerSecond: option.bytes({
      default: '128KiB',
      doc: 'What one client may send in a second in the long run; 0 for no limit. Beyond it, it is read more slowly.',
    }),
    burstBytes: option.bytes({
      default: '2MiB',
      min: '16KiB',
      doc: 'What one client may send at once before bytesPerSecond counts.',
    }),
    stanzaBytes: option.bytes({
      default: '256KiB',
      min: '10kB',
      max: '64MiB',
      doc: 'Size of one stanza (RFC 6120 section 13.12 wants at least 10000 bytes).',
    }),
    stanzaBytesBeforeLogin: option.bytes({
      default: '16KiB',
      min: '10kB',
      max: '1MiB',
      doc: 'Size of what a client may send in one piece before it has logged in.',
    }),
    elements: option.integer({ default: 4096, min: 64, max: 1_000_000, doc: 'Elements in one stanza, all levels together.' }),
    elementsBeforeLogin: option.integer({ default: 128, min: 16, max: 10_000, doc: 'The same before login.' }),
    depth: option.integer({ default: 64, min: 8, max: 512, doc: 'Levels of elements within each other.' }),
    attributes: option.integer({ default: 64, min: 8, max: 1024, doc: 'Attributes of one element.' }),
    stanzasPerTurn: option.integer({
      default: 50,
      min: 1,
      max: 10_000,
      doc: 'Stanzas of one client that are handled before others have their turn.',
    }),
    queueBytes: option.bytes({
      default: '4MiB',
      min: '64KiB',
      doc: 'What may wait for a client that does not read, before it is closed.',
    }),
    loginTimeout: option.duration({
      default: '30s',
      min: '1s',
      max: '1h',
      doc: 'Time from the connection to the end of the login.',
    }),
    stanzaTimeout: option.duration({ default: '1m', min: '1s', max: '1h', doc: 'Time an unfinished stanza may take.' }),
    keepalive: option.duration({
      default: '5m',
      max: '1d',
      doc: 'After this much silence a space is sent, to find dead connections (RFC 6120 section 4.6.1); 0 for never.',
    }),
    idleTimeout: option.duration({ default: 0, max: '30d', doc: 'After this much silence a client is closed; 0 for never.' }),
    loginFailures: option.object(
      {
        perAccount: option.integer({
          default: 5,
          min: 1,
          doc: 'Failures for one account from one address, before that address has to wait for this account. Others can still log in to it.',
        }),
        perAddress: option.integer({ default: 50, min: 1, doc: 'Failures from one address for all accounts together.' }),
        period: option.duration({ default: '10m', min: '1s', max: '1d', doc: 'The time in which failures are counted.' }),
      },
      { doc: 'Failed logins.' },
    ),
  },
  { doc: 'What clients may do to the server.' },
);
export type LimitsConfig = Infer<typeof limits>;

/** SASL mechanisms of the core. */
export const MECHANISMS = [
  'SCRAM-SHA-512-PLUS',
  'SCRAM-SHA-512',
  'SCRAM-SHA-256-PLUS',
  'SCRAM-SHA-256',
  'SCRAM-SHA-1-PLUS',
  'SCRAM-SHA-1',
  'PLAIN',
] as const;

const authenticationFields = {
  requireEncryption: option.boolean({ default: true, doc: 'Clients have to use TLS before they log in.' }),
  trustLoopback: option.boolean({
    default: false,
    doc: 'Clients on this machine need no TLS. For development; never behind a proxy on this machine.',
  }),
  plainWithoutTlsOnLoopback: option.boolean({ default: false, doc: 'Clients on this machine may use PLAIN without TLS.' }),
  mechanisms: option.list(option.choice(MECHANISMS, { doc: 'A SASL mechanism.' }), {
    default: MECHANISMS,
    min: 1,
    unique: true,
    doc: 'How clients may log in. PLAIN is only offered under TLS; -PLUS binds the login to the TLS connection.',
  }),
  anonymous: option.boolean({
    default: false,
    doc: 'Anybody may log in, under a random name (RFC 4505). For hosts of their own.',
  }),
  external: option.boolean({
    default: false,
    doc: 'Clients may log in with a certificate (XEP-0178); wants tls.clientCertificates and tls.clientCA.',
  }),
  scramIterations: option.integer({
    default: 10_000,
    min: 4096,
    max: 1_000_000,
    doc: 'Work that a stolen database makes of each guess at a password; counts for passwords set from now on.',
  }),
};

/** `authentication` */
export const authentication = option.object(authenticationFields, { doc: 'How clients log in.' });
/** `hosts.*.authentication` */
export const authenticationOverrides = option.partial(authenticationFields, { doc: 'What differs from authentication above.' });
export type AuthenticationConfig = Infer<typeof authentication>;

const sessionFields = {
  resourceConflict: option.choice(['replace', 'refuse', 'rename'], {
    default: 'replace',
    doc: 'When a client asks for a resource that is taken: the older one is closed, the newer one is refused, or gets another name (RFC 6120 section 7.7.2.2).',
  }),
  resourcesPerAccount: option.integer({ default: 10, min: 1, max: 1000, doc: 'Clients one account may have connected.' }),
  deliverToAll: option.boolean({
    default: true,
    doc: 'Messages to an account go to all its clients of non-negative priority, not only to those of the highest (RFC 6121 section 8.5.2.1.1).',
  }),
};

/** `sessions` */
export const sessions = option.object(sessionFields, { doc: 'Clients that have logged in.' });
/** `hosts.*.sessions` */
export const sessionOverrides = option.partial(sessionFields, { doc: 'What differs from sessions above.' });
export type SessionsConfig = Infer<typeof sessions>;
