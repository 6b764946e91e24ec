import { SaslError } from '../stanza/errors.ts';
import { checkAuthzid, decodeText, prepareUsername } from './identity.ts';
import type { SaslContext, SaslMechanism, SaslStep } from './sasl.ts';
import type { Guard } from './throttle.ts';

/** PLAIN (RFC 4616): only where the line is encrypted, or on this machine where the config says so. */
export function plain(parts: {
  readonly strength: number;
  readonly guard: Guard;
  readonly isOpenOnLoopback: boolean;
}): SaslMechanism {
  return {
    name: 'PLAIN',
    strength: parts.strength,
    isOffered: ({ secure, loopback }) => secure || (loopback && parts.isOpenOnLoopback),
    start: (context) => ({ step: (data) => checkPassword(data, context, parts.guard) }),
  };
}

async function checkPassword(data: Buffer, context: SaslContext, guard: Guard): Promise<SaslStep> {
  // Without an initial response the client waits for an empty challenge, which the stream has sent.
  const parts = decodeText(data).split('\0');
  if (parts.length !== 3 || parts[1] === '' || parts[2] === '') throw new SaslError('malformed-request');
  const [authzid, name, password] = parts as [string, string, string];
  const username = prepareUsername(name);
  checkAuthzid(authzid, username, context.domain);
  guard.check(username, context.remoteAddress);
  // Once more whether it exists: it may have been removed while its password was checked.
  const isRight = (await context.accounts.verify(username, password)) && (await context.accounts.exists(username));
  // Again, since attempts on other connections may have failed meanwhile: many at once learn no more than one after the other.
  guard.check(username, context.remoteAddress);
  if (!isRight) {
    guard.failed(username, context.remoteAddress);
    throw new SaslError('not-authorized');
  }
  guard.succeeded(username, context.remoteAddress);
  return { username, data: undefined };
}
