import { constants, X509Certificate } from 'node:crypto';
import { type FSWatcher, watch } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { createSecureContext, type SecureContext } from 'node:tls';
import { ConfigError, throwAll } from '../config/errors.ts';
import type { CertificateConfig, TlsConfig } from '../config/server-config.ts';
import { Signal } from '../hooks.ts';
import type { Log } from '../log.ts';
import { asciiDomain } from '../precis/domain.ts';
import {
  type CertificateFiles,
  findCertificate,
  isFor,
  keepSelfSigned,
  loadCertificate,
  namesAbove,
  stampOf,
} from './certificate-files.ts';
import { noteCertificate } from './tls-info.ts';

const DAY = 86_400_000;
/** With less than this left, somebody is told each day. */
const WARN_BEFORE = 14 * DAY;
const POLL_EVERY = 60_000;
/** Certificate and key are written one after the other; between them they do not fit. */
const SETTLE = 500;
/** Forward secrecy and authenticated encryption only; the order is ours, ChaCha20 first where the client prefers it. */
const CIPHERS = [
  'TLS_AES_128_GCM_SHA256',
  'TLS_AES_256_GCM_SHA384',
  'TLS_CHACHA20_POLY1305_SHA256',
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-RSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-RSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-CHACHA20-POLY1305',
  'ECDHE-RSA-CHACHA20-POLY1305',
].join(':');

/** The certificate of one host, for whoever wants to show or check it. */
export interface CertificateInfo {
  readonly domain: string;
  readonly files: CertificateFiles;
  readonly certificate: X509Certificate;
  /** Whether it is valid for the domain. */
  readonly isForDomain: boolean;
  /** Milliseconds since 1970. */
  readonly validTo: number;
}

interface Entry {
  readonly domain: string;
  readonly config: CertificateConfig;
  info: CertificateInfo | undefined;
  context: SecureContext | undefined;
  /** Of the files that were last looked at, good or bad. */
  stamp: string | undefined;
  /** What went wrong with them, so that it is logged once. */
  failure: string | undefined;
  warnedAt: number;
}

/** What a store is made of. */
export interface CertificateParts {
  readonly tls: TlsConfig;
  /** By prepared domain; the first one that has a certificate serves whoever asks for no name or an unknown one. */
  readonly hosts: ReadonlyMap<string, CertificateConfig>;
  /** The server's own folder; what it makes itself goes into `certs` below. */
  readonly data: string;
  readonly log: Log;
  readonly now?: () => number;
}

/** The certificates of all hosts, taken up again when their files change. */
export class CertificateStore {
  /** Tells the domain of a host whose certificate was replaced. */
  readonly changed: Signal<string>;
  #parts: CertificateParts;
  /** By domain with A-labels, as SNI has it. */
  readonly #entries = new Map<string, Entry>();
  readonly #watchers = new Map<string, FSWatcher>();
  readonly #now: () => number;
  #authorities: string | undefined = undefined;
  #poll: NodeJS.Timeout | undefined = undefined;
  #soon: NodeJS.Timeout | undefined = undefined;
  #refreshing: Promise<void> | undefined = undefined;

  private constructor(parts: CertificateParts) {
    this.#parts = parts;
    this.#now = parts.now ?? Date.now;
    this.changed = new Signal('certificateChanged', (_, error) => parts.log.error('a listener failed', { error }));
    for (const [domain, config] of parts.hosts) {
      const empty = { info: undefined, context: undefined, stamp: undefined, failure: undefined };
      this.#entries.set(asciiDomain(domain), { domain, config, ...empty, warnedAt: Number.NEGATIVE_INFINITY });
    }
  }

  /**
   * Loads the certificates of all hosts and makes those that are to be made. Throws ConfigError for files that are named but
   * missing, and for any that are broken. A host on `auto` for which nothing is found goes without TLS, with a warning.
   */
  static async open(parts: CertificateParts): Promise<CertificateStore> {
    const store = new CertificateStore(parts);
    const problems: ConfigError[] = [];
    await store.#loadAuthorities(problems);
    for (const entry of store.#entries.values()) {
      try {
        await store.#load(entry);
      } catch (error) {
        problems.push(new ConfigError(['hosts', entry.domain, 'certificate'], (error as Error).message));
      }
    }
    throwAll(problems);
    return store;
  }

