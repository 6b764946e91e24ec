import { createHmac, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { inspect } from 'node:util';
import { resolveFile, type Source } from './source.ts';

const SHOWN = '[secret]';
/** Of this process only, so that a fingerprint tells nothing to whoever sees one. */
const fingerprintKey = randomBytes(32);

/** A value that no log line, error or dump shows. */
export class Secret {
  readonly #value: string;
  /** Equal for equal secrets, so that a reload sees whether one has changed. Worthless outside this process. */
  readonly fingerprint: string;

  constructor(value: string) {
    this.#value = value;
    this.fingerprint = createHmac('sha256', fingerprintKey).update(value).digest('base64url').slice(0, 16);
  }

  /** The value itself. Call it where it is used, and keep no copy. */
  reveal(): string {
    return this.#value;
  }

  toString(): string {
    return SHOWN;
  }

  toJSON(): string {
    return SHOWN;
  }

  [inspect.custom](): string {
    return SHOWN;
  }
}

/** How a secret may be written in the config: as it is, or by where it is. */
export type SecretInput = string | { readonly env: string } | { readonly file: string };

const MAX_LENGTH = 65_536;

/** Whether this is one of the ways to write a secret. */
export function isSecretInput(value: unknown): value is SecretInput {
  if (typeof value === 'string') return value.length <= MAX_LENGTH;
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  const entries: readonly (readonly [string, unknown])[] = Object.entries(value);
  const [name, where] = entries[0] ?? [];
  return entries.length === 1 && (name === 'env' || name === 'file') && typeof where === 'string' && where !== '';
}

/** Fetches a secret; returns what is wrong, in words that hold nothing of the secret, when there is none. */
export function fetchSecret(input: SecretInput, source: Source): Secret | { readonly problem: string } {
  if (typeof input === 'string') return toSecret(input, 'it is empty');
  if ('env' in input) {
    const value = source.env[input.env];
    return value === undefined
      ? { problem: `the environment variable ${input.env} is not set` }
      : toSecret(value, `the environment variable ${input.env} is empty`);
  }
  const file = resolveFile(input.file, source);
  try {
    return toSecret(readFileSync(file, 'utf8').replace(/\r?\n$/, ''), `the file ${file} is empty`);
  } catch (error) {
    return { problem: `the file ${file} cannot be read (${error instanceof Error && 'code' in error ? error.code : 'error'})` };
  }
}

function toSecret(value: string, problem: string): Secret | { readonly problem: string } {
  return value === '' ? { problem } : new Secret(value);
}
