import { createHash, createHmac, pbkdf2 } from 'node:crypto';
import { promisify } from 'node:util';
import { saslprep } from '@mongodb-js/saslprep';
import { isPreparable, opaqueString } from '../precis/profiles.ts';
import type { ScramHash, ScramKeys } from './accounts.ts';

const derive = promisify(pbkdf2);
const MAX_BYTES = 1024;

/** The length of each hash, in bytes. */
export const HASH_LENGTH: Readonly<Record<ScramHash, number>> = { sha1: 20, sha256: 32, sha512: 64 };

/**
 * A password as SCRAM hashes it, or undefined when it cannot be used: empty, longer than 1024 bytes, or with characters that are
 * forbidden. SASLprep as RFC 5802 section 2.2 wants it; what that refuses, such as all letters newer than Unicode 3.2 and some
 * that are written from right to left, as OpaqueString (RFC 8265 section 4.2), which is what clients send that prepare nothing or by
 * PRECIS. ASCII is the same in both.
 */
export function preparePassword(password: string): string | undefined {
  if (password === '' || Buffer.byteLength(password) > MAX_BYTES || !isPreparable(password)) return undefined;
  try {
    return saslprep(password) || undefined;
  } catch {
    return opaqueString(password) || undefined;
  }
}

/** SaltedPassword of RFC 5802 section 3. The work is done in another thread. */
export function saltPassword(prepared: string, salt: Buffer, iterations: number, hash: ScramHash): Promise<Buffer> {
  return derive(prepared, salt, iterations, HASH_LENGTH[hash], hash);
}

/** What is kept of a password (RFC 5802 section 3). */
export async function makeKeys(prepared: string, salt: Buffer, iterations: number, hash: ScramHash): Promise<ScramKeys> {
  const salted = await saltPassword(prepared, salt, iterations, hash);
  return { salt, iterations, storedKey: storedKeyOf(salted, hash), serverKey: hmac(hash, salted, 'Server Key') };
}

/** StoredKey, from SaltedPassword. */
export function storedKeyOf(salted: Buffer, hash: ScramHash): Buffer {
  return createHash(hash)
    .update(hmac(hash, salted, 'Client Key'))
    .digest();
}

/** HMAC with one of SCRAM's hashes. */
export function hmac(hash: ScramHash, key: Buffer, text: string | Buffer): Buffer {
  return createHmac(hash, key).update(text).digest();
}