  /** Takes up other hosts and settings. Throws as `open` does, and then has changed nothing. Connections keep what they have. */
  async configure(parts: CertificateParts): Promise<void> {
    const next = await CertificateStore.open(parts);
    this.#parts = parts;
    this.#authorities = next.#authorities;
    this.#entries.clear();
    for (const [domain, entry] of next.#entries) this.#entries.set(domain, entry);
    if (this.#poll) this.#watchFolders();
  }

  /** Whether TLS can be offered for this host. */
  has(domain: string): boolean {
    return this.#entries.get(asciiDomain(domain))?.context !== undefined;
  }

  /** Whether there are authorities that may vouch for clients. */
  get hasAuthorities(): boolean {
    return this.#authorities !== undefined;
  }

  /** Whether clients are asked for a certificate. */
  get asksClients(): boolean {
    return this.#parts.tls.clientCertificates !== 'off';
  }

  /** What is served now, in the order of the hosts. */
  list(): readonly CertificateInfo[] {
    return [...this.#entries.values()].flatMap(({ info }) => info ?? []);
  }

  /**
   * What to present to a client that asks for this name: the host's certificate, or for a name below a host (conference.<host>) the
   * one of that host; otherwise, and without a name, the first there is. Undefined when there is none at all.
   */
  contextFor(name: string | undefined): SecureContext | undefined {
    if (name !== undefined) {
      for (const each of namesAbove(asciiDomain(name.toLowerCase()))) {
        const context = this.#entries.get(each)?.context;
        if (context) return context;
      }
    }
    for (const { context } of this.#entries.values()) if (context) return context;
    return undefined;
  }

  /** The same for the name as a client has written it, which has A-labels if anything (RFC 6066 section 3). */
  contextAsked(name: string): SecureContext | undefined {
    return this.contextFor(/^[!-~]{1,255}$/.test(name) ? name : undefined);
  }

  /** Looks for changed files. A broken new file is logged, and the certificate there was stays. Never rejects. */
  refresh(): Promise<void> {
    return (this.#refreshing ??= this.#refreshAll().finally(() => {
      this.#refreshing = undefined;
    }));
  }

  /** Takes up changed files by itself from now on, until `close`. */
  watch(): void {
    this.#poll ??= setInterval(() => void this.refresh(), POLL_EVERY).unref();
    this.#watchFolders();
  }

  /** Stops watching. */
  close(): void {
    clearInterval(this.#poll);
    clearTimeout(this.#soon);
    for (const watcher of this.#watchers.values()) watcher.close();
    this.#watchers.clear();
  }

  async #refreshAll(): Promise<void> {
    for (const entry of this.#entries.values()) {
      const before = entry.context;
      try {
        await this.#load(entry);
      } catch (error) {
        this.#report(entry, (error as Error).message);
      }
      if (entry.context === before) continue;
      this.#parts.log.info('took up a certificate', { host: entry.domain, file: entry.info?.files.cert });
      this.changed.emit(entry.domain);
    }
    if (this.#poll) this.#watchFolders();
  }

  #report(entry: Entry, reason: string): void {
    if (entry.failure === reason) return;
    entry.failure = reason;
    const text = entry.context ? 'a new certificate cannot be used, the old one stays' : 'a certificate cannot be used';
    this.#parts.log.error(text, { host: entry.domain, reason });
  }

  async #load(entry: Entry): Promise<void> {
    const files = await this.#locate(entry);
    const stamp = files && (await stampOf(files));
    if (files && (stamp === undefined || stamp !== entry.stamp)) {
      entry.stamp = stamp;
      const { chain, key, leaf } = await loadCertificate(files);
      const isForDomain = isFor(leaf, asciiDomain(entry.domain));
      const context = this.#createContext(chain, key, files);
      noteCertificate(context, leaf);
      entry.info = { domain: entry.domain, files, certificate: leaf, isForDomain, validTo: Date.parse(leaf.validTo) };
      entry.context = context;
      entry.failure = undefined;
      entry.warnedAt = Number.NEGATIVE_INFINITY;
    }
    this.#warn(entry);
  }

  async #locate({ domain, config }: Entry): Promise<CertificateFiles | undefined> {
    if (typeof config !== 'string') return config;
    const { data, tls } = this.#parts;
    const ascii = asciiDomain(domain);
    if (config === 'self-signed') return keepSelfSigned(join(data, 'certs'), ascii, this.#now());
    return (
      (await findCertificate(tls.certificates, ascii)) ??
      (ascii === domain ? undefined : findCertificate(tls.certificates, domain))
    );
  }

  #createContext(cert: string, key: string, files: CertificateFiles): SecureContext {
    const { minVersion, ciphers = CIPHERS } = this.#parts.tls;
    try {
      return createSecureContext({
        cert,
        key,
        minVersion,
        maxVersion: 'TLSv1.3',
        ciphers,
        ecdhCurve: 'X25519:P-256:P-384',
        honorCipherOrder: true,
        secureOptions: constants.SSL_OP_NO_RENEGOTIATION | constants.SSL_OP_NO_COMPRESSION | constants.SSL_OP_PRIORITIZE_CHACHA,
        sessionIdContext: 'parlance',
        ...(this.#authorities === undefined ? {} : { ca: this.#authorities }),
      });
    } catch (error) {
      throw new Error(
        `${files.cert} cannot be used with the ciphers and versions of \`tls\`: ${(error as NodeJS.ErrnoException).code}`,
      );
    }
  }

  async #loadAuthorities(problems: ConfigError[]): Promise<void> {
    const { clientCA, clientCertificates } = this.#parts.tls;
    if (clientCA === undefined || clientCertificates === 'off') return;
    try {
      const authorities = await readFile(clientCA, 'latin1');
      new X509Certificate(authorities); // OpenSSL itself would overlook that there is none in it
      createSecureContext({ ca: authorities });
      this.#authorities = authorities;
    } catch {
      problems.push(new ConfigError(['tls', 'clientCA'], `${clientCA}: expected a file with certificates in PEM form`));
    }
  }

  #warn(entry: Entry): void {
    const now = this.#now();
    if (now - entry.warnedAt < DAY) return;
    const { log } = this.#parts;
    const { domain, info } = entry;
    const detail = { host: domain, file: info?.files.cert };
    const left = info ? info.validTo - now : 0;
    if (!info)
      log.warn('no certificate was found; clients cannot use TLS', { host: domain, folder: this.#parts.tls.certificates });
    else if (!info.isForDomain)
      log.warn('the certificate is not valid for this host', { ...detail, names: info.certificate.subjectAltName });
    else if (left < 0) log.error('the certificate has expired', { ...detail, validTo: info.certificate.validTo });
    else if (left < WARN_BEFORE) log.warn('the certificate expires soon', { ...detail, validTo: info.certificate.validTo });
    else return;
    entry.warnedAt = now;
  }

  #watchFolders(): void {
    const folders = new Set<string>();
    for (const { config, info } of this.#entries.values()) {
      if (config === 'auto') folders.add(this.#parts.tls.certificates);
      if (info) for (const file of [info.files.cert, info.files.key]) folders.add(dirname(file));
    }
    for (const folder of folders) if (!this.#watchers.has(folder)) this.#watchFolder(folder);
  }

  /** Where a folder cannot be watched (missing, too many watches) the poll does it. */
  #watchFolder(folder: string): void {
    try {
      const watcher = watch(folder, { persistent: false }, () => {
        clearTimeout(this.#soon);
        this.#soon = setTimeout(() => void this.refresh(), SETTLE).unref();
      });
      const forget = () => {
        watcher.close();
        this.#watchers.delete(folder);
      };
      this.#watchers.set(folder, watcher.on('error', forget));
    } catch {
      // See above.
    }
  }
}
