import { isGuestName, Jid, JidError, StanzaError } from '#core';

/** Which names a new account may have. */
export interface NameRules {
  /** In characters. */
  readonly minUsername: number;
  readonly maxUsername: number;
  /** Prepared names that nobody may take. */
  readonly reserved: readonly string[];
}

/** Long enough for every passphrase; what is longer only costs us work. */
const MAX_PASSWORD = 1024;

/** The prepared form of a wanted name. Throws StanzaError `not-acceptable` for one that is not allowed. */
export function checkUsername(wanted: string | undefined, rules: NameRules): string {
  if (wanted === undefined || wanted === '') throw refusal('A username is needed');
  const username = prepare(wanted);
  const length = [...username].length;
  if (length < rules.minUsername) throw refusal(`A username has at least ${rules.minUsername} characters`);
  if (length > rules.maxUsername) throw refusal(`A username has at most ${rules.maxUsername} characters`);
  // Names of anonymous clients are nobody's afterwards either: whoever had one would get what is still sent there.
  if (rules.reserved.includes(username) || isGuestName(username)) throw refusal('This username is reserved');
  return username;
}

/** Throws StanzaError `not-acceptable` for a password that is too short, or none (XEP-0077 section 3.1). */
export function checkPassword(password: string | undefined, minLength: number): string {
  if (password === undefined || password === '') throw refusal('A password is needed');
  if ([...password].length < minLength) throw refusal(`A password has at least ${minLength} characters`);
  if (password.length > MAX_PASSWORD) throw refusal('This password is too long');
  return password;
}

function prepare(wanted: string): string {
  try {
    return Jid.prepareLocal(wanted);
  } catch (error) {
    if (error instanceof JidError) throw refusal('This username cannot be used');
    throw error;
  }
}

function refusal(text: string): StanzaError {
  return new StanzaError('not-acceptable', { text });
}
