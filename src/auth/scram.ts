import { createHash, timingSafeEqual } from 'node:crypto';
import { randomToken } from '../random.ts';
import { SaslError } from '../stanza/errors.ts';
import type { ScramHash, ScramKeys } from './accounts.ts';
import { checkAuthzid, decodeText, prepareUsername } from './identity.ts';
import { hmac } from './passwords.ts';
import type { ChannelBindingType, SaslContext, SaslExchange, SaslMechanism, SaslStep } from './sasl.ts';
import type { Guard } from './throttle.ts';

/** The names of SCRAM's mechanisms, without -PLUS, by their hash (RFC 5802, RFC 7677). */
export const SCRAM_NAMES: Readonly<Record<ScramHash, string>> = {
  sha1: 'SCRAM-SHA-1',
  sha256: 'SCRAM-SHA-256',
  sha512: 'SCRAM-SHA-512',
};

const NONCE_LENGTH = 18;
const MAX_NONCE = 1024;

/** Makes the nonce of an exchange; another one only in tests, for the vectors of the RFCs. */
export type MakeNonce = () => string;

const makeNonce: MakeNonce = () => randomToken(NONCE_LENGTH);

/** SCRAM with this hash, bound to the TLS connection (`isPlus`) or not. */
export function scram(
  hash: ScramHash,
  isPlus: boolean,
  parts: { readonly strength: number; readonly guard: Guard; readonly nonce?: MakeNonce },
): SaslMechanism {
  return {
    name: isPlus ? `${SCRAM_NAMES[hash]}-PLUS` : SCRAM_NAMES[hash],
    strength: parts.strength,
    isOffered: ({ tls }) => !isPlus || tls?.protocol === 'TLSv1.3' || tls?.serverEndPoint() !== undefined,
    start: (context) => new ScramExchange({ hash, isPlus, context, guard: parts.guard, nonce: parts.nonce ?? makeNonce }),
  };
}

interface Settings {
  readonly hash: ScramHash;
  readonly isPlus: boolean;
  readonly context: SaslContext;
  readonly guard: Guard;
  readonly nonce: MakeNonce;
}

/** What the first message has settled. */
interface Begun {
  readonly username: string;
  readonly keys: ScramKeys;
  readonly known: boolean;
  readonly nonce: string;
  /** What `c=` has to say (RFC 5802 section 5.1), in Base64. */
  readonly binding: string;
  /** AuthMessage without its last part. */
  readonly transcript: string;
}

/** The server's side of one exchange (RFC 5802 section 5). */
class ScramExchange implements SaslExchange {
  readonly #settings: Settings;
  #begun: Begun | undefined = undefined;
  #steps = 0;

  constructor(settings: Settings) {
    this.#settings = settings;
  }

  step(data: Buffer): SaslStep | Promise<SaslStep> {
    const step = this.#steps++;
    const text = decodeText(data);
    if (step === 0) return this.#begin(text);
    if (step > 1 || !this.#begun) throw new SaslError('malformed-request');
    return this.#finish(this.#begun, text);
  }

  async #begin(text: string): Promise<SaslStep> {
    const { hash, context, guard, nonce } = this.#settings;
    const first = readFirst(text);
    const binding = this.#bind(first);
    const username = prepareUsername(first.username);
    checkAuthzid(first.authzid, username, context.domain);
    guard.check(username, context.remoteAddress);
    const { keys, known } = await context.accounts.scramKeys(username, hash);
    const whole = first.nonce + nonce();
    const challenge = `r=${whole},s=${keys.salt.toString('base64')},i=${keys.iterations},h=${hashOffer(hash, context)}`;
    this.#begun = { username, keys, known, nonce: whole, binding, transcript: `${first.bare},${challenge}` };
    return { challenge: Buffer.from(challenge) };
  }

