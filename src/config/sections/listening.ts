import ipaddr from 'ipaddr.js';
import { option } from '../option.ts';
import type { Infer } from '../schema.ts';

/** What a listener for HTTP may serve. */
export const SERVABLE = ['websocket', 'bosh', 'web', 'metrics', 'health'] as const;

const address = option.checked(checkAddress, {
  doc: 'An IP address.',
  expected: 'an IP address such as 127.0.0.1, 0.0.0.0 or ::',
});

const addresses = (standard: readonly string[], doc: string) =>
  option.list(address, { default: standard, min: 1, max: 64, unique: true, doc });

const proxyProtocol = option.boolean({
  default: false,
  doc: 'Connections begin with the PROXY protocol (version 1 or 2), which says where they come from. Only believed from trustedProxies; others are refused.',
});

const streams = (port: number) => ({
  port: option.integer({ default: port, min: 0, max: 65_535, doc: 'The TCP port; 0 takes any that is free.' }),
  addresses: addresses(['::', '0.0.0.0'], 'Where to listen: these addresses of this machine.'),
  proxyProtocol,
});

const web = (port: number, standard: readonly string[]) => ({
  port: option.integer({ default: port, min: 0, max: 65_535, doc: 'The TCP port; 0 takes any that is free.' }),
  addresses: addresses(standard, 'Where to listen: these addresses of this machine.'),
  proxyProtocol,
  serve: option.list(option.choice(SERVABLE, { doc: 'Something to serve.' }), {
    default: ['websocket', 'bosh', 'web', 'health'],
    min: 1,
    unique: true,
    doc: 'What is served here: websocket and bosh (clients), web (what modules serve: web client, host-meta), metrics, health.',
  }),
});

/** One place where connections are taken. */
export const listener = option.variant(
  'type',
  {
    c2s: streams(5222),
    'c2s-tls': streams(5223),
    // In the clear, so by default only for a reverse proxy on the same machine.
    http: web(5280, ['127.0.0.1', '::1']),
    https: web(5281, ['::', '0.0.0.0']),
  },
  {
    doc: 'A place where connections are taken.',
    tagDoc:
      'c2s: clients, with STARTTLS; c2s-tls: clients, TLS from the first byte (XEP-0368); http and https: WebSocket, BOSH and web pages.',
  },
);

/** `listeners` */
export const listeners = option.list(listener, {
  default: [{ type: 'c2s' }, { type: 'c2s-tls' }, { type: 'http' }, { type: 'https' }],
  max: 64,
  doc: 'Where connections are taken.',
});
export type ListenerConfig = Infer<typeof listener>;

/** `trustedProxies` */
export const trustedProxies = option.list(
  option.checked(checkRange, { doc: 'An address range.', expected: 'an IP address or a range such as 10.0.0.0/8 or fd00::/8' }),
  {
    default: [],
    max: 1000,
    example: ['127.0.0.1', '10.0.0.0/8'],
    doc: 'Addresses of reverse proxies whose PROXY protocol and Forwarded or X-Forwarded-* headers are believed.',
  },
);

const urlPath = (standard: string, doc: string) =>
  option.string({ default: standard, pattern: /^\/[\w./~-]{0,200}$/, expected: 'a path such as /xmpp-websocket', doc });

/** `http` */
export const http = option.object(
  {
    websocket: urlPath('/xmpp-websocket', 'The path of the WebSocket endpoint (RFC 7395).'),
    bosh: urlPath('/http-bind', 'The path of the BOSH endpoint (XEP-0124).'),
    metrics: urlPath('/metrics', 'The path of the metrics.'),
    health: urlPath('/health', 'The path that answers 200 while the server works.'),
    origins: option.list(
      option.string({
        doc: 'An origin.',
        pattern: /^(\*|https?:\/\/[^/\s]{1,255})$/,
        expected: 'an origin such as https://chat.example.org, or *',
      }),
      {
        default: ['*'],
        unique: true,
        doc: 'Web pages that may use the WebSocket and BOSH endpoints, by their origin. Clients log in over the stream itself and never by cookie, so * is safe.',
      },
    ),
    boshWait: option.duration({ default: '60s', min: '1s', max: '10m', doc: 'The longest time a BOSH request is held open.' }),
    boshInactivity: option.duration({
      default: '60s',
      min: '5s',
      max: '1h',
      doc: 'A BOSH session without a request for this long is closed.',
    }),
    boshRequests: option.integer({ default: 2, min: 2, max: 10, doc: 'Requests one BOSH session may have open at once.' }),
    headerTimeout: option.duration({
      default: '10s',
      min: '1s',
      max: '5m',
      doc: 'Time a browser may take to send the headers of a request.',
    }),
    requestTimeout: option.duration({
      default: '2m',
      min: '1s',
      max: '1d',
      doc: 'Time a browser may take to send a whole request.',
    }),
  },
  { doc: 'What the HTTP listeners have in common.' },
);
export type HttpConfig = Infer<typeof http>;

/** `tls` */
export const tls = option.object(
  {
    certificates: option.path({
      default: './certs',
      doc: 'The folder where certificates are looked for: <host>/fullchain.pem with <host>/privkey.pem (as certbot lays them out), or <host>.pem or .crt with <host>.key. Changed files are taken up while the server runs.',
    }),
    minVersion: option.choice(['TLSv1.2', 'TLSv1.3'], { default: 'TLSv1.2', doc: 'The oldest version of TLS that is accepted.' }),
    ciphers: option.optional(
      option.string({
        doc: "Ciphers for TLS 1.2 and 1.3 in OpenSSL's notation, instead of a good choice.",
        minLength: 1,
        example: 'ECDHE+AESGCM:ECDHE+CHACHA20',
      }),
    ),
    clientCertificates: option.choice(['off', 'optional'], {
      default: 'off',
      doc: 'Whether clients are asked for a certificate, to log in with it (SASL EXTERNAL, XEP-0178).',
    }),
    clientCA: option.optional(
      option.path({ doc: 'A PEM file with the authorities that may vouch for client certificates.', example: './client-ca.pem' }),
    ),
  },
  { doc: 'Encryption.' },
);
export type TlsConfig = Infer<typeof tls>;

function checkAddress(text: string): string {
  if (!ipaddr.isValid(text) || (!text.includes(':') && !ipaddr.IPv4.isValidFourPartDecimal(text))) throw new Error('no address');
  return text;
}

/** Always with its length, so that whoever uses it needs no second case. */
function checkRange(text: string): string {
  const [host = '', length] = text.split('/', 2);
  const bits = checkAddress(host).includes(':') ? 128 : 32;
  const range = length === undefined ? `${host}/${bits}` : text;
  ipaddr.parseCIDR(range);
  return range;
}
