import { option } from '../option.ts';
import type { Infer } from '../schema.ts';

const LEVELS = ['debug', 'info', 'warn', 'error', 'silent'] as const;

/** `log` */
export const log = option.object(
  {
    level: option.choice(LEVELS, { default: 'info', doc: 'The least important lines that are written.' }),
    format: option.choice(['auto', 'pretty', 'json'], {
      default: 'auto',
      doc: 'pretty is for people, json for programs; auto is pretty on a terminal.',
    }),
    modules: option.map(option.choice(LEVELS, { doc: 'The level of this module.' }), {
      default: {},
      example: { mam: 'debug' },
      doc: 'Other levels for single modules.',
    }),
  },
  { doc: 'Log lines go to the standard output.' },
);
export type LogConfig = Infer<typeof log>;

/** `storage` */
export const storage = option.variant(
  'type',
  {
    sqlite: {
      file: option.string({ default: 'parlance.sqlite', minLength: 1, doc: 'The database, within the folder `data`.' }),
    },
    postgresql: {
      url: option.optional(
        option.secret({
          doc: 'The whole connection as postgresql://user:password@host:port/database, instead of the options below.',
        }),
      ),
      host: option.string({
        default: 'localhost',
        minLength: 1,
        doc: 'The name or address of the database server, or the folder of its socket.',
      }),
      port: option.integer({ default: 5432, min: 1, max: 65_535, doc: 'Its port.' }),
      user: option.string({ default: 'parlance', minLength: 1, doc: 'The user to log in as.' }),
      password: option.optional(option.secret({ doc: 'The password of that user.' })),
      database: option.string({ default: 'parlance', minLength: 1, doc: 'The database.' }),
      tls: option.choice(['auto', 'off', 'require', 'verify'], {
        default: 'auto',
        doc: 'require encrypts, verify also checks the certificate; auto is off on this machine and verify elsewhere.',
      }),
      pool: option.integer({ default: 10, min: 2, max: 200, doc: 'Connections to the database.' }),
    },
    memory: {},
  },
  {
    default: 'sqlite',
    doc: 'Where accounts, rosters and messages are kept.',
    tagDoc:
      'sqlite: a file, for one server up to tens of thousands of accounts; postgresql: a database server; memory: nothing is kept, for tests.',
  },
);
export type StorageConfig = Infer<typeof storage>;

/** `metrics` */
export const metrics = option.object(
  {
    tokens: option.list(option.secret({ doc: 'A token.' }), {
      default: [],
      max: 16,
      example: [{ env: 'METRICS_TOKEN' }],
      doc: 'Whoever asks for metrics has to send one of these (Authorization: Bearer ...). Without any, metrics may only be served on loopback addresses.',
    }),
  },
  { doc: 'Figures for Prometheus and the like; served by a listener that names metrics in `serve`.' },
);
export type MetricsConfig = Infer<typeof metrics>;

/** `shutdown` */
export const shutdown = option.object(
  {
    grace: option.duration({ default: '10s', max: '10m', doc: 'Time for clients to go and for writes to finish.' }),
    seeOtherHost: option.optional(
      option.string({
        doc: 'Where clients are sent meanwhile (RFC 6120 section 4.9.3.19): a host or address, with or without a port.',
        minLength: 1,
        maxLength: 261,
        example: 'other.example.org:5222',
      }),
    ),
  },
  { doc: 'How the server stops.' },
);
export type ShutdownConfig = Infer<typeof shutdown>;