  /** What the client says of channel binding has to be true (RFC 5802 section 6). */
  #bind({ flag, type, header }: First): string {
    const { isPlus, context } = this.#settings;
    if (isPlus !== (flag === 'p')) throw new SaslError('malformed-request');
    // It could bind and thinks that we cannot, though we have offered it: somebody between us has taken it out of the list.
    if (flag === 'y' && context.offered.some((name) => name.endsWith('-PLUS'))) throw new SaslError('not-authorized');
    const bound = flag === 'p' ? bindingData(type, context) : Buffer.alloc(0);
    return Buffer.concat([Buffer.from(header), bound]).toString('base64');
  }

  #finish(begun: Begun, text: string): Promise<SaslStep> {
    const { hash, context, guard } = this.#settings;
    const { username, keys, known } = begun;
    const last = readLast(text);
    // Again, since attempts on other connections may have failed meanwhile: many at once learn no more than one after the other.
    guard.check(username, context.remoteAddress);
    const message = `${begun.transcript},${last.withoutProof}`;
    const signature = hmac(hash, keys.storedKey, message);
    const isProven = proves(last.proof, signature, keys.storedKey, hash);
    // All of it is worked out before any of it is looked at, so that no answer comes sooner than another.
    const isSame = last.binding === begun.binding && last.nonce === begun.nonce;
    if (!isProven || !known || !isSame) {
      guard.failed(username, context.remoteAddress);
      throw new SaslError('not-authorized');
    }
    return this.#letIn(username, Buffer.from(`v=${hmac(hash, keys.serverKey, message).toString('base64')}`));
  }

  /** Unless the account was removed since this began: its other clients are gone by now, and nobody would send this one away. */
  async #letIn(username: string, data: Buffer): Promise<SaslStep> {
    const { context, guard } = this.#settings;
    if (!(await context.accounts.exists(username))) throw new SaslError('not-authorized');
    guard.succeeded(username, context.remoteAddress);
    return { username, data };
  }
}

/** Whether the proof is ClientKey, hidden by the signature, of this StoredKey. */
function proves(proof: Buffer, signature: Buffer, storedKey: Buffer, hash: ScramHash): boolean {
  if (proof.length !== signature.length) return false;
  const clientKey = Buffer.from(proof.map((byte, i) => byte ^ signature[i]!));
  return timingSafeEqual(createHash(hash).update(clientKey).digest(), storedKey);
}

function bindingData(type: string, { bindings, tls }: SaslContext): Buffer {
  const announced = bindings.find((binding): binding is ChannelBindingType => binding === type);
  const data =
    announced === 'tls-exporter' ? tls?.exporter() : announced === 'tls-server-end-point' ? tls?.serverEndPoint() : undefined;
  if (!data) throw new SaslError('malformed-request', 'This kind of channel binding is not offered');
  return data;
}

/** XEP-0474: what we have offered, hashed, so that a client sees when somebody between us has changed the lists. */
function hashOffer(hash: ScramHash, { offered, bindings }: SaslContext): string {
  const lists = [[...offered].sort().join('\x1e')];
  if (bindings.length > 0) lists.push([...bindings].sort().join('\x1e'));
  return createHash(hash).update(lists.join('\x1f')).digest('base64');
}

/** client-first-message (RFC 5802 section 7). */
interface First {
  readonly flag: 'n' | 'y' | 'p';
  /** The kind of channel binding, with the flag p. */
  readonly type: string;
  readonly authzid: string;
  /** The GS2 header as it was sent. */
  readonly header: string;
  readonly username: string;
  readonly nonce: string;
  readonly bare: string;
}

const FIRST =
  /^((?:([ny])|p=([A-Za-z0-9.-]{1,64})),(?:a=([^,\0]{1,2048}))?,)(n=([^,\0]{1,2048}),r=([\x21-\x2b\x2d-\x7e]+)(?:,(?!m=)[A-Za-z]=[^,\0]+)*)$/;
const LAST = /^(c=([A-Za-z0-9+/=]*),r=([\x21-\x2b\x2d-\x7e]+)(?:,(?![mp]=)[A-Za-z]=[^,\0]+)*),p=([A-Za-z0-9+/]+={0,2})$/;

function readFirst(text: string): First {
  const match = FIRST.exec(text);
  // `m=` announces an extension that has to be understood, wherever it stands, and we know none (RFC 5802 section 5.1).
  if (!match) throw new SaslError('malformed-request');
  const [, header, plain, type = '', authzid, bare, username, nonce] = match;
  if (nonce!.length > MAX_NONCE) throw new SaslError('malformed-request');
  return {
    flag: (plain ?? 'p') as First['flag'],
    type,
    authzid: authzid === undefined ? '' : decodeName(authzid),
    header: header!,
    username: decodeName(username!),
    nonce: nonce!,
    bare: bare!,
  };
}

/** saslname: a comma and an equals sign are written =2C and =3D, and no other = may stand in it. */
function decodeName(text: string): string {
  if (/=(?!2C|3D)/.test(text)) throw new SaslError('malformed-request');
  return text.replaceAll('=2C', ',').replaceAll('=3D', '=');
}

interface Last {
  readonly binding: string;
  readonly nonce: string;
  readonly proof: Buffer;
  readonly withoutProof: string;
}

function readLast(text: string): Last {
  const match = LAST.exec(text);
  if (!match) throw new SaslError('malformed-request');
  return { withoutProof: match[1]!, binding: match[2]!, nonce: match[3]!, proof: Buffer.from(match[4]!, 'base64') };
}
