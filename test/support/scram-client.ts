import { createHash, createHmac, pbkdf2Sync, randomBytes } from 'node:crypto';

/** The client's side of a SCRAM exchange (RFC 5802 section 5), for tests: every part of what it says can be made wrong. */
export class ScramClient {
  readonly hash: 'sha1' | 'sha256' | 'sha512';
  readonly password: string;
  readonly nonce: string;
  readonly header: string;
  readonly binding: Buffer;
  readonly bare: string;
  #serverSignature = '';

  constructor(options: {
    readonly hash?: 'sha1' | 'sha256' | 'sha512';
    readonly username: string;
    readonly password: string;
    readonly nonce?: string;
    /** The GS2 header with its commas. */
    readonly header?: string;
    readonly binding?: Buffer;
  }) {
    this.hash = options.hash ?? 'sha1';
    this.password = options.password;
    this.nonce = options.nonce ?? randomBytes(12).toString('base64');
    this.header = options.header ?? 'n,,';
    this.binding = options.binding ?? Buffer.alloc(0);
    this.bare = `n=${options.username},r=${this.nonce}`;
  }

  /** client-first-message */
  first(): Buffer {
    return Buffer.from(this.header + this.bare);
  }

  /** client-final-message; `change` may spoil its parts. */
  last(challenge: Buffer, change: { readonly nonce?: string; readonly binding?: string; readonly extra?: string } = {}): Buffer {
    const server = new Map(
      challenge
        .toString()
        .split(',')
        .map((part) => [part[0]!, part.slice(2)]),
    );
    const salt = Buffer.from(server.get('s')!, 'base64');
    const length = createHash(this.hash).digest().length;
    const salted = pbkdf2Sync(this.password, salt, Number(server.get('i')), length, this.hash);
    const clientKey = this.#hmac(salted, 'Client Key');
    const binding = change.binding ?? Buffer.concat([Buffer.from(this.header), this.binding]).toString('base64');
    const withoutProof = `c=${binding},r=${change.nonce ?? server.get('r')}${change.extra ?? ''}`;
    const message = `${this.bare},${challenge},${withoutProof}`;
    const signature = this.#hmac(createHash(this.hash).update(clientKey).digest(), message);
    this.#serverSignature = this.#hmac(this.#hmac(salted, 'Server Key'), message).toString('base64');
    const proof = Buffer.from(clientKey.map((byte, i) => byte ^ signature[i]!));
    return Buffer.from(`${withoutProof},p=${proof.toString('base64')}`);
  }

  /** Whether the server has proved that it knows the keys too. */
  trusts(final: Buffer | undefined): boolean {
    return final?.toString() === `v=${this.#serverSignature}`;
  }

  #hmac(key: Buffer, text: string): Buffer {
    return createHmac(this.hash, key).update(text).digest();
  }
}
