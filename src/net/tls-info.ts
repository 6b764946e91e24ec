import { createHash, type X509Certificate } from 'node:crypto';
import type { PeerCertificate, SecureContext, TLSSocket } from 'node:tls';
import { oid, readAll, readDer } from './der.ts';
import type { TlsInfo } from './transport.ts';

const EXPORTER_LABEL = 'EXPORTER-Channel-Binding';
const EXPORTER_LENGTH = 32;

/** What OpenSSL thinks of the peer's certificate; tls.Server reads it the same way. */
interface Verifier {
  verifyError(): Error | null | undefined;
}

/** The hash of the certificate in each context, for those that gave one. */
const hashesByContext = new WeakMap<SecureContext, Buffer>();
/** Which context a socket has presented. */
const PRESENTED = Symbol('presented');
interface Presenting {
  [PRESENTED]?: SecureContext;
}

/** Remembers the hash of a context's certificate: reading it from a socket costs more than the rest of what is asked of TLS. */
export function noteCertificate(context: SecureContext, certificate: X509Certificate): void {
  const hash = endPointHash(certificate);
  if (hash) hashesByContext.set(context, hash);
}

/** Notes the context that a socket presents to its client. */
export function notePresented(socket: TLSSocket, context: SecureContext): void {
  (socket as Presenting)[PRESENTED] = context;
}

/** What TLS has agreed on, read from its socket when somebody asks. */
export class SocketTlsInfo implements TlsInfo {
  readonly #socket: TLSSocket;
  /** Whether there are authorities that may vouch for clients. */
  readonly #hasAuthorities: boolean;

  constructor(socket: TLSSocket, hasAuthorities: boolean) {
    this.#socket = socket;
    this.#hasAuthorities = hasAuthorities;
  }

  get protocol(): string {
    return this.#socket.getProtocol() ?? '';
  }

  get cipher(): string {
    return this.#socket.getCipher()?.name ?? '';
  }

  get alpn(): string | undefined {
    return this.#socket.alpnProtocol || undefined;
  }

  get servername(): string | undefined {
    const { servername } = this.#socket as { servername?: string | false | null };
    return servername || undefined;
  }

  exporter(): Buffer | undefined {
    if (this.protocol !== 'TLSv1.3') return undefined;
    try {
      return this.#socket.exportKeyingMaterial(EXPORTER_LENGTH, EXPORTER_LABEL, Buffer.alloc(0));
    } catch {
      return undefined; // the handshake is not over, or the line is gone
    }
  }

  serverEndPoint(): Buffer | undefined {
    const context = (this.#socket as Presenting)[PRESENTED];
    const known = context && hashesByContext.get(context);
    if (known) return known;
    const certificate = this.#socket.getX509Certificate();
    return certificate ? endPointHash(certificate) : undefined;
  }

  peerCertificate(): { readonly certificate: PeerCertificate; readonly authorized: boolean } | undefined {
    const certificate = this.#socket.getPeerCertificate(false);
    if (!certificate?.raw) return undefined;
    return { certificate, authorized: this.#hasAuthorities && this.#isVerified() };
  }

  #isVerified(): boolean {
    const { ssl } = this.#socket as unknown as { ssl?: Verifier | null };
    if (typeof ssl?.verifyError !== 'function') return false;
    const error = ssl.verifyError();
    return error === null || error === undefined;
  }
}

const MAX_HASHES = 256;
const hashes = new Map<string, Buffer | undefined>();

/**
 * The hash of a certificate as RFC 5929 section 4.1 wants it: with the hash of its own signature, but SHA-256 instead of MD5 and
 * SHA-1. Undefined where the signature uses none that is known, as Ed25519.
 */
export function endPointHash(certificate: X509Certificate): Buffer | undefined {
  const key = certificate.fingerprint256;
  if (hashes.has(key)) return hashes.get(key);
  const name = signatureHash(certificate.raw);
  const hash = name === undefined ? undefined : createHash(name).update(certificate.raw).digest();
  if (hashes.size >= MAX_HASHES) hashes.clear();
  hashes.set(key, hash);
  return hash;
}

/** RSASSA-PSS (RFC 4055 section 3.1), which names its hash beside itself. */
const PSS = oid('1.2.840.113549.1.1.10').subarray(2).toString('hex');

/** By the object identifiers of signatures (RFC 3279, 4055, 5758) and of hashes, in hexadecimal. */
const HASHES: ReadonlyMap<string, string> = new Map(
  (
    [
      ['1.2.840.113549.1.1.4', 'sha256'], // md5WithRSAEncryption
      ['1.2.840.113549.1.1.5', 'sha256'], // sha1WithRSAEncryption
      ['1.2.840.113549.1.1.14', 'sha224'],
      ['1.2.840.113549.1.1.11', 'sha256'],
      ['1.2.840.113549.1.1.12', 'sha384'],
      ['1.2.840.113549.1.1.13', 'sha512'],
      ['1.2.840.10045.4.1', 'sha256'], // ecdsa-with-SHA1
      ['1.2.840.10045.4.3.1', 'sha224'],
      ['1.2.840.10045.4.3.2', 'sha256'],
      ['1.2.840.10045.4.3.3', 'sha384'],
      ['1.2.840.10045.4.3.4', 'sha512'],
      ['1.3.14.3.2.26', 'sha256'], // SHA-1
      ['2.16.840.1.101.3.4.2.4', 'sha224'],
      ['2.16.840.1.101.3.4.2.1', 'sha256'],
      ['2.16.840.1.101.3.4.2.2', 'sha384'],
      ['2.16.840.1.101.3.4.2.3', 'sha512'],
    ] as const
  ).map(([id, name]) => [oid(id).subarray(2).toString('hex'), name]),
);

/** Certificate ::= SEQUENCE { tbsCertificate, signatureAlgorithm SEQUENCE { algorithm, parameters }, signature } (RFC 5280 section 4.1). */
function signatureHash(certificate: Buffer): string | undefined {
  const algorithm = readAll(readDer(certificate)?.content ?? Buffer.alloc(0))[1];
  const [id, parameters] = readAll(algorithm?.content ?? Buffer.alloc(0));
  if (!id) return undefined;
  const name = id.content.toString('hex');
  if (name !== PSS) return HASHES.get(name);
  const hashField = readAll(parameters?.content ?? Buffer.alloc(0)).find(({ tag }) => tag === 0xa0);
  if (!hashField) return 'sha256'; // SHA-1 when nothing is said
  const hashId = readDer(readDer(hashField.content)?.content ?? Buffer.alloc(0));
  return hashId ? HASHES.get(hashId.content.toString('hex')) : undefined;
}
